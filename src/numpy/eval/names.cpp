// How people name things in such programs. These are customs, not rules: where they mislead, the
// numbers stay right and only the roles (weight or data) differ.
#include "numpy/eval/names.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace chainrule::numpy {
namespace {

bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return result;
}

class Walk {
 public:
  Names run(const Block& block) {
    visit(block, [this](const Statement& s, bool) { statement(s); });
    return std::move(names_);
  }

 private:
  void statement(const Statement& s) {
    const auto see = [this](const Expression& e) {
      if (e.kind == ExpressionKind::kName || e.kind == ExpressionKind::kString) {
        names_.all.insert(e.text);
      }
    };
    for (const ExpressionPtr& target : s.targets) {
      visit(target, see);
      assigned(*target, s);
    }
    visit(s.value, see);
    if (!s.function) return;
    for (const std::string& parameter : s.function->parameters) names_.all.insert(parameter);
  }

  // W1 or params["W1"].
  static std::string name_of(const Expression& e) {
    if (e.kind == ExpressionKind::kName) return e.text;
    if (e.kind == ExpressionKind::kSubscript && e.children[1] &&
        e.children[1]->kind == ExpressionKind::kString) {
      return e.children[1]->text;
    }
    return {};
  }

  void assigned(const Expression& target, const Statement& s) {
    if (target.kind == ExpressionKind::kTuple || target.kind == ExpressionKind::kList) {
      for (const ExpressionPtr& child : target.children) assigned(*child, s);
      return;
    }
    const std::string name = name_of(target);
    if (name.empty()) {
      if (target.kind == ExpressionKind::kSubscript) {
        names_.element_assigned.insert(name_of(*target.children[0]));
      }
      return;
    }
    if (s.kind == StatementKind::kFor) {
      names_.looped.insert(name);
      return;
    }
    names_.assigned.insert(name);
    const bool augmented = s.kind == StatementKind::kAugmented && (s.text == "-" || s.text == "+");
    if (augmented || (s.kind == StatementKind::kAssign && is_step(name, *s.value))) {
      names_.updated.insert(name);
    }
  }

  // W - lr * dW
  static bool is_step(const std::string& name, const Expression& e) {
    return e.kind == ExpressionKind::kBinary && (e.text == "-" || e.text == "+") &&
           name_of(*e.children[0]) == name;
  }

  Names names_;
};

bool any_prefix(std::string_view text, std::initializer_list<std::string_view> prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](std::string_view p) { return text.starts_with(p); });
}

bool any_of(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

// "W", "W1", "W_out", "Wxh", "bh": a letter with at most three more, or parted by an underscore.
bool short_with_first(std::string_view name, std::string_view letters, std::size_t more) {
  if (name.empty() || letters.find(name[0]) == std::string_view::npos) return false;
  if (name.size() == 1 || is_digit(name[1]) || name[1] == '_' || is_upper(name[1])) return true;
  const auto word =
      std::find_if(name.begin() + 1, name.end(), [](char c) { return is_digit(c) || c == '_'; });
  return static_cast<std::size_t>(word - name.begin()) <= 1 + more;
}

}  // namespace

Names names_of(const Block& program) {
  constexpr std::size_t kLongest = 40;
  Names names = Walk().run(program);
  for (const std::string& line : names.assigned) {
    if (line[0] != 'd' || !is_gradient_name(line, names)) continue;
    for (std::size_t d = line.find('d', 2); d < line.size() - 1; d = line.find('d', d + 1)) {
      if (line.size() - d - 1 <= kLongest) names.differentiated.insert(line.substr(d + 1));
    }
  }
  return names;
}

bool is_gradient_name(std::string_view name, const Names& names) {
  const std::string small = lower(name);
  if (small.find("grad") != std::string::npos || small.starts_with("delta")) return true;
  if (name.size() < 2 || name[0] != 'd') return false;
  const std::string_view rest = name.substr(1);
  // dfdx, dL_dW
  for (std::size_t d = rest.find('d', 1); d < rest.size() - 1; d = rest.find('d', d + 1)) {
    std::string_view above = rest.substr(0, d);
    if (above.ends_with('_')) above.remove_suffix(1);
    if (names.all.contains(above)) return true;
  }
  return is_upper(rest[0]) || any_of(rest, {"out", "loss", "h", "hnext", "hraw"}) ||
         names.all.contains(rest) || (rest[0] == '_' && names.all.contains(rest.substr(1)));
}

bool has_gradient_line(std::string_view name, const Names& names) {
  const std::string n(name);
  for (const std::string& line :
       {"d" + n, "d_" + n, "grad_" + n, n + "_grad", "grad" + n, "dL_d" + n, "dLd" + n,
        "dloss_d" + n, "dJ_d" + n, "dL" + n, "g_" + n}) {
    if (names.assigned.contains(line)) return true;
  }
  return names.differentiated.contains(n);
}

int loss_rank(std::string_view name) {
  constexpr std::array<std::string_view, 16> kNames = {
      "loss",  "cost", "L",   "J",   "total_loss", "Loss", "Cost",          "objective",
      "error", "E",    "err", "mse", "nll",        "ce",   "cross_entropy", "l"};
  const auto found = std::find(kNames.begin(), kNames.end(), name);
  if (found != kNames.end()) return static_cast<int>(found - kNames.begin());
  const std::string small = lower(name);
  const bool like =
      small.find("loss") != std::string::npos || small.find("cost") != std::string::npos;
  return like ? static_cast<int>(kNames.size()) : -1;
}

bool is_loss_name(std::string_view name) { return loss_rank(name) >= 0; }

bool is_data_name(std::string_view name) {
  const std::string small = lower(name);
  if (any_prefix(small, {"label", "target", "input", "data", "train", "test", "batch", "sample",
                         "feature", "mask", "image", "idx", "ix", "ind", "perm", "noise"})) {
    return true;
  }
  const std::string_view letters = small;
  return (letters[0] == 'x' || letters[0] == 'y' || letters[0] == 't') &&
         short_with_first(name, name.substr(0, 1), 1);
}

bool is_weight_name(std::string_view name) {
  const std::string small = lower(name);
  if (any_prefix(small, {"weight", "bias", "gamma", "beta", "theta", "emb", "kernel", "filter",
                         "param", "syn", "gain"}) ||
      small.ends_with("gain") || small.ends_with("bias") || small.ends_with("weight") ||
      small.ends_with("weights") || small.ends_with("emb")) {
    return true;
  }
  if (name.size() == 1 || is_digit(name[1]))
    return std::string_view("WwUuVvbBECK").find(name[0]) != std::string_view::npos;
  return short_with_first(name, "WwUV", 3) || short_with_first(name, "b", 1);
}

bool is_parameter_name(std::string_view name, const Names& names) {
  // E is an embedding more often than an error.
  if (is_gradient_name(name, names) || (is_loss_name(name) && name != "E")) return false;
  if (names.updated.contains(name)) return true;
  if (is_data_name(name)) return false;
  return is_weight_name(name) || has_gradient_line(name, names);
}

bool is_setting_name(std::string_view name) {
  const std::string small = lower(name);
  return small.size() > 3 || any_of(small, {"lr", "eps", "m", "n", "k", "h", "d", "reg", "lam",
                                            "eta", "mu", "rho", "bs", "dim", "nin", "seed", "tol"});
}

}  // namespace chainrule::numpy
