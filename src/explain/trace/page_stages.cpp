// What a good teacher would say at each stage of a training step.
#include <algorithm>

#include "base/format.h"
#include "explain/trace/page.h"
#include "nn/layer_kind.h"
#include "notation/words.h"

namespace chainrule {
namespace {

const LayerKind* kind_of(const TraceLayer& layer) {
  const std::string name = layer.text.substr(0, layer.text.find(' '));
  for (const LayerKind& kind : layer_kinds()) {
    if (kind.rule.name == name) return &kind;
  }
  return nullptr;
}

// Without the sentences that mention `what`.
std::string without(std::string_view text, std::string_view what) {
  std::string kept;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t end = std::min(text.find(". ", at), text.size() - 1) + 1;
    const std::string_view sentence = text.substr(at, end - at);
    if (sentence.find(what) == std::string_view::npos)
      kept += (kept.empty() ? "" : " ") + std::string(sentence);
    at = end + 1;
  }
  return kept;
}

std::string words(std::string_view text, const TraceLayer& layer) {
  return replaced(replaced(std::string(text), "{in}", layer.input), "{out}", layer.output);
}

std::vector<std::string> names(const Trace& trace, TracePart part, std::size_t layer) {
  std::vector<std::string> lines;
  for (const TraceValue& v : trace.values) {
    if (v.part == part && v.layer == layer) lines.push_back(v.name);
  }
  return lines;
}

std::string rows_text(std::int64_t rows) {
  return rows == 1 ? "One example" : fmt::format("A batch of {} examples", rows);
}

PageStage input_stage(const Trace& trace) {
  const Shape& shape = trace.find("X")->numbers.shape();
  const std::int64_t features = element_count(shape) / shape[0];
  return {"input",
          0,
          "X",
          "The input",
          fmt::format("{} with {} numbers each enters the network. The drawing follows one of "
                      "them at a time; the step is made from all.",
                      rows_text(trace.rows), features),
          {"X"}};
}

PageStage forward_stage(const Trace& trace, const TraceLayer& layer) {
  const LayerKind* kind = kind_of(layer);
  const std::string_view text = kind == nullptr         ? ""
                                : kind->forward.empty() ? kind->meaning
                                                        : kind->forward;
  return {"forward",          layer.number,
          layer.output,       fmt::format("Forward: layer {}, {}", layer.number, layer.text),
          words(text, layer), names(trace, TracePart::kForward, layer.number)};
}

PageStage loss_stage(const Trace& trace) {
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
  return {"loss", 0,
          "loss", "The loss: one number for the whole batch",
          text,   names(trace, TracePart::kForward, 0)};
}

// The last layer whose output the gradient of the loss is written for without other gradients.
std::string first_gradient(const Trace& trace) {
  const std::string last = trace.layers.back().output;
  const TraceValue* v = trace.gradient_of(last);
  return v != nullptr ? v->name : "";
}

PageStage gradient_stage(const Trace& trace) {
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
  return {"gradient", 0, name, "Backward: the gradient of the loss", text, {name}};
}

PageStage backward_stage(const Trace& trace, const TraceLayer& layer, const std::string& shown) {
  const LayerKind* kind = kind_of(layer);
  const std::string_view text = kind == nullptr ? "" : kind->backward;
  const TraceValue* arrived = trace.gradient_of(layer.input);
  const bool goes_on = arrived != nullptr || layer.parameters.empty();
  std::vector<std::string> lines;
  for (const TraceValue& v : trace.values) {
    const bool of_layer = v.part == TracePart::kBackward && v.layer == layer.number;
    const bool into =
        v.part == TracePart::kBackward && arrived != nullptr && v.value == arrived->value;
    const bool of_output = v.of == layer.output;
    if ((of_layer && !of_output && v.name != shown) || into) lines.push_back(v.name);
  }
  const std::string mark =
      "d" + (layer.parameters.empty() ? layer.input : layer.parameters.front());
  return {"backward",
          layer.number,
          mark,
          fmt::format("Backward: layer {}, {}", layer.number, layer.text),
          words(goes_on ? std::string(text) : without(text, "{in}"), layer),
          std::move(lines)};
}

// ── through time ─────────────────────────────────────────────────────────────

bool is_recurrent(const Trace& trace, const TraceLayer& layer) {
  return std::any_of(trace.sequences.begin(), trace.sequences.end(),
                     [&](const TraceSequence& s) { return s.layer == layer.number; });
}

// Which state of which sequence a name is.
struct Place {
  const TraceSequence* sequence = nullptr;
  std::size_t step = 0;
};

Place place_of(const Trace& trace, const std::string& state) {
  for (const TraceSequence& sequence : trace.sequences) {
    const auto at = std::find(sequence.states.begin(), sequence.states.end(), state);
    if (at != sequence.states.end()) {
      return {&sequence, static_cast<std::size_t>(at - sequence.states.begin())};
    }
  }
  return {};
}

std::string step_text(const Place& place) {
  const std::vector<std::string>& states = place.sequence->states;
  const std::size_t t = place.step;
  const bool first = place.sequence->reverse ? t + 1 == states.size() : t == 0;
  const std::string state = states[t];
  const std::string input = t < place.sequence->inputs.size() ? place.sequence->inputs[t] : "";
  const std::string reads = input.empty() ? "the input of this step" : "the input " + input;
  if (first) {
    return fmt::format(
        "The layer reads {}. It has nothing to remember yet, so its state {} depends "
        "on that alone.",
        reads, state);
  }
  return fmt::format(
      "The layer reads {} and its own state from the step before, {}. Together they "
      "give the new state {}. The weights are the same at every step.",
      reads, states[place.sequence->reverse ? t + 1 : t - 1], state);
}

// A stage for each state, with what was computed on the way to it.
void forward_through_time(const Trace& trace, const TraceLayer& layer,
                          std::vector<PageStage>& stages) {
  std::vector<std::string> lines;
  for (const TraceValue& v : trace.values) {
    if (v.part != TracePart::kForward || v.layer != layer.number) continue;
    lines.push_back(v.name);
    const Place place = place_of(trace, v.name);
    if (place.sequence == nullptr) continue;
    stages.push_back(PageStage{
        "forward", layer.number, v.name,
        fmt::format("Forward: layer {}, {}, time step {}", layer.number, layer.text, place.step),
        step_text(place), std::move(lines)});
    lines.clear();
  }
  std::vector<std::string>& last = stages.back().lines;
  last.insert(last.end(), lines.begin(), lines.end());
}

std::string back_text(const Trace& trace, const Place& place) {
  const TraceSequence& sequence = *place.sequence;
  const std::vector<double>& norms = sequence.norms[place.step];
  const std::string last = sequence.reverse ? sequence.states.front() : sequence.states.back();
  const std::string factor = fmt::format("{:.3g}", *std::max_element(norms.begin(), norms.end()));
  return fmt::format(
      "Back through time: through the same cell, the other way, the gradient comes to {0}. Every "
      "step multiplies it by one more Jacobian. The product of those between {0} and {1} has norm "
      "{2}{3}: a small change of {0} changes {1} by no more than that factor.",
      sequence.states[place.step], last, factor,
      trace.rows > 1 ? " (the largest of the batch)" : "");
}

void backward_through_time(const Trace& trace, const TraceLayer& layer,
                           std::vector<PageStage>& stages) {
  const TraceValue* arrived = trace.gradient_of(layer.output);
  std::vector<std::string> lines;
  for (const TraceValue& v : trace.values) {
    if (v.part != TracePart::kBackward || v.layer != layer.number) continue;
    if (arrived != nullptr && v.value == arrived->value) continue;
    lines.push_back(v.name);
    const Place place = place_of(trace, v.of);
    if (place.sequence == nullptr) continue;
    stages.push_back(PageStage{"backward", layer.number, v.name,
                               fmt::format("Backward: layer {}, {}, to time step {}", layer.number,
                                           layer.text, place.step),
                               back_text(trace, place), std::move(lines)});
    lines.clear();
  }
  stages.push_back(
      PageStage{"backward", layer.number, "d" + layer.parameters.front(),
                fmt::format("Backward: the weights of layer {}, {}", layer.number, layer.text),
                "Every time step used the same weights, so a weight's gradient is the sum "
                "of what each of them says.",
                std::move(lines)});
}

PageStage update_stage(const Trace& trace) {
  std::vector<std::string> lines;
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
  return {"update", 0, "W'", "The update", text, std::move(lines)};
}

}  // namespace

std::vector<PageStage> page_stages(const Trace& trace) {
  std::vector<PageStage> stages;
  stages.push_back(input_stage(trace));
  for (const TraceLayer& layer : trace.layers) {
    if (is_recurrent(trace, layer)) {
      forward_through_time(trace, layer, stages);
    } else {
      stages.push_back(forward_stage(trace, layer));
    }
  }
  stages.push_back(loss_stage(trace));
  stages.push_back(gradient_stage(trace));
  const std::string shown = first_gradient(trace);
  for (std::size_t i = trace.layers.size(); i-- > 0;) {
    if (is_recurrent(trace, trace.layers[i])) {
      backward_through_time(trace, trace.layers[i], stages);
      continue;
    }
    PageStage back = backward_stage(trace, trace.layers[i], shown);
    // A softmax before the loss has handed its gradient on already; the first activation of an
    // input without weights has none.
    if (!back.lines.empty()) stages.push_back(std::move(back));
  }
  stages.push_back(update_stage(trace));
  return stages;
}

}  // namespace chainrule
