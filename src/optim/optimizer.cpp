// Optimisers: one block each says its options, its states and which update op it becomes. Clipping
// and the gradient are the same for all of them.
#include <algorithm>

#include "base/phrase_rules.h"
#include "chainrule/error.h"
#include "chainrule/gradient.h"
#include "chainrule/ops.h"
#include "chainrule/optim.h"
#include "optim/hidden_matrices.h"

namespace chainrule {
namespace {

// One parameter on its way through an optimiser.
struct Update {
  const Phrase& phrase;
  Value w;
  Value g;
  Value lr;
  Value step;
  std::vector<Value> states;  // as named by the kind's `states`
  Value shared;               // as the kind's `shared` gives it
  double weight_decay = 0;    // 0 where the phrase says that this parameter is left out
  bool hidden = false;        // a matrix inside the network: see hidden_matrices()
};

using Names = std::vector<std::string>;

struct OptimizerKind {
  PhraseRule rule;
  Names (*states)(const Phrase& phrase, bool hidden) = nullptr;  // one letter each
  std::vector<Value> (*next)(const Update& update) = nullptr;    // of w, then of each state
  double (*usual_rate)(const Phrase& phrase) = nullptr;
  Value (*shared)(const Phrase& phrase, Value old, Value step) = nullptr;  // a state of all, []
};

OptionRule at_least_zero(std::string_view name, std::string_view fallback) {
  return {.name = name, .fallback = fallback, .minimum = 0};
}

OptionRule below_one(std::string_view name, std::string_view fallback) {
  return {.name = name, .fallback = fallback, .minimum = 0, .maximum = 0.9999999};
}

OptionRule flag(std::string_view name, std::string_view fallback = "false") {
  return {.name = name, .kind = OptionKind::kFlag, .fallback = fallback};
}

void check_decay_on(std::string_view word) {
  if (word != "all" && word != "matrices") {
    throw UsageError("decay_on must be all or matrices, got \"" + std::string(word) + "\"");
  }
}

// The options of one optimiser, and those that all have.
std::vector<OptionRule> options(std::vector<OptionRule> own, std::string_view decay,
                                std::string_view decay_on) {
  own.push_back(at_least_zero("weight_decay", decay));
  own.push_back({.name = "decay_on",
                 .kind = OptionKind::kWord,
                 .fallback = decay_on,
                 .check = check_decay_on});
  own.push_back(at_least_zero("l1", "0"));
  own.push_back(below_one("ema", "0"));
  own.push_back({.name = "lr", .minimum = 0, .optional = true});
  return own;
}

Names no_more_than(Names names, std::size_t count) {
  names.resize(std::min(names.size(), count));
  return names;
}

double adaptive_rate(const Phrase&) { return 0.003; }

// ── sgd ──────────────────────────────────────────────────────────────────────
OptimizerKind sgd_kind() {
  return {
      .rule = {"sgd", options({below_one("momentum", "0"), flag("nesterov")}, "0", "all")},
      .states = [](const Phrase& p, bool) { return Names(p.real("momentum") == 0 ? 0 : 1, "v"); },
      .next =
          [](const Update& u) {
            return sgd_update(
                u.w, u.states.empty() ? Value() : u.states[0], u.g, u.lr,
                {u.phrase.real("momentum"), u.phrase.flag("nesterov"), u.weight_decay});
          },
      .usual_rate = [](const Phrase& p) { return p.real("momentum") == 0 ? 0.1 : 0.02; }};
}

// ── rmsprop ──────────────────────────────────────────────────────────────────
OptimizerKind rmsprop_kind() {
  return {.rule = {"rmsprop", options({below_one("decay", "0.99"), at_least_zero("epsilon", "1e-8"),
                                       flag("centered"), below_one("momentum", "0")},
                                      "0", "all")},
          .states =
              [](const Phrase& p, bool) {
                Names states{"s"};
                if (p.flag("centered")) states.emplace_back("a");
                if (p.real("momentum") != 0) states.emplace_back("v");
                return states;
              },
          .next =
              [](const Update& u) {
                return rmsprop_update(
                    u.w, u.states, u.g, u.lr,
                    {u.phrase.real("decay"), u.phrase.real("epsilon"), u.phrase.flag("centered"),
                     u.phrase.real("momentum"), u.weight_decay});
              },
          .usual_rate = adaptive_rate};
}

// ── adagrad, adadelta ────────────────────────────────────────────────────────
OptimizerKind adagrad_kind() {
  return {.rule = {"adagrad", options({at_least_zero("epsilon", "1e-10")}, "0", "all")},
          .states = [](const Phrase&, bool) { return Names{"s"}; },
          .next =
              [](const Update& u) {
                return adagrad_update(u.w, u.states[0], u.g, u.lr,
                                      {u.phrase.real("epsilon"), u.weight_decay});
              },
          .usual_rate = [](const Phrase&) { return 0.03; }};
}

OptimizerKind adadelta_kind() {
  return {.rule = {"adadelta", options({below_one("rho", "0.9"), at_least_zero("epsilon", "1e-6")},
                                       "0", "all")},
          .states =
              [](const Phrase&, bool) {
                return Names{"s", "d"};
              },
          .next =
              [](const Update& u) {
                return adadelta_update(
                    u.w, u.states[0], u.states[1], u.g, u.lr,
                    {u.phrase.real("rho"), u.phrase.real("epsilon"), u.weight_decay});
              },
          .usual_rate = [](const Phrase&) { return 1.0; }};
}

// ── adam, adamw, nadam ───────────────────────────────────────────────────────
AdamOptions adam_options(const Update& u) {
  return {u.phrase.real("beta1"), u.phrase.real("beta2"), u.phrase.real("epsilon"), u.weight_decay,
          u.phrase.name != "adam"};
}

OptimizerKind adam_kind(std::string_view name, std::string_view decay, std::string_view decay_on) {
  return {.rule = {name, options({below_one("beta1", "0.9"), below_one("beta2", "0.999"),
                                  at_least_zero("epsilon", "1e-8"), flag("amsgrad")},
                                 decay, decay_on)},
          .states =
              [](const Phrase& p, bool) {
                return no_more_than({"m", "v", "largest"}, p.flag("amsgrad") ? 3 : 2);
              },
          .next =
              [](const Update& u) {
                return u.states.size() == 2
                           ? adam_update(u.w, u.states[0], u.states[1], u.g, u.lr, u.step,
                                         adam_options(u))
                           : amsgrad_update(u.w, u.states[0], u.states[1], u.states[2], u.g, u.lr,
                                            u.step, adam_options(u));
              },
          .usual_rate = adaptive_rate};
}

NadamOptions nadam_options(const Phrase& p, double weight_decay) {
  return {p.real("beta1"),          p.real("beta2"), p.real("epsilon"),
          p.real("momentum_decay"), weight_decay,    p.flag("decoupled")};
}

OptimizerKind nadam_kind() {
  return {.rule = {"nadam", options({below_one("beta1", "0.9"), below_one("beta2", "0.999"),
                                     at_least_zero("epsilon", "1e-8"),
                                     at_least_zero("momentum_decay", "0.004"), flag("decoupled")},
                                    "0", "all")},
          .states =
              [](const Phrase&, bool) {
                return Names{"m", "v"};
              },
          .next =
              [](const Update& u) {
                return nadam_update(u.w, u.states[0], u.states[1], u.g, u.lr, u.step, u.shared,
                                    nadam_options(u.phrase, u.weight_decay));
              },
          .usual_rate = adaptive_rate,
          .shared = [](const Phrase& p, Value c,
                       Value step) { return nadam_correction(c, step, nadam_options(p, 0)); }};
}

// ── lion ─────────────────────────────────────────────────────────────────────
OptimizerKind lion_kind() {
  return {
      .rule = {"lion",
               options({below_one("beta1", "0.9"), below_one("beta2", "0.99")}, "0.1", "matrices")},
      .states = [](const Phrase&, bool) { return Names{"m"}; },
      .next =
          [](const Update& u) {
            return lion_update(u.w, u.states[0], u.g, u.lr,
                               {u.phrase.real("beta1"), u.phrase.real("beta2"), u.weight_decay});
          },
      .usual_rate = [](const Phrase&) { return 0.0003; }};
}

// ── muon ─────────────────────────────────────────────────────────────────────
// Vectors have no orthogonal form; the rows of a table and the columns of the output layer belong
// to one word or class each, and are not meant to change by equal amounts. They go by AdamW.
OptimizerKind muon_kind() {
  return {.rule = {"muon", options({below_one("momentum", "0.95"),
                                    flag("nesterov", "true"),
                                    {.name = "steps",
                                     .kind = OptionKind::kInteger,
                                     .fallback = "5",
                                     .minimum = 1,
                                     .maximum = 50},
                                    below_one("beta1", "0.9"),
                                    below_one("beta2", "0.95"),
                                    at_least_zero("epsilon", "1e-10")},
                                   "0.1", "matrices")},
          .states =
              [](const Phrase&, bool hidden) {
                return no_more_than({"m", "v"}, hidden ? 1 : 2);
              },
          .next =
              [](const Update& u) {
                if (!u.hidden) {
                  return adam_update(u.w, u.states[0], u.states[1], u.g, u.lr, u.step,
                                     adam_options(u));
                }
                return muon_update(u.w, u.states[0], u.g, u.lr,
                                   {u.phrase.real("momentum"), u.phrase.flag("nesterov"),
                                    u.phrase.integer("steps"), u.weight_decay});
              },
          .usual_rate = adaptive_rate};
}

// ── lbfgs ────────────────────────────────────────────────────────────────────
// Its steps are taken by Lbfgs, outside the graph.
OptimizerKind lbfgs_kind() {
  return {.rule = {"lbfgs",
                   {{.name = "history",
                     .kind = OptionKind::kInteger,
                     .fallback = "10",
                     .minimum = 1,
                     .maximum = 1000},
                    at_least_zero("weight_decay", "0"),
                    {.name = "decay_on",
                     .kind = OptionKind::kWord,
                     .fallback = "all",
                     .check = check_decay_on},
                    {.name = "lr", .minimum = 0, .optional = true}}},
          .usual_rate = [](const Phrase&) { return 1.0; }};
}

const std::vector<OptimizerKind>& optimizer_kinds() {
  static const std::vector<OptimizerKind> kinds{adadelta_kind(),
                                                adagrad_kind(),
                                                adam_kind("adam", "0", "all"),
                                                adam_kind("adamw", "0.01", "matrices"),
                                                lbfgs_kind(),
                                                lion_kind(),
                                                muon_kind(),
                                                nadam_kind(),
                                                rmsprop_kind(),
                                                sgd_kind()};
  return kinds;
}

const OptimizerKind& kind_of(const Optimizer& optimizer) {
  for (const OptimizerKind& kind : optimizer_kinds()) {
    if (kind.rule.name == optimizer.phrase().name) return kind;
  }
  throw UsageError("unknown optimizer " + optimizer.phrase().name);
}

// ── clipping ─────────────────────────────────────────────────────────────────

Value global_norm(const std::vector<Value>& gradients) {
  Value total;
  for (const Value& g : gradients) {
    const Value squares = sum(square(g));
    total = total ? total + squares : squares;
  }
  return sqrt(total);
}

std::vector<Value> clipped(std::vector<Value> gradients, const Clip& clip) {
  if (clip.norm < 0 || clip.value < 0) throw UsageError("a clip limit must not be negative");
  if (clip.value > 0) {
    for (Value& g : gradients) g = minimum(maximum(g, -clip.value), clip.value);
  }
  if (clip.norm > 0 && !gradients.empty()) {
    const Value scale = clip.norm / maximum(global_norm(gradients), clip.norm);
    for (Value& g : gradients) g = g * scale;
  }
  return gradients;
}

}  // namespace

std::vector<std::string> Optimizer::names() {
  std::vector<std::string> names;
  for (const OptimizerKind& kind : optimizer_kinds()) names.emplace_back(kind.rule.name);
  return names;
}

Optimizer Optimizer::parse(std::string_view text) {
  std::vector<PhraseRule> rules;
  for (const OptimizerKind& kind : optimizer_kinds()) rules.push_back(kind.rule);
  Phrase phrase = parse_phrase(text, 1, "optimizer", rules);
  if (phrase.name == "sgd" && phrase.flag("nesterov") && phrase.real("momentum") == 0) {
    throw UsageError("sgd: nesterov needs a momentum, as in \"sgd momentum=0.9 nesterov\"");
  }
  return Optimizer(std::move(phrase));
}

double Optimizer::usual_rate() const {
  return phrase_.word("lr").empty() ? kind_of(*this).usual_rate(phrase_) : phrase_.real("lr");
}

bool Optimizer::is_full_batch() const { return kind_of(*this).next == nullptr; }

bool Optimizer::averages() const {
  return phrase_.options.contains("ema") && phrase_.real("ema") > 0;
}

bool Optimizer::decays(const Shape& parameter) const {
  return phrase_.word("decay_on") == "all" || parameter.size() >= 2;
}

void apply(const Optimizer& optimizer, Value loss, const std::vector<Value>& parameters, Value lr,
           Value step, Clip clip) {
  Graph& graph = loss.graph();
  const Phrase& phrase = optimizer.phrase();
  const OptimizerKind& kind = kind_of(optimizer);
  if (optimizer.is_full_batch()) {
    throw UsageError(phrase.name + " has no update op: it works on all data at once, in fit()");
  }
  const double l1 = phrase.real("l1");
  const double average = phrase.real("ema");
  const std::vector<bool> hidden = hidden_matrices(loss, parameters);
  const std::vector<Value> gradients = clipped(gradient(loss, parameters), clip);
  const auto state = [&](const std::string& letter, const std::string& of, const Type& type) {
    return graph.parameter(phrase.name + "." + letter + "/" + of, type);
  };
  Value shared;
  if (kind.shared != nullptr) {
    const Value old = state("c", "all", {DType::kF32, {}});
    shared = kind.shared(phrase, old, step);
    graph.update(old, shared);
  }
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const Value w = parameters[i];
    Update update{phrase, w, gradients[i], lr, step, {}, shared, 0, hidden[i]};
    if (optimizer.decays(w.shape())) {
      update.weight_decay = phrase.real("weight_decay");
      if (l1 != 0) update.g = update.g + l1 * sign(w);
    }
    for (const std::string& letter : kind.states(phrase, hidden[i])) {
      update.states.push_back(state(letter, w.name(), w.type()));
    }
    const std::vector<Value> next = kind.next(update);
    graph.update(w, next[0]);
    for (std::size_t s = 0; s < update.states.size(); ++s)
      graph.update(update.states[s], next[s + 1]);
    if (average != 0) {
      const Value old = graph.parameter(average_name(w.name()), w.type());
      graph.update(old, weight_average_update(old, next[0], step, average));
    }
  }
}

std::string average_name(std::string_view parameter) { return "ema/" + std::string(parameter); }

bool is_optimizer_state(std::string_view parameter) {
  return parameter.find('/') != std::string_view::npos;
}

}  // namespace chainrule
