// Learning-rate schedules: pure functions of the step, so that a resumed run continues exactly.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/phrase_rules.h"
#include "chainrule/error.h"
#include "chainrule/optim.h"

namespace chainrule {
namespace {

// Where a schedule stands: steps done since the warm-up ended, and how many there are.
struct Place {
  double done;
  double total;
  double share() const { return done / total; }
};

struct ScheduleKind {
  PhraseRule rule;
  double (*factor)(const Phrase& phrase, Place place);
};

double half_cosine(double from, double to, double share) {
  return to + (from - to) * (1 + std::cos(std::numbers::pi * share)) / 2;
}

// `every` and `warmup` below 1 are fractions of all steps.
double steps_of(double value, double total) {
  return value < 1 ? std::round(value * total) : std::round(value);
}

double one_cycle(const Phrase& phrase, Place place) {
  // The peak stands at step `rise`, the end at the last step, as in PyTorch's OneCycleLR.
  const double last = std::max(place.total - 1, 1.0);
  const double warmup = phrase.real("warmup");
  const double rise = std::clamp((warmup < 1 ? warmup * place.total : warmup) - 1, 0.0, last);
  const double low = 1 / phrase.real("start");
  if (place.done <= rise && rise > 0) return half_cosine(low, 1, place.done / rise);
  const double fall = std::max(last - rise, 1.0);
  return half_cosine(1, low / phrase.real("final"), std::min(1.0, (place.done - rise) / fall));
}

const OptionRule kWarmup{.name = "warmup", .fallback = "0", .minimum = 0};
const OptionRule kMinimum{.name = "min", .fallback = "0", .minimum = 0, .maximum = 1};

const std::vector<ScheduleKind>& schedule_kinds() {
  static const std::vector<ScheduleKind> kinds{
      {{"constant", {kWarmup}}, [](const Phrase&, Place) { return 1.0; }},
      {{"cosine", {kMinimum, kWarmup}},
       [](const Phrase& p, Place place) { return half_cosine(1, p.real("min"), place.share()); }},
      {{"exponential",
        {{.name = "end", .fallback = "0.01", .minimum = 1e-12, .maximum = 1}, kWarmup}},
       [](const Phrase& p, Place place) { return std::pow(p.real("end"), place.share()); }},
      {{"linear", {kMinimum, kWarmup}},
       [](const Phrase& p, Place place) { return 1 - (1 - p.real("min")) * place.share(); }},
      {{"one_cycle",
        {{.name = "warmup", .fallback = "0.3", .minimum = 0},
         {.name = "start", .fallback = "25", .minimum = 1},
         {.name = "final", .fallback = "10000", .minimum = 1}}},
       one_cycle},
      {{"step",
        {{.name = "every", .minimum = 1e-6},
         {.name = "factor", .fallback = "0.1", .minimum = 0},
         kWarmup}},
       [](const Phrase& p, Place place) {
         const double every = std::max(1.0, steps_of(p.real("every"), place.total));
         return std::pow(p.real("factor"), std::floor(place.done / every));
       }},
  };
  return kinds;
}

}  // namespace

Schedule Schedule::parse(std::string_view text) {
  std::vector<PhraseRule> rules;
  for (const ScheduleKind& kind : schedule_kinds()) rules.push_back(kind.rule);
  return Schedule(parse_phrase(text, 1, "schedule", rules));
}

double learning_rate(const Schedule& schedule, std::int64_t step, std::int64_t total_steps) {
  const Phrase& phrase = schedule.phrase();
  const auto total = static_cast<double>(std::max<std::int64_t>(total_steps, 1));
  const double done = std::clamp(static_cast<double>(step - 1), 0.0, total);
  const bool rises_by_itself = phrase.name == "one_cycle";
  const double warmup =
      rises_by_itself ? 0 : std::min(steps_of(phrase.real("warmup"), total), total);
  if (done < warmup) return (done + 1) / warmup;
  const Place place{done - warmup, std::max(total - warmup, 1.0)};
  for (const ScheduleKind& kind : schedule_kinds()) {
    if (kind.rule.name == phrase.name) return kind.factor(phrase, place);
  }
  throw UsageError("unknown schedule " + phrase.name);
}

}  // namespace chainrule
