// Every update rule against its formula in double precision, over several steps; ranges,
// rectangles and splits.
#include "backend/cpu/kernels/update.h"

#include <array>
#include <functional>

#include "backend/cpu/kernel_testing.h"

using namespace chainrule::cpu;

namespace {

// A parameter element and its state in double precision.
struct Exact {
  double w = 0;
  std::array<double, 3> state{};
};

double transformed(const GradientTransform& t, double g) {
  return std::max(std::min(g * static_cast<double>(t.scale), static_cast<double>(t.bound)),
                  -static_cast<double>(t.bound));
}

void step(const Sgd& rule, Exact& e, double g) {
  const double d = transformed(rule.gradient, g) + rule.weight_decay * e.w;
  if (rule.momentum == 0) {
    e.w -= rule.learning_rate * d;
    return;
  }
  e.state[0] = rule.momentum * e.state[0] + d;
  e.w -= rule.learning_rate * (rule.nesterov ? d + rule.momentum * e.state[0] : e.state[0]);
}

void step(const RmsProp& rule, Exact& e, double g) {
  const double d = transformed(rule.gradient, g) + rule.weight_decay * e.w;
  e.state[0] = rule.alpha * e.state[0] + (1 - rule.alpha) * d * d;
  double variance = e.state[0];
  if (rule.centred) {
    e.state[1] = rule.alpha * e.state[1] + (1 - rule.alpha) * d;
    variance -= e.state[1] * e.state[1];
  }
  double u = d / (std::sqrt(variance) + rule.epsilon);
  if (rule.momentum != 0) {
    e.state[2] = rule.momentum * e.state[2] + u;
    u = e.state[2];
  }
  e.w -= rule.learning_rate * u;
}

void step(const Adam& rule, Exact& e, double g) {
  double d = transformed(rule.gradient, g);
  if (rule.decoupled) {
    e.w *= 1 - rule.learning_rate * rule.weight_decay;
  } else {
    d += rule.weight_decay * e.w;
  }
  e.state[0] = rule.beta1 * e.state[0] + (1 - rule.beta1) * d;
  e.state[1] = rule.beta2 * e.state[1] + (1 - rule.beta2) * d * d;
  e.w -= rule.learning_rate / rule.correction1 * e.state[0] /
         (std::sqrt(e.state[1]) / std::sqrt(rule.correction2) + rule.epsilon);
}

using States = std::array<float*, 3>;

void apply(const Sgd& rule, float* w, const States& s, const float* g, std::int64_t begin,
           std::int64_t end) {
  update(rule, w, rule.momentum == 0 ? nullptr : s[0], g, begin, end);
}
void apply(const RmsProp& rule, float* w, const States& s, const float* g, std::int64_t begin,
           std::int64_t end) {
  update(rule, w, s[0], rule.centred ? s[1] : nullptr, rule.momentum == 0 ? nullptr : s[2], g,
         begin, end);
}
void apply(const Adam& rule, float* w, const States& s, const float* g, std::int64_t begin,
           std::int64_t end) {
  update(rule, w, s[0], s[1], g, begin, end);
}
void apply(const Sgd& rule, float* w, const States& s, const GradientBlock& g) {
  update(rule, w, rule.momentum == 0 ? nullptr : s[0], g);
}
void apply(const RmsProp& rule, float* w, const States& s, const GradientBlock& g) {
  update(rule, w, s[0], rule.centred ? s[1] : nullptr, rule.momentum == 0 ? nullptr : s[2], g);
}
void apply(const Adam& rule, float* w, const States& s, const GradientBlock& g) {
  update(rule, w, s[0], s[1], g);
}

// The arrays of one parameter.
struct Parameter {
  explicit Parameter(std::int64_t n)
      : w(n, 1), a(n, 2, 0.0F), b(n, 3, 0.0F), c(n, 5, 0.0F), exact(static_cast<std::size_t>(n)) {
    fill_random(w, -1, 1, 3);
    for (std::int64_t i = 0; i < n; ++i)
      exact[static_cast<std::size_t>(i)].w = static_cast<double>(w[i]);
  }
  States states() { return {a.data(), b.data(), c.data()}; }
  bool intact() { return w.intact() && a.intact() && b.intact() && c.intact(); }
  Guarded<float> w, a, b, c;
  std::vector<Exact> exact;
};

template <class Rule>
void set_step(Rule&, int) {}
void set_step(Adam& rule, int t) {
  rule.correction1 = 1 - std::pow(rule.beta1, t);
  rule.correction2 = 1 - std::pow(rule.beta2, t);
}

template <class Rule>
void check_rule(Rule rule) {
  for_each_target([&] {
    std::vector<std::int64_t> lengths{1000, 4099};
    for (std::int64_t n = 0; n <= 70; ++n) lengths.push_back(n);
    for (const std::int64_t n : lengths) {
      Parameter whole(n);
      Parameter split(n);
      Guarded<float> g(n, n);
      for (int t = 1; t <= 4; ++t) {
        fill_random(g, -3, 3, static_cast<unsigned>(t));
        if (n > 0) g[n / 2] = 0;
        set_step(rule, t);
        apply(rule, whole.w.data(), whole.states(), g.data(), 0, n);
        for (std::int64_t at = 0; at < n; at += 37)
          apply(rule, split.w.data(), split.states(), g.data(), at, std::min(n, at + 37));
        for (std::int64_t i = 0; i < n; ++i)
          step(rule, whole.exact[static_cast<std::size_t>(i)], static_cast<double>(g[i]));
      }
      bool good = true;
      for (std::int64_t i = 0; i < n; ++i)
        good = good && near(whole.w[i], whole.exact[static_cast<std::size_t>(i)].w, 1e-5, 0.1);
      INFO("n " << n);
      CHECK(good);
      CHECK(same_bits(whole.w.values(), split.w.values()));
      CHECK(same_bits(whole.a.values(), split.a.values()));
      CHECK(whole.intact());
      CHECK(split.intact());
    }

    // Rectangles of a 13 × 45 matrix.
    const std::int64_t rows = 13;
    const std::int64_t columns = 45;
    Parameter whole(rows * columns);
    Parameter tiled(rows * columns);
    Guarded<float> g(rows * columns);
    fill_random(g, -3, 3);
    set_step(rule, 1);
    apply(rule, whole.w.data(), whole.states(), g.data(), 0, rows * columns);
    for (std::int64_t r = 0; r < rows; r += 5) {
      for (std::int64_t c = 0; c < columns; c += 17) {
        const Rectangle rectangle{r, std::min<std::int64_t>(5, rows - r), c,
                                  std::min<std::int64_t>(17, columns - c)};
        Guarded<float> block(5 * 20);
        for (std::int64_t i = 0; i < rectangle.rows; ++i)
          for (std::int64_t j = 0; j < rectangle.columns; ++j)
            block[i * 20 + j] = g[(r + i) * columns + c + j];
        apply(rule, tiled.w.data(), tiled.states(),
              GradientBlock{block.data(), 20, rectangle, columns});
      }
    }
    CHECK(same_bits(whole.w.values(), tiled.w.values()));
    CHECK(same_bits(whole.a.values(), tiled.a.values()));
    CHECK(same_bits(whole.b.values(), tiled.b.values()));
    CHECK(same_bits(whole.c.values(), tiled.c.values()));
    CHECK(tiled.intact());
  });
}

constexpr GradientTransform kClipped{0.5F, 0.75F};

}  // namespace

TEST_CASE("gradient descent follows its formula") {
  check_rule(Sgd{.learning_rate = 0.1});
  check_rule(Sgd{.learning_rate = 0.1, .weight_decay = 0.01, .gradient = kClipped});
  check_rule(Sgd{.learning_rate = 0.1, .momentum = 0.9, .weight_decay = 0.01});
  check_rule(Sgd{.learning_rate = 0.1, .momentum = 0.9, .nesterov = true, .gradient = kClipped});
}

TEST_CASE("RMSProp follows its formula") {
  check_rule(RmsProp{});
  check_rule(RmsProp{.momentum = 0.9, .weight_decay = 0.01, .gradient = kClipped});
  check_rule(RmsProp{.epsilon = 1e-3, .centred = true});
  check_rule(RmsProp{.alpha = 0.9, .epsilon = 1e-3, .momentum = 0.5, .centred = true});
}

TEST_CASE("Adam and AdamW follow their formulas") {
  check_rule(Adam{});
  check_rule(Adam{.weight_decay = 0.1, .gradient = kClipped});
  check_rule(Adam{.learning_rate = 0.01, .weight_decay = 0.1, .decoupled = true});
}

TEST_CASE("a gradient that is not a number reaches the weight, clipped or not") {
  for_each_target([] {
    for (const float bound : {kInfinity, 1.0F}) {
      for (const std::int64_t n : {1, 40}) {
        Guarded<float> w(n, 0, 1.0F);
        Guarded<float> m(n, 0, 0.0F);
        Guarded<float> v(n, 0, 0.0F);
        Guarded<float> g(n, 0, kNaN);
        Adam rule;
        rule.gradient.bound = bound;
        update(rule, w.data(), m.data(), v.data(), g.data(), 0, n);
        CHECK(std::isnan(w[n - 1]));
      }
    }
  });
}
