// Initial values of weights. Every number comes from the counter-based generator at (seed, parameter,
// step 0, position); training steps count from 1, so dropout never sees the same numbers.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/format.h"
#include "base/nearest.h"
#include "base/philox.h"
#include "base/phrase_rules.h"
#include "chainrule/error.h"
#include "chainrule/nn.h"

namespace chainrule {
namespace {

using Kind = Initializer::Kind;

struct InitializerName {
  std::string_view name;
  double value;  // when none is given
  Kind kind;
  bool needs_value;
};

// The first name of a kind is the one it is written by.
constexpr InitializerName kNames[] = {
    {"zeros", 0, Kind::kConstant, false},
    {"ones", 1, Kind::kConstant, false},
    {"constant", 0, Kind::kConstant, true},
    {"normal", 1, Kind::kNormal, true},
    {"uniform", 1, Kind::kUniform, true},
    {"xavier_normal", 1, Kind::kXavierNormal, false},
    {"xavier_uniform", 1, Kind::kXavierUniform, false},
    {"glorot_normal", 1, Kind::kXavierNormal, false},
    {"glorot_uniform", 1, Kind::kXavierUniform, false},
    {"he_normal", std::numbers::sqrt2, Kind::kHeNormal, false},
    {"he_uniform", std::numbers::sqrt2, Kind::kHeUniform, false},
    {"kaiming_normal", std::numbers::sqrt2, Kind::kHeNormal, false},
    {"kaiming_uniform", std::numbers::sqrt2, Kind::kHeUniform, false},
    {"orthogonal", 1, Kind::kOrthogonal, false},
};

double uniform(const PhiloxStream& stream, std::uint64_t index, double limit) {
  return limit * (2 * stream.uniform(index) - 1);
}

double normal(const PhiloxStream& stream, std::uint64_t index, double deviation) {
  const double radius = std::sqrt(-2 * std::log(1 - stream.uniform(2 * index)));
  return deviation * radius * std::cos(2 * std::numbers::pi * stream.uniform(2 * index + 1));
}

double first_value(const ParameterInfo& info, const PhiloxStream& stream, std::uint64_t index) {
  const double g = info.initializer.value;
  const auto fan_in = static_cast<double>(info.fan_in);
  const auto fan_out = static_cast<double>(info.fan_out);
  switch (info.initializer.kind) {
    case Kind::kConstant: return g;
    case Kind::kNormal: return normal(stream, index, g);
    case Kind::kUniform: return uniform(stream, index, g);
    case Kind::kXavierNormal: return normal(stream, index, g * std::sqrt(2 / (fan_in + fan_out)));
    case Kind::kXavierUniform: return uniform(stream, index, g * std::sqrt(6 / (fan_in + fan_out)));
    case Kind::kHeNormal: return normal(stream, index, g * std::sqrt(1 / fan_in));
    case Kind::kHeUniform: return uniform(stream, index, g * std::sqrt(3 / fan_in));
    case Kind::kOrthogonal: break;  // not a number at a time
  }
  return 0;
}

// Eight sums side by side, which the compiler may keep in one vector.
double dot(const double* a, const double* b, std::size_t n) {
  double sums[8] = {};
  std::size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    for (std::size_t lane = 0; lane < 8; ++lane) sums[lane] += a[i + lane] * b[i + lane];
  }
  for (; i < n; ++i) sums[0] += a[i] * b[i];
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

// `count` vectors of `length` numbers become orthonormal, by Gram and Schmidt in the form that is
// stable. The triangular factor's diagonal is positive, so that normal vectors end up evenly
// distributed (Mezzadri, "How to generate random matrices from the classical compact groups",
// 2007).
void orthonormalise(std::vector<double>& vectors, std::size_t count, std::size_t length) {
  for (std::size_t i = 0; i < count; ++i) {
    double* const v = vectors.data() + i * length;
    const double scale = 1 / std::sqrt(dot(v, v, length));
    for (std::size_t k = 0; k < length; ++k) v[k] *= scale;
    for (std::size_t j = i + 1; j < count; ++j) {
      double* const other = vectors.data() + j * length;
      const double along = dot(v, other, length);
      for (std::size_t k = 0; k < length; ++k) other[k] -= along * v[k];
    }
  }
}

// A weight of several gates is as many matrices side by side.
void fill_orthogonal(std::span<float> values, const ParameterInfo& info,
                     const PhiloxStream& stream) {
  const std::int64_t all_columns = info.shape.back();
  const bool gates = info.fan_out > 0 && all_columns % info.fan_out == 0;
  const auto width = static_cast<std::size_t>(all_columns);
  const auto columns = static_cast<std::size_t>(gates ? info.fan_out : all_columns);
  const std::size_t rows = values.size() / width;
  const std::size_t count = std::min(rows, columns);
  const std::size_t length = std::max(rows, columns);
  std::vector<double> vectors(count * length);
  for (std::size_t first = 0; first < width; first += columns) {
    for (std::size_t i = 0; i < vectors.size(); ++i) {
      vectors[i] = normal(stream, first * rows + i, 1);
    }
    orthonormalise(vectors, count, length);
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t c = 0; c < columns; ++c) {
        const double v = rows < columns ? vectors[r * length + c] : vectors[c * length + r];
        values[r * width + first + c] = static_cast<float>(info.initializer.value * v);
      }
    }
  }
}

void fill_parts(std::span<float> values, const std::vector<double>& parts) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(parts[i * parts.size() / values.size()]);
  }
}

}  // namespace

Initializer Initializer::parse(std::string_view text) {
  const std::size_t colon = text.find(':');
  std::vector<std::string> known;
  for (const InitializerName& entry : kNames) {
    known.emplace_back(entry.name);
    if (entry.name != text.substr(0, colon)) continue;
    Initializer result{entry.kind, entry.value};
    const std::string_view name = entry.name;
    if (colon == std::string_view::npos) {
      if (entry.needs_value) {
        throw UsageError(fmt::format("initialiser {0} needs a number, as in {0}:0.01", name));
      }
      return result;
    }
    if (!parse_number(text.substr(colon + 1), result.value) ||
        (result.kind != Kind::kConstant && result.value <= 0)) {
      throw UsageError(fmt::format("initialiser {}: expected a {}number after \":\", got \"{}\"",
                                   name, result.kind == Kind::kConstant ? "" : "positive ",
                                   text.substr(colon + 1)));
    }
    return result;
  }
  throw UsageError(unknown_name("initialiser", text.substr(0, colon), known));
}

std::string Initializer::to_text() const {
  for (const InitializerName& entry : kNames) {
    if (entry.kind == kind && !entry.needs_value && entry.value == value) {
      return std::string(entry.name);
    }
  }
  for (const InitializerName& entry : kNames) {
    const bool takes_value = entry.kind != Kind::kConstant || entry.needs_value;
    if (entry.kind == kind && takes_value) return fmt::format("{}:{}", entry.name, value);
  }
  return {};
}

TensorMap initialize(const Sequential& model, const Shape& input, std::uint64_t seed,
                     std::optional<Initializer> init) {
  TensorMap tensors;
  std::uint32_t index = 0;
  for (const ParameterInfo& info : model.parameters(input, init)) {
    const PhiloxStream stream{seed, index++, 0};
    Tensor tensor(DType::kF32, info.shape);
    const std::span<float> values = tensor.values<float>();
    if (!info.parts.empty()) {
      fill_parts(values, info.parts);
    } else if (info.initializer.kind == Kind::kOrthogonal && !values.empty()) {
      fill_orthogonal(values, info, stream);
    } else {
      for (std::size_t i = 0; i < values.size(); ++i) {
        values[i] = static_cast<float>(first_value(info, stream, i));
      }
    }
    tensors.emplace(info.name, std::move(tensor));
  }
  return tensors;
}

}  // namespace chainrule
