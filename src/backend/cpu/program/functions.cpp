// The table from op names to elementwise functions.
#include "backend/cpu/program/functions.h"

#include <string_view>
#include <utility>

#include "graph/op.h"

namespace chainrule::cpu {
namespace {

constexpr std::pair<std::string_view, Fn> kFunctions[] = {
    {"add", Fn::kAdd},           {"sub", Fn::kSub},
    {"mul", Fn::kMul},           {"div", Fn::kDiv},
    {"neg", Fn::kNeg},           {"pow", Fn::kPow},
    {"maximum", Fn::kMaximum},   {"minimum", Fn::kMinimum},
    {"less", Fn::kLess},         {"less_equal", Fn::kLessEqual},
    {"greater", Fn::kGreater},   {"greater_equal", Fn::kGreaterEqual},
    {"equal", Fn::kEqual},       {"not_equal", Fn::kNotEqual},
    {"where", Fn::kWhere},       {"exp", Fn::kExp},
    {"log", Fn::kLog},           {"sqrt", Fn::kSqrt},
    {"abs", Fn::kAbs},           {"sign", Fn::kSign},
    {"sin", Fn::kSin},           {"cos", Fn::kCos},
    {"erf", Fn::kErf},           {"relu", Fn::kRelu},
    {"sigmoid", Fn::kSigmoid},   {"tanh", Fn::kTanh},
    {"softplus", Fn::kSoftplus}, {"to_float", Fn::kFromInt},
    {"gelu", Fn::kGelu},         {"gelu_slope", Fn::kGeluSlope},
    {"expm1", Fn::kExpm1},       {"log1p", Fn::kLog1p},
};

}  // namespace

std::optional<Fn> function_of(const Node& node) {
  for (const auto& [name, fn] : kFunctions) {
    if (name == node.op->name) return fn;
  }
  return std::nullopt;
}

}  // namespace chainrule::cpu
