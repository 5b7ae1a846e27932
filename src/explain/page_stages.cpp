// What a good teacher would say at each stage of a training step.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "explain/page.h"
#include "nn/layer_kind.h"

namespace chainrule {
namespace {

using nlohmann::json;

const LayerKind* kind_of(const TraceLayer& layer) {
  const std::string name = layer.text.substr(0, layer.text.find(' '));
  for (const LayerKind& kind : layer_kinds()) {
    if (kind.rule.name == name) return &kind;
  }
  return nullptr;
}

std::string replaced(std::string text, const std::string& what, const std::string& by) {
  for (std::size_t at = text.find(what); at != std::string::npos;
       at = text.find(what, at + by.size())) {
    text.replace(at, what.size(), by);
  }
  return text;
}

std::string words(std::string_view text, const TraceLayer& layer) {
  return replaced(replaced(std::string(text), "{in}", layer.input), "{out}", layer.output);
}

json stage(const char* kind, std::size_t layer, std::string mark, std::string title,
           std::string text, json lines) {
  return {{"kind", kind},
          {"mark", std::move(mark)},
          {"layer", layer},
          {"title", std::move(title)},
          {"text", std::move(text)},
          {"lines", std::move(lines)}};
}

json names(const Trace& trace, TracePart part, std::size_t layer) {
  json lines = json::array();
  for (const TraceValue& v : trace.values) {
    if (v.part == part && v.layer == layer) lines.push_back(v.name);
  }
  return lines;
}

// All that the first forward stages leave for the loss: P, Y, and the loss itself.
json loss_lines(const Trace& trace) {
  json lines = json::array();
  for (const char* name : {"P", "Y", "loss"}) {
    const TraceValue* v = trace.find(name);
    if (v != nullptr && v->part == TracePart::kForward) lines.push_back(name);
  }
  return lines;
}

std::string rows_text(std::int64_t rows) {
  return rows == 1 ? "One example" : fmt::format("A batch of {} examples", rows);
}

json input_stage(const Trace& trace) {
  const Shape& shape = trace.find("X")->numbers.shape();
  const std::int64_t features = element_count(shape) / shape[0];
  return stage("input", 0, "X", "The input",
               fmt::format("{} with {} numbers each enters the network. The drawing follows one of "
                           "them at a time; the step is made from all.",
                           rows_text(trace.rows), features),
               {"X"});
}

json forward_stage(const Trace& trace, const TraceLayer& layer) {
  const LayerKind* kind = kind_of(layer);
  const std::string_view text = kind == nullptr         ? ""
                                : kind->forward.empty() ? kind->meaning
                                                        : kind->forward;
  return stage("forward", layer.number, layer.output,
               fmt::format("Forward: layer {}, {}", layer.number, layer.text), words(text, layer),
               names(trace, TracePart::kForward, layer.number));
}

json loss_stage(const Trace& trace) {
  const bool classes = !trace.classes.empty();
  const std::string text =
      classes ? fmt::format(
                    "{0} says how probable the network finds each class. Of each example only "
                    "the class that is right counts: its loss is −ln of that probability, 0 "
                    "if it is 1 and large if it is small. The loss is the mean over the batch.",
                    trace.output)
              : fmt::format(
                    "How far is {} from the target Y? The loss is the mean of the squared "
                    "differences.",
                    trace.output);
  return stage("loss", 0, "loss", "The loss: one number for the whole batch", text,
               loss_lines(trace));
}

// The last layer whose output the gradient of the loss is written for without other gradients.
std::string first_gradient(const Trace& trace) {
  const std::string last = trace.layers.back().output;
  const TraceValue* v = trace.gradient_of(last);
  return v != nullptr ? v->name : "";
}

json gradient_stage(const Trace& trace) {
  const std::string name = first_gradient(trace);
  const std::string of = trace.layers.back().output;
  std::string text = fmt::format(
      "Now backward. {} says how the loss would change if a number of {} "
      "grew a little. ",
      name, of);
  if (trace.output == "P") {
    text +=
        "Softmax and logarithm together have a derivative that is simpler than either: what the "
        "network said minus what is right, over the number of examples.";
  } else if (trace.classes.empty()) {
    text +=
        "The derivative of a square is twice the difference; the mean divides it by the number "
        "of examples.";
  } else {
    text += "Only the probability of the right class matters, and the smaller it is, the more.";
  }
  return stage("gradient", 0, name, "Backward: the gradient of the loss", text, {name});
}

json backward_stage(const Trace& trace, const TraceLayer& layer, const std::string& shown) {
  const LayerKind* kind = kind_of(layer);
  const std::string_view text = kind == nullptr ? "" : kind->backward;
  json lines = json::array();
  for (const TraceValue& v : trace.values) {
    const bool of_layer = v.part == TracePart::kBackward && v.layer == layer.number;
    const bool into = v.of == layer.input && v.part == TracePart::kBackward;
    const bool of_output = v.of == layer.output;
    if ((of_layer && !of_output && v.name != shown) || into) lines.push_back(v.name);
  }
  const std::string mark =
      "d" + (layer.parameters.empty() ? layer.input : layer.parameters.front());
  return stage("backward", layer.number, mark,
               fmt::format("Backward: layer {}, {}", layer.number, layer.text), words(text, layer),
               std::move(lines));
}

json update_stage(const Trace& trace) {
  json lines = json::array();
  for (const TraceValue& v : trace.values) {
    if (v.part == TracePart::kUpdate) lines.push_back(v.name);
  }
  const std::string rule = trace.optimizer.substr(0, trace.optimizer.find(' '));
  std::string text = fmt::format(
      "A gradient points uphill, so every weight takes a small step the other way ({}, learning "
      "rate "
      "{:g}). ",
      trace.optimizer, trace.lr);
  const bool falls = trace.loss_after < trace.loss;
  text += fmt::format("On this batch the loss {} from {:.4g} to {:.4g}.", falls ? "falls" : "goes",
                      trace.loss, trace.loss_after);
  if (!falls) text += " It did not fall: the step was too long for so curved a loss.";
  return stage("update", 0, "W'", "The update", text, std::move(lines));
}

}  // namespace

json page_stages(const Trace& trace) {
  json stages = json::array();
  stages.push_back(input_stage(trace));
  for (const TraceLayer& layer : trace.layers) stages.push_back(forward_stage(trace, layer));
  stages.push_back(loss_stage(trace));
  stages.push_back(gradient_stage(trace));
  const std::string shown = first_gradient(trace);
  for (std::size_t i = trace.layers.size(); i-- > 0;) {
    json back = backward_stage(trace, trace.layers[i], shown);
    // A softmax before the loss has handed its gradient on already; the first activation of an
    // input without weights has none.
    if (!back["lines"].empty()) stages.push_back(std::move(back));
  }
  stages.push_back(update_stage(trace));
  return stages;
}

}  // namespace chainrule
