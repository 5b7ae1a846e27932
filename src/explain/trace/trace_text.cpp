// A training step as text: what a page of a notebook would show, from the input to the loss and
// back.
#include "chainrule/trace_text.h"
#include "base/printable.h"

#include <algorithm>
#include <cmath>

#include "base/format.h"
#include "chainrule/numpy_format.h"
#include "explain/trace/through_time.h"

namespace chainrule {
namespace {

std::string indented(const std::string& text, const std::string& by) {
  std::string result = by;
  for (const char c : text) {
    result += c;
    if (c == '\n') result += by;
  }
  return result + "\n";
}

// "mean 0.12, standard deviation 0.98, from -2.1 to 3.4, 12 % zeros".
std::string summary(const Tensor& tensor) {
  const Tensor wide = tensor.as(DType::kF64);
  const std::span<const double> values = wide.values<double>();
  const auto count = static_cast<double>(values.size());
  double sum = 0;
  double zeros = 0;
  for (const double v : values) {
    sum += v;
    zeros += v == 0 ? 1 : 0;
  }
  const double mean = sum / count;
  double squares = 0;
  for (const double v : values) squares += (v - mean) * (v - mean);
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  return fmt::format("min {:.5g}, mean {:.5g}, max {:.5g}, std {:.5g}, {:.3g} % zeros", *low, mean,
                     *high, std::sqrt(squares / count), 100 * zeros / count);
}

class TraceText {
 public:
  TraceText(const Trace& trace, const TraceTextOptions& options)
      : trace_(trace), options_(options) {}

  std::string text() {
    text_ += "FORWARD\n";
    for (const TraceValue& value : trace_.values) {
      const bool given =
          value.part == TracePart::kInput && value.name != "lr" && value.name != "step";
      if (!given) continue;
      show(value, value.name == "X" ? names("the input", trace_.features)
                                    : names("the target", trace_.classes));
    }
    for (const TraceLayer& layer : trace_.layers) forward(layer);
    loss();
    text_ += "\nBACKWARD\n";
    for (auto layer = trace_.layers.rbegin(); layer != trace_.layers.rend(); ++layer) {
      backward(*layer);
    }
    for (const TraceSequence& sequence : trace_.sequences)
      text_ += through_time(trace_, sequence, options_);
    if (options_.update) update();
    return text_;
  }

 private:
  void head(const TraceLayer& layer) {
    text_ += fmt::format("\nlayer {}: {}\n", layer.number, layer.text);
  }

  // "the input: sepal length, petal length"
  static std::string names(const std::string& what, const std::vector<std::string>& of) {
    constexpr std::size_t kMost = 6;
    if (of.empty() || of.size() > kMost || of.front() == "0") return what;
    std::string text;
    for (const std::string& name : of) text += (text.empty() ? ": " : ", ") + printable(name);
    return what + text;
  }

  void show(const TraceValue& value, const std::string& remark) {
    std::string line = "  " + value.name;
    if (!value.formula.empty()) line += " = " + value.formula;
    const bool scalar = value.numbers.shape().empty();
    if (scalar) {
      line += " = " + numpy_format(value.numbers);
    } else {
      line += "   " + to_string(value.numbers.shape());
    }
    if (!remark.empty()) line += "   " + remark;
    text_ += line + "\n";
    if (!scalar) show_numbers(value.numbers);
  }

  void show_numbers(const Tensor& numbers) {
    const bool in_full = numbers.size() <= options_.small;
    text_ += indented(in_full ? numpy_format(numbers) : summary(numbers), "    ");
  }

  void forward(const TraceLayer& layer) {
    head(layer);
    for (const std::string& name : layer.parameters) {
      const TraceValue* parameter = trace_.find(name);
      if (parameter != nullptr) show(*parameter, parameter->parameter);
    }
    bool any = false;
    for (const TraceValue& value : trace_.values) {
      if (value.part != TracePart::kForward || value.layer != layer.number) continue;
      show(value, "");
      any = true;
    }
    if (!any) text_ += fmt::format("  {} stays as it is\n", layer.input);
  }

  void loss() {
    text_ += "\nloss\n";
    for (const TraceValue& value : trace_.values) {
      if (value.part == TracePart::kForward && value.layer == 0 && value.name != "loss") {
        show(value, "");
      }
    }
    show(*trace_.find("loss"), "");
  }

  void backward(const TraceLayer& layer) {
    bool first = true;
    for (const TraceValue& value : trace_.values) {
      if (value.part != TracePart::kBackward || value.layer != layer.number) continue;
      if (first) head(layer);
      first = false;
      show(value, "");
    }
  }

  void update() {
    text_ += fmt::format("\nUPDATE   {}, lr = {:g}\n", trace_.optimizer, trace_.lr);
    for (const TraceLayer& layer : trace_.layers) {
      if (layer.parameters.empty()) continue;
      head(layer);
      for (const TraceValue& value : trace_.values) {
        if (value.part != TracePart::kUpdate || value.layer != layer.number) continue;
        const TraceValue* before = value.of.empty() ? nullptr : trace_.find(value.of);
        if (before != nullptr) show(*before, "before");
        show(value, before != nullptr ? "after" : "");
      }
    }
    text_ += fmt::format("\nloss of these rows   before {:.8g}   after {:.8g}   change {:+.3g}\n",
                         trace_.loss, trace_.loss_after, trace_.loss_after - trace_.loss);
  }

  const Trace& trace_;
  const TraceTextOptions& options_;
  std::string text_;
};

}  // namespace

std::string to_text(const Trace& trace, const TraceTextOptions& options) {
  return TraceText(trace, options).text();
}

}  // namespace chainrule
