// Optimisers: one block each says its options, its states and which update op it becomes. Clipping
// and the gradient are the same for all of them.
#include "base/phrase_rules.h"
#include "chainrule/error.h"
#include "chainrule/gradient.h"
#include "chainrule/ops.h"
#include "chainrule/optim.h"

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
};

struct OptimizerKind {
  PhraseRule rule;
  std::vector<std::string> (*states)(const Phrase& phrase);  // one letter each
  std::vector<Value> (*next)(const Update& update);          // of w, then of each state
  double (*usual_rate)(const Phrase& phrase);
};

OptionRule at_least_zero(std::string_view name, std::string_view fallback) {
  return {.name = name, .fallback = fallback, .minimum = 0};
}

OptionRule below_one(std::string_view name, std::string_view fallback) {
  return {.name = name, .fallback = fallback, .minimum = 0, .maximum = 0.9999999};
}

OptionRule flag(std::string_view name) {
  return {.name = name, .kind = OptionKind::kFlag, .fallback = "false"};
}

double adaptive_rate(const Phrase&) { return 0.003; }

// ── sgd ──────────────────────────────────────────────────────────────────────
OptimizerKind sgd_kind() {
  return {
      {"sgd", {below_one("momentum", "0"), flag("nesterov"), at_least_zero("weight_decay", "0")}},
      [](const Phrase& p) -> std::vector<std::string> {
        if (p.real("momentum") == 0) return {};
        return {"v"};
      },
      [](const Update& u) {
        const SgdOptions options{u.phrase.real("momentum"), u.phrase.flag("nesterov"),
                                 u.phrase.real("weight_decay")};
        return sgd_update(u.w, u.states.empty() ? Value() : u.states[0], u.g, u.lr, options);
      },
      [](const Phrase& p) { return p.real("momentum") == 0 ? 0.1 : 0.02; }};
}

// ── rmsprop ──────────────────────────────────────────────────────────────────
OptimizerKind rmsprop_kind() {
  return {{"rmsprop",
           {below_one("decay", "0.99"), at_least_zero("epsilon", "1e-8"), flag("centered"),
            below_one("momentum", "0"), at_least_zero("weight_decay", "0")}},
          [](const Phrase& p) {
            std::vector<std::string> states{"s"};
            if (p.flag("centered")) states.emplace_back("a");
            if (p.real("momentum") != 0) states.emplace_back("v");
            return states;
          },
          [](const Update& u) {
            const RmspropOptions options{u.phrase.real("decay"), u.phrase.real("epsilon"),
                                         u.phrase.flag("centered"), u.phrase.real("momentum"),
                                         u.phrase.real("weight_decay")};
            return rmsprop_update(u.w, u.states, u.g, u.lr, options);
          },
          adaptive_rate};
}

// ── adam, adamw ──────────────────────────────────────────────────────────────
OptimizerKind adam_kind(std::string_view name, std::string_view usual_decay) {
  return {{name,
           {below_one("beta1", "0.9"), below_one("beta2", "0.999"),
            at_least_zero("epsilon", "1e-8"), at_least_zero("weight_decay", usual_decay)}},
          [](const Phrase&) -> std::vector<std::string> {
            return {"m", "v"};
          },
          [](const Update& u) {
            const AdamOptions options{u.phrase.real("beta1"), u.phrase.real("beta2"),
                                      u.phrase.real("epsilon"), u.phrase.real("weight_decay"),
                                      u.phrase.name == "adamw"};
            return adam_update(u.w, u.states[0], u.states[1], u.g, u.lr, u.step, options);
          },
          adaptive_rate};
}

const std::vector<OptimizerKind>& optimizer_kinds() {
  static const std::vector<OptimizerKind> kinds{adam_kind("adam", "0"), adam_kind("adamw", "0.01"),
                                                rmsprop_kind(), sgd_kind()};
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

Optimizer Optimizer::parse(std::string_view text) {
  std::vector<PhraseRule> rules;
  for (const OptimizerKind& kind : optimizer_kinds()) rules.push_back(kind.rule);
  Phrase phrase = parse_phrase(text, 1, "optimizer", rules);
  if (phrase.name == "sgd" && phrase.flag("nesterov") && phrase.real("momentum") == 0) {
    throw UsageError("sgd: nesterov needs a momentum, as in \"sgd momentum=0.9 nesterov\"");
  }
  return Optimizer(std::move(phrase));
}

double Optimizer::usual_rate() const { return kind_of(*this).usual_rate(phrase_); }

void apply(const Optimizer& optimizer, Value loss, const std::vector<Value>& parameters, Value lr,
           Value step, Clip clip) {
  Graph& graph = loss.graph();
  const OptimizerKind& kind = kind_of(optimizer);
  const std::vector<Value> gradients = clipped(gradient(loss, parameters), clip);
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    Update update{optimizer.phrase(), parameters[i], gradients[i], lr, step, {}};
    for (const std::string& state : kind.states(optimizer.phrase())) {
      update.states.push_back(
          graph.parameter(optimizer.phrase().name + "." + state + "/" + parameters[i].name(),
                          parameters[i].type()));
    }
    const std::vector<Value> next = kind.next(update);
    graph.update(parameters[i], next[0]);
    for (std::size_t s = 0; s < update.states.size(); ++s)
      graph.update(update.states[s], next[s + 1]);
  }
}

bool is_optimizer_state(std::string_view parameter) {
  return parameter.find('/') != std::string_view::npos;
}

}  // namespace chainrule
