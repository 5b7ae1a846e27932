// The directions keep their curvature pairs as plain vectors; everything is a loop over float64
// numbers, since an evaluation of the function costs thousands of times more.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "chainrule/error.h"
#include "chainrule/optim.h"

namespace chainrule {
namespace {

double dot(std::span<const double> a, std::span<const double> b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

double largest(std::span<const double> x) {
  double most = 0;
  for (const double v : x) most = std::max(most, std::fabs(v));
  return most;
}

}  // namespace

// A place along the direction.
struct Lbfgs::Point {
  double t = 0;
  double f = 0;
  double slope = 0;  // gradient · direction
  std::vector<double> gradient;
};

// ── the line search ──────────────────────────────────────────────────────────

class Lbfgs::Search {
 public:
  Search(const LbfgsOptions& options, const Function& function, std::span<const double> x,
         std::span<const double> direction, Point start)
      : options_(options),
        function_(function),
        x_(x),
        direction_(direction),
        start_(std::move(start)),
        trial_(x.size()) {}

  /// A point that fulfils the conditions, or the best that most_searches evaluations found.
  Point run(double t) {
    Point low = start_;
    Point high = evaluate(t);
    bool bracketed = false;
    // Longer and longer steps, until a minimum must lie between the last two (algorithm 3.5).
    while (!bracketed && evaluations_ <= options_.most_searches) {
      const bool too_far = !decreases(high) || (evaluations_ > 2 && high.f >= low.f);
      if (!too_far && is_flat(high)) return high;
      if (too_far || high.slope >= 0) {
        bracketed = true;
      } else {
        const double next = interpolated(low, high, high.t + 0.01 * (high.t - low.t), 10 * high.t);
        low = std::move(high);
        high = evaluate(next);
      }
    }
    if (!bracketed) low = start_;
    if (low.f > high.f) std::swap(low, high);
    return zoom(std::move(low), std::move(high));
  }

  std::int64_t evaluations() const { return evaluations_; }

 private:
  // Algorithm 3.6: `low` is the better end.
  Point zoom(Point low, Point high) {
    bool slow = false;  // the last trial was near an end
    const double reach = largest(direction_);
    while (evaluations_ <= options_.most_searches &&
           std::fabs(high.t - low.t) * reach >= options_.least_change) {
      const double left = std::min(low.t, high.t);
      const double right = std::max(low.t, high.t);
      double t = interpolated(low, high, left, right);
      const double margin = 0.1 * (right - left);
      if (std::min(right - t, t - left) >= margin) {
        slow = false;
      } else if (slow || t >= right || t <= left) {
        t = std::fabs(t - right) < std::fabs(t - left) ? right - margin : left + margin;
        slow = false;
      } else {
        slow = true;
      }
      Point middle = evaluate(t);
      if (!decreases(middle) || middle.f >= low.f) {
        high = std::move(middle);
        if (low.f > high.f) std::swap(low, high);
        continue;
      }
      if (is_flat(middle)) return middle;
      if (middle.slope * (high.t - low.t) >= 0) high = std::move(low);
      low = std::move(middle);
    }
    return low;
  }

  Point evaluate(double t) {
    Point point;
    point.t = t;
    point.gradient.resize(x_.size());
    for (std::size_t i = 0; i < x_.size(); ++i) trial_[i] = x_[i] + t * direction_[i];
    point.f = function_(trial_, point.gradient);
    point.slope = dot(point.gradient, direction_);
    ++evaluations_;
    return point;
  }

  // The first condition; also false where the function is not a number.
  bool decreases(const Point& p) const {
    return p.f <= start_.f + options_.decrease * p.t * start_.slope;
  }
  bool is_flat(const Point& p) const {
    return std::fabs(p.slope) <= -options_.curvature * start_.slope;
  }

  // The minimum of the cubic through two points and their slopes, within bounds.
  static double interpolated(const Point& p, const Point& q, double least, double most) {
    const Point& a = p.t <= q.t ? p : q;
    const Point& b = p.t <= q.t ? q : p;
    const double d1 = a.slope + b.slope - 3 * (a.f - b.f) / (a.t - b.t);
    const double square = d1 * d1 - a.slope * b.slope;
    if (!(square >= 0) || std::isinf(square)) return (least + most) / 2;
    const double d2 = std::sqrt(square);
    const double t = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2 * d2));
    return std::isnan(t) ? (least + most) / 2 : std::clamp(t, least, most);
  }

  const LbfgsOptions& options_;
  const Function& function_;
  std::span<const double> x_;
  std::span<const double> direction_;
  Point start_;
  std::vector<double> trial_;
  std::int64_t evaluations_ = 0;
};

// ── directions ───────────────────────────────────────────────────────────────

// Adds the pair of the last step, unless the curvature along it is too small to trust.
void Lbfgs::remember(double length) {
  Pair pair;
  pair.s = direction_;
  pair.y = gradient_;
  for (std::size_t i = 0; i < pair.s.size(); ++i) {
    pair.s[i] *= length;
    pair.y[i] -= last_gradient_[i];
  }
  const double curvature = dot(pair.s, pair.y);
  if (curvature <= 1e-10) return;
  pair.rho = 1 / curvature;
  scale_ = curvature / dot(pair.y, pair.y);
  if (static_cast<std::int64_t>(pairs_.size()) == options_.history) pairs_.erase(pairs_.begin());
  pairs_.push_back(std::move(pair));
}

// Minus the inverse Hessian times the gradient, by the two loops of algorithm 7.4.
std::vector<double> Lbfgs::direction() const {
  std::vector<double> q(gradient_.size());
  std::transform(gradient_.begin(), gradient_.end(), q.begin(), std::negate<>());
  std::vector<double> alpha(pairs_.size());
  const auto add = [&](double factor, const std::vector<double>& v) {
    for (std::size_t i = 0; i < q.size(); ++i) q[i] += factor * v[i];
  };
  for (std::size_t k = pairs_.size(); k-- > 0;) {
    alpha[k] = pairs_[k].rho * dot(pairs_[k].s, q);
    add(-alpha[k], pairs_[k].y);
  }
  for (double& v : q) v *= scale_;
  for (std::size_t k = 0; k < pairs_.size(); ++k) {
    const double beta = pairs_[k].rho * dot(pairs_[k].y, q);
    add(alpha[k] - beta, pairs_[k].s);
  }
  return q;
}

bool Lbfgs::step(const Function& function, std::vector<double>& x) {
  const bool first = std::isnan(value_);
  if (first) {
    gradient_.resize(x.size());
    value_ = function(x, gradient_);
    ++evaluations_;
    if (!std::isfinite(value_)) throw Error("L-BFGS: the function is not finite where it begins");
  } else if (x.size() != gradient_.size()) {
    throw ShapeError("L-BFGS: expected " + std::to_string(gradient_.size()) + " numbers, got " +
                     std::to_string(x.size()));
  }
  if (largest(gradient_) <= options_.least_gradient) return false;
  if (!last_gradient_.empty()) remember(length_);
  direction_ = direction();
  Point start{0, value_, dot(gradient_, direction_), gradient_};
  if (start.slope > -options_.least_change) return false;
  double t = options_.rate;
  if (first) {
    double sum = 0;
    for (const double v : gradient_) sum += std::fabs(v);
    t *= std::min(1.0, 1 / sum);
  }
  const double before = value_;
  last_gradient_ = gradient_;
  Search search(options_, function, x, direction_, std::move(start));
  Point found = search.run(t);
  evaluations_ += search.evaluations();
  length_ = found.t;
  value_ = found.f;
  gradient_ = std::move(found.gradient);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] += length_ * direction_[i];
  return length_ * largest(direction_) > options_.least_change &&
         std::fabs(value_ - before) >= options_.least_change;
}

}  // namespace chainrule
