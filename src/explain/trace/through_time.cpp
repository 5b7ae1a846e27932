// Bars in eighths of a letter, so that neighbouring steps can be told apart.
#include "explain/trace/through_time.h"

#include <algorithm>
#include <cmath>

#include "base/format.h"
#include "chainrule/numpy_format.h"
#include "notation/text_table.h"

namespace chainrule {
namespace {

constexpr double kBarWidth = 32;

std::string bar(double share) {
  constexpr const char* kEighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const auto eighths = static_cast<std::size_t>(std::lround(share * kBarWidth * 8));
  std::string text;
  for (std::size_t i = 0; i < eighths / 8; ++i) text += "█";
  return text + kEighths[eighths % 8];
}

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double v : values) sum += v;
  return sum / static_cast<double>(values.size());
}

double norm(const Tensor& tensor) {
  const Tensor wide = tensor.as(DType::kF64);
  double squares = 0;
  for (const double v : wide.values<double>()) squares += v * v;
  return std::sqrt(squares);
}

// The Jacobian of row 0 alone.
Tensor first_row(const Tensor& jacobian) {
  const Shape shape{jacobian.shape()[1], jacobian.shape()[2]};
  const auto all = jacobian.values<double>();
  return Tensor::of<double>(shape, all.subspan(0, static_cast<std::size_t>(element_count(shape))));
}

std::string in_words(double first, std::size_t steps) {
  if (steps == 0) return "";
  const double a_step = std::pow(first, 1 / static_cast<double>(steps));
  const std::string pace =
      fmt::format("by a factor {:.3g} a step, {:.3g} over {} steps", a_step, first, steps);
  if (first < 0.1) return "  the way back shrinks the gradient " + pace + ": it vanishes\n";
  if (first > 10) return "  the way back lets the gradient grow " + pace + ": it explodes\n";
  return "  the way back changes the gradient " + pace + "\n";
}

}  // namespace

std::string through_time(const Trace& trace, const TraceSequence& sequence,
                         const TraceTextOptions& options) {
  const std::size_t steps = sequence.states.size();
  if (steps == 0 || sequence.norms.size() != steps) return "";
  const std::size_t last = sequence.reverse ? 0 : steps - 1;
  const std::string& name = sequence.states[last];
  std::string text = fmt::format(
      "\nTHROUGH TIME   layer {}: {}, {} steps{}\n"
      "  ‖∂{}/∂h_t‖: how much a small change of the state at step t can grow until the last step\n"
      "  (the largest singular value of the product of the Jacobians in between, mean of the "
      "rows)\n\n",
      sequence.layer, trace.layers[sequence.layer - 1].text, steps,
      sequence.reverse ? ", backwards" : "", name);
  std::vector<double> norms;
  for (const std::vector<double>& rows : sequence.norms) norms.push_back(mean(rows));
  const double largest = *std::max_element(norms.begin(), norms.end());
  TextTable table("lrrl");
  table.add({"state", "norm", "‖gradient‖", ""});
  for (std::size_t i = 0; i < steps; ++i) {
    const std::size_t t = sequence.reverse ? i : steps - 1 - i;  // from the last step back
    const TraceValue* d = trace.gradient_of(sequence.states[t]);
    table.add({sequence.states[t], fmt::format("{:.4g}", norms[t]),
               d == nullptr ? "" : fmt::format("{:.4g}", norm(d->numbers)),
               bar(largest > 0 ? norms[t] / largest : 0)});
  }
  const std::size_t first = sequence.reverse ? steps - 1 : 0;
  text += table.to_text() + "\n" + in_words(norms[first], steps - 1);
  const Tensor product = first_row(sequence.jacobians[first]);
  if (product.size() <= options.small) {
    text += fmt::format("  ∂{}/∂{} of row 0\n", name, sequence.states[first]);
    std::string matrix = numpy_format(product);
    for (std::size_t at = 0; (at = matrix.find('\n', at)) != std::string::npos; at += 5) {
      matrix.replace(at, 1, "\n    ");
    }
    text += "    " + matrix + "\n";
  }
  return text;
}

}  // namespace chainrule
