// Roundings, exaggerated and run in float64.
#include "explain/verify/rounding.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "backend/reference/lazy.h"
#include "compiler/passes.h"
#include "graph/op.h"

namespace chainrule {
namespace {

constexpr double kExaggeration = 16;  // an op may be off by some units, and by chance by more
constexpr double kSafety = 2;         // times the largest movement that was seen
constexpr std::uint64_t kRuns = 12;

struct Format {
  double unit = 0;      // the largest relative rounding
  double smallest = 0;  // below it numbers have fewer digits, or none
};

Format format_of(Precision precision) {
  return precision == Precision::kFloat32 ? Format{0x1p-24, 0x1p-126} : Format{0x1p-53, 0x1p-1022};
}

// Behind a softmax the compiler replaces this derivative by its limit for epsilon to 0, which
// differs where a probability is not large against epsilon.
GraphPtr with_limits(const Graph& graph) {
  return rewrite(graph, [](Graph& target) -> Rule {
    return [&target](const Node& node,
                     const std::vector<Value>& in) -> std::optional<std::vector<Value>> {
      if (!is(node, "cross_entropy_backward")) return std::nullopt;
      Attributes attributes = node.attributes;
      for (Attribute& a : attributes) {
        if (a.name == "epsilon") a.value = 0.0;
      }
      return std::vector<Value>{target.append(*node.op, in, std::move(attributes)).output()};
    };
  });
}

// Results that float32 holds as exactly as what they are chosen from.
bool is_exact(const Node& node) {
  constexpr std::array<std::string_view, 8> kChoices = {"neg",     "abs",     "sign",  "relu",
                                                        "maximum", "minimum", "where", "to_float"};
  return node.op->truth ||
         std::find(kChoices.begin(), kChoices.end(), node.op->name) != kChoices.end();
}

bool is_sum(const Node& node) {
  constexpr std::array<std::string_view, 5> kSums = {"sum", "mean", "matmul", "fold",
                                                     "scatter_add"};
  return std::find(kSums.begin(), kSums.end(), node.op->name) != kSums.end();
}

double size(const Array& array) { return static_cast<double>(array.data.size()); }

// The number of terms in each element of a sum.
double terms_of(const Node& node, const Array& in, const Array& out) {
  if (!is(node, "matmul")) return std::max(size(in) / std::max(size(out), 1.0), 1.0);
  const std::size_t last = in.shape.size() - 1;
  return static_cast<double>(in.shape[node.flag("transpose_a") ? last - 1 : last]);
}

Array squared(const Array& array) {
  Array result = array;
  for (double& x : result.data) x *= x;
  return result;
}

// Of Σx: √Σx², about as large as the sums on the way to it are when signs alternate.
Array running_sums(const Node& node, std::span<const Array* const> in, double terms) {
  std::vector<Array> squares;
  std::vector<const Array*> pointers;
  squares.reserve(in.size());
  for (std::size_t i = 0; i < in.size(); ++i) {
    const bool real = node.inputs[i].dtype() == DType::kF32;
    if (real) squares.push_back(squared(*in[i]));
    pointers.push_back(real ? &squares.back() : in[i]);
  }
  Array result = computed_by(node, pointers)[0];
  for (double& x : result.data) x = std::sqrt(is(node, "mean") ? x / terms : x);
  return result;
}

class Runs {
 public:
  Runs(const Graph& graph, Format format) : graph_(graph), format_(format) {
    for (const Node& node : graph.nodes()) {
      // Rates and what is computed from them are exact: a kernel takes them in float64.
      exact_.push_back(std::all_of(node.inputs.begin(), node.inputs.end(),
                                   [&](const Value& v) {
                                     return exact_[static_cast<std::size_t>(v.node().id)];
                                   }) &&
                       (!node.op->source || node.types[0].shape.empty()));
    }
  }

  // The values of all nodes; run 0 is exact.
  std::vector<std::vector<Array>> run(const TensorMap& feed, std::uint64_t number) const {
    std::vector<std::vector<Array>> values;
    for (const Node& node : graph_.nodes()) {
      if (node.op->source) {
        values.push_back({fed(node, feed)});
        continue;
      }
      std::vector<const Array*> in;
      for (const Value& input : node.inputs) {
        in.push_back(&values[static_cast<std::size_t>(input.node().id)][input.index()]);
      }
      std::vector<Array> out = computed_by(node, in);
      if (number > 0 && !exact_[static_cast<std::size_t>(node.id)]) disturb(node, in, out, number);
      values.push_back(std::move(out));
    }
    return values;
  }

 private:
  void disturb(const Node& node, std::span<const Array* const> in, std::vector<Array>& out,
               std::uint64_t number) const {
    Array& y = out[0];
    if (node.types[0].dtype != DType::kF32) return;
    if (is_sum(node)) {
      const double terms = terms_of(node, *in[0], y);
      const Array sums = running_sums(node, in, terms);
      for (std::size_t i = 0; i < y.data.size(); ++i) {
        const double size = std::sqrt(terms) * std::max(std::abs(y.data[i]), sums.data[i]);
        y.data[i] += off(size) * sign(node, i, number);
      }
    } else if (node.op->elementwise && !is_exact(node)) {
      for (double& x : y.data) {
        x += off(std::abs(x)) * sign(node, static_cast<std::size_t>(&x - y.data.data()), number);
      }
    }
  }

  // By how much a result of this size is put off; what is 0 is so without rounding.
  double off(double size) const {
    return size == 0 ? 0 : kExaggeration * (format_.unit * size + format_.smallest);
  }

  // ±1, by node, element and run.
  static double sign(const Node& node, std::size_t element, std::uint64_t number) {
    std::uint64_t bits = 0;
    for (const std::uint64_t more :
         {number, static_cast<std::uint64_t>(node.id), static_cast<std::uint64_t>(element)}) {
      bits += more + 0x9E3779B97F4A7C15U;  // the finaliser of SplitMix64
      bits = (bits ^ (bits >> 30U)) * 0xBF58476D1CE4E5B9U;
      bits = (bits ^ (bits >> 27U)) * 0x94D049BB133111EBU;
      bits ^= bits >> 31U;
    }
    return (bits >> 63U) != 0 ? 1 : -1;
  }

  const Graph& graph_;
  Format format_;
  std::vector<bool> exact_;  // by node
};

// Does the compiler replace a derivative of this graph by its limit?
bool has_limits(const Graph& graph) {
  return std::any_of(graph.nodes().begin(), graph.nodes().end(),
                     [](const Node& node) { return is(node, "cross_entropy_backward"); });
}

// What a result moved by so far.
void widen(std::vector<double>& movement, const Array& exact, const Array& disturbed) {
  movement.resize(exact.data.size(), 0);
  for (std::size_t i = 0; i < movement.size(); ++i) {
    const double moved = std::abs(disturbed.data[i] - exact.data[i]);
    movement[i] = std::isfinite(moved) ? std::max(movement[i], moved)
                                       : std::numeric_limits<double>::infinity();
  }
}

// What a graph's results are without any rounding, and what they move by with it.
struct Results {
  std::map<std::string, std::pair<Array, std::vector<double>>> outputs;
  std::map<std::string, std::pair<Array, std::vector<double>>> updates;
};

Results results_of(const Graph& graph, const TensorMap& feed, Format format) {
  const GraphPtr plain = expand_macros(graph, [](const Node&) { return false; });
  const Runs runs(*plain, format);
  Results results;
  for (std::uint64_t number = 0; number <= kRuns; ++number) {
    const std::vector<std::vector<Array>> values = runs.run(feed, number);
    const auto take = [&](std::pair<Array, std::vector<double>>& result, const Value& v) {
      const Array& array = values[static_cast<std::size_t>(v.node().id)][v.index()];
      if (number == 0) {
        result.first = array;
        result.second.assign(array.data.size(), 0);
      } else {
        widen(result.second, result.first, array);
      }
    };
    for (const auto& [name, v] : plain->outputs()) take(results.outputs[name], v);
    for (const auto& [parameter, v] : plain->updates()) take(results.updates[parameter.name()], v);
  }
  return results;
}

// By how much each element may be off, where it may as well be that of the limit.
std::vector<double> allowance(const std::pair<Array, std::vector<double>>& exact,
                              const std::pair<Array, std::vector<double>>& limit, Format format) {
  std::vector<double> all;
  for (std::size_t i = 0; i < exact.second.size(); ++i) {
    const double x = exact.first.data[i];
    const double most = kSafety * std::max(exact.second[i], limit.second[i]) +
                        std::abs(limit.first.data[i] - x) +
                        kExaggeration * (format.unit * std::abs(x) + format.smallest);
    all.push_back(std::isnan(most) ? std::numeric_limits<double>::infinity() : most);
  }
  return all;
}

}  // namespace

Rounding rounding_of(const Graph& graph, const TensorMap& feed, Precision precision) {
  const Format format = format_of(precision);
  const Results exact = results_of(graph, feed, format);
  const bool limited = precision == Precision::kFloat32 && has_limits(graph);
  const Results limit = limited ? results_of(*with_limits(graph), feed, format) : exact;
  Rounding rounding;
  for (const auto& [name, result] : exact.outputs) {
    rounding.outputs[name] = allowance(result, limit.outputs.at(name), format);
  }
  for (const auto& [name, result] : exact.updates) {
    rounding.updates[name] = allowance(result, limit.updates.at(name), format);
  }
  return rounding;
}

}  // namespace chainrule
