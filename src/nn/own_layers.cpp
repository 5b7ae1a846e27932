// Layers that a program adds: a name and a function, known to every text from then on.
#include <algorithm>
#include <deque>
#include <mutex>

#include "base/format.h"
#include "chainrule/error.h"
#include "nn/layer_kind.h"

namespace chainrule {
namespace {

// A kind's texts are views, so what they show must stay where it is.
struct OwnKind {
  std::string name;
  LayerKind kind;
};

struct OwnKinds {
  std::mutex mutex;
  std::deque<OwnKind> kinds;  // a deque: kinds stay where they are when others come
};

OwnKinds& own_kinds() {
  static OwnKinds all;
  return all;
}

void check_name(const std::string& name) {
  const auto fits = [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; };
  const auto fits_inside = [&](char c) { return fits(c) || (c >= '0' && c <= '9'); };
  if (name.empty() || !fits(name[0]) || !std::all_of(name.begin(), name.end(), fits_inside)) {
    throw UsageError(fmt::format(
        "layer \"{}\": expected a name of small letters, digits and underscores", name));
  }
  for (const LayerKind& kind : layer_kinds()) {
    if (kind.rule.name == name || kind.rule.also == name) {
      throw UsageError(fmt::format("layer \"{}\": there is a layer of that name already", name));
    }
  }
}

}  // namespace

const LayerKind* own_layer_kind(std::string_view name) {
  OwnKinds& all = own_kinds();
  const std::lock_guard lock(all.mutex);
  for (const OwnKind& own : all.kinds) {
    if (own.name == name) return &own.kind;
  }
  return nullptr;
}

std::vector<PhraseRule> own_layer_rules() {
  OwnKinds& all = own_kinds();
  const std::lock_guard lock(all.mutex);
  std::vector<PhraseRule> rules;
  for (const OwnKind& own : all.kinds) rules.push_back(own.kind.rule);
  return rules;
}

Phrase layers::layer(const std::string& name, std::function<Value(Value)> function) {
  check_name(name);
  OwnKinds& all = own_kinds();
  {
    const std::lock_guard lock(all.mutex);
    auto own = std::find_if(all.kinds.begin(), all.kinds.end(),
                            [&](const OwnKind& known) { return known.name == name; });
    if (own == all.kinds.end()) {
      own = all.kinds.insert(all.kinds.end(), OwnKind{name, {}});
      own->kind.rule.name = own->name;
      own->kind.usage = own->name;
      own->kind.meaning = "a layer of the program's own";
      // Nobody knows what it does to steps, so it is taken to join them.
      own->kind.at_steps = AtSteps::kJoins;
    }
    own->kind.build = [build = std::move(function)](LayerScope&, Value x) { return build(x); };
  }
  return Sequential::parse(name).layers().front();
}

}  // namespace chainrule
