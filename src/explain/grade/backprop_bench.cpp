// Random draws of a program's sources, and comparison over all of them. What is equal on random
// numbers is equal in general; what is equal on the file's own may be so because a bias is zero.
#include "explain/grade/backprop_bench.h"

#include <algorithm>
#include <cmath>

#include "chainrule/ops.h"
#include "chainrule/random.h"
#include "graph/copy.h"
#include "graph/op.h"

namespace chainrule::backprop {
namespace {

constexpr double kTolerance = 1e-6;     // relative to the largest element
constexpr double kZero = 1e-13;         // what rounding leaves of terms that cancel
constexpr double kLargestGuard = 1e-4;  // log(p + 1e-9), sqrt(v + 1e-5)
constexpr std::size_t kDraws = 2;

bool is_guard(Value v, const TensorMap& feed) {
  while (is(v, "broadcast_to")) v = v.node().inputs[0];
  double c = 0;
  if (is(v, "constant")) c = v.node().real("value");
  if (v.node().op->source && v.shape().empty() && v.dtype() == DType::kF32) {
    c = feed.at(v.name()).as(DType::kF64).values<double>()[0];
  }
  return c != 0 && std::abs(c) <= kLargestGuard;
}

double root_mean_square(std::span<const double> x) {
  double total = 0;
  for (const double v : x) total += v * v;
  return x.empty() ? 0 : std::sqrt(total / static_cast<double>(x.size()));
}

// Rows or columns that are one-hot: labels, which mean something only as such.
bool is_one_hot(const Tensor& tensor) {
  if (tensor.shape().size() != 2) return false;
  const auto rows = static_cast<std::size_t>(tensor.shape()[0]);
  const auto columns = static_cast<std::size_t>(tensor.shape()[1]);
  const std::span<const double> x = tensor.values<double>();
  if (!std::all_of(x.begin(), x.end(), [](double v) { return v == 0 || v == 1; })) return false;
  const auto sums_to_one = [&](std::size_t lines, std::size_t length, std::size_t step,
                               std::size_t stride) {
    for (std::size_t i = 0; i < lines; ++i) {
      double total = 0;
      for (std::size_t j = 0; j < length; ++j) total += x[i * step + j * stride];
      if (total != 1) return false;
    }
    return length > 1;
  };
  return sums_to_one(rows, columns, columns, 1) || sums_to_one(columns, rows, 1, columns);
}

Tensor drawn(const Tensor& given, bool parameter, double boldness, RandomState& random) {
  Tensor tensor = given.as(DType::kF64);
  if (tensor.shape().empty() || is_one_hot(tensor)) return tensor;
  const std::span<double> x = tensor.values<double>();
  if (std::all_of(x.begin(), x.end(), [](double v) { return v > 0; })) {
    for (double& v : x) v *= std::exp(0.3 * boldness * random.randn());
    return tensor;
  }
  const double own = root_mean_square(x);
  if (parameter || own == 0) {
    const std::int64_t inputs = tensor.shape().size() > 1 ? tensor.shape()[0] : 1;
    const double scale = inputs > 1 ? 1 / std::sqrt(static_cast<double>(inputs)) : 0.5;
    for (double& v : x) v = scale * boldness * random.randn();
    return tensor;
  }
  for (double& v : x) v += 0.5 * boldness * own * random.randn();
  return tensor;
}

std::vector<bool> ancestors(Value v) {
  std::vector<bool> needed(v.graph().nodes().size(), false);
  needed[static_cast<std::size_t>(v.node().id)] = true;
  for (std::int64_t id = v.node().id; id >= 0; --id) {
    if (!needed[static_cast<std::size_t>(id)]) continue;
    for (const Value& input : v.graph().nodes()[static_cast<std::size_t>(id)].inputs) {
      needed[static_cast<std::size_t>(input.node().id)] = true;
    }
  }
  return needed;
}

Shape without_ones(Shape shape) {
  std::erase(shape, 1);
  return shape;
}

}  // namespace

Bench::Bench(const Graph& graph, TensorMap feed) : feed_(std::move(feed)) {
  for (const Node& node : graph.nodes()) {
    std::vector<Value>& outputs = here_.emplace_back();
    if (node.op->source) {
      outputs = {copy_source(node, graph_)};
      continue;
    }
    std::vector<Value> inputs;
    for (const Value& input : node.inputs) {
      const bool drop = (is(node, "add") || is(node, "sub")) && is_guard(input, feed_);
      inputs.push_back(drop ? constant(graph_, 0, input.shape()) : here(input));
    }
    Attributes attributes = node.attributes;
    for (Attribute& a : attributes) {
      if (a.name == "epsilon") a.value = 0.0;
    }
    const Node& copy = graph_.append(*node.op, std::move(inputs), std::move(attributes));
    for (std::size_t i = 0; i < node.types.size(); ++i) outputs.push_back(copy.output(i));
  }
}

void Bench::draw(Value loss, const std::vector<Value>& finite) {
  draws_.clear();
  const std::vector<bool> matters = ancestors(loss);
  RandomState random(20);
  double boldness = 1;
  for (int attempt = 0; attempt < 40 && draws_.size() < kDraws; ++attempt, boldness *= 0.93) {
    TensorMap feed = feed_;
    for (const auto& list : {graph_.inputs(), graph_.parameters()}) {
      for (const Value& v : list) {
        if (v.dtype() != DType::kF32 || !matters[static_cast<std::size_t>(v.node().id)]) continue;
        Tensor& tensor = feed.at(v.name());
        tensor = drawn(tensor, is(v, "parameter"), boldness, random);
      }
    }
    Draw draw(graph_, std::move(feed));
    const bool good = std::all_of(finite.begin(), finite.end(), [&](const Value& v) {
      const std::vector<double>& x = draw.numbers(v);
      return std::all_of(x.begin(), x.end(), [](double e) { return std::isfinite(e); });
    });
    if (good) draws_.push_back(std::move(draw));
  }
  if (draws_.empty()) draws_.emplace_back(graph_, feed_);
}

std::vector<double> Bench::numbers(Value v) {
  std::vector<double> all;
  for (Draw& draw : draws_) {
    const std::vector<double>& x = draw.numbers(v);
    all.insert(all.end(), x.begin(), x.end());
  }
  return all;
}

void Bench::forget(std::int64_t first) {
  for (Draw& draw : draws_) draw.values.forget(first);
}

std::optional<Relation> Bench::relate(Value value, Value truth) {
  Relation relation;
  Value expected = truth;
  if (value.shape() != truth.shape()) {
    const Shape& a = value.shape();
    const Shape& b = truth.shape();
    if (without_ones(a) == without_ones(b)) {
      relation.reshaped = true;
    } else if (a.size() == 2 && b.size() == 2 && a[0] == b[1] && a[1] == b[0]) {
      relation.transposed = true;
      expected = transpose(truth);
    } else {
      return std::nullopt;
    }
  }
  double xt = 0;
  double tt = 0;
  double largest = 0;
  for (Draw& draw : draws_) {
    const std::vector<double>& x = draw.numbers(value);
    const std::vector<double>& t = draw.numbers(expected);
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (!std::isfinite(x[i])) return std::nullopt;
      xt += x[i] * t[i];
      tt += t[i] * t[i];
      largest = std::max({largest, std::abs(x[i]), std::abs(t[i])});
    }
  }
  relation.vanishing = largest < kZero;
  if (relation.vanishing) return relation;
  if (tt == 0 || xt == 0) return std::nullopt;
  relation.factor = xt / tt;
  if (std::abs(relation.factor - 1) < kTolerance) relation.factor = 1;
  const double size = std::max(std::abs(relation.factor) * std::sqrt(tt), 1e-300);
  for (Draw& draw : draws_) {
    const std::vector<double>& x = draw.numbers(value);
    const std::vector<double>& t = draw.numbers(expected);
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (std::abs(x[i] - relation.factor * t[i]) > kTolerance * size) return std::nullopt;
    }
  }
  return relation;
}

std::optional<std::vector<double>> Bench::combine(Value value, const std::vector<Value>& terms) {
  const std::size_t n = terms.size();
  for (const Value& term : terms) {
    if (term.shape() != value.shape()) return std::nullopt;
  }
  const std::vector<double> x = numbers(value);
  std::vector<std::vector<double>> t;
  for (const Value& term : terms) t.push_back(numbers(term));
  const auto dot = [](const std::vector<double>& a, const std::vector<double>& b) {
    double total = 0;
    for (std::size_t i = 0; i < a.size(); ++i) total += a[i] * b[i];
    return total;
  };
  // Orthogonalise the terms one after another (Gram and Schmidt), then solve backwards.
  std::vector<std::vector<double>> q = t;
  std::vector<std::vector<double>> r(n, std::vector<double>(n, 0));
  std::vector<double> c(n);
  std::vector<double> rest = x;
  for (std::size_t j = 0; j < n; ++j) {
    const double before = std::sqrt(dot(t[j], t[j]));
    for (std::size_t i = 0; i < j; ++i) {
      r[i][j] = dot(q[i], q[j]);
      for (std::size_t e = 0; e < x.size(); ++e) q[j][e] -= r[i][j] * q[i][e];
    }
    r[j][j] = std::sqrt(dot(q[j], q[j]));
    if (!(r[j][j] > 1e-7 * before)) return std::nullopt;
    for (double& e : q[j]) e /= r[j][j];
    c[j] = dot(q[j], rest);
    for (std::size_t e = 0; e < x.size(); ++e) rest[e] -= c[j] * q[j][e];
  }
  if (!(std::sqrt(dot(rest, rest)) <= kTolerance * std::sqrt(dot(x, x)))) return std::nullopt;
  if (x.size() <= n) return std::nullopt;  // anything could be fitted
  for (std::size_t j = n; j-- > 0;) {
    for (std::size_t i = j + 1; i < n; ++i) c[j] -= r[j][i] * c[i];
    c[j] /= r[j][j];
  }
  return c;
}

}  // namespace chainrule::backprop
