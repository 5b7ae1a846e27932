// Means and variances. A variance is the sum of squares about the mean of a part that lies in L1,
// and parts are joined by their means: it loses no digits where the mean is far from 0.
#pragma once

#include <cstdint>

namespace chainrule::cpu {

/// The mean and Σ (x − mean)² of each channel over so many rows.
struct Moments {
  std::int64_t rows = 0;
  float* mean = nullptr;     // [channels]
  float* squares = nullptr;  // [channels]
};

/// Adds rows x [rows, channels] to `to`; `own` is scratch of 2·channels floats.
/// Source: Chan, Golub & LeVeque, 1979, for joining two parts.
void add_rows(const float* x, std::int64_t rows, std::int64_t channels, Moments& to, float* own);

/// Adds what other rows gave.
void add_moments(const Moments& from, std::int64_t channels, Moments& to);

/// out[r] = the variance of row r of x [rows, columns], for r in [begin, end).
///
/// requires  columns ≥ 1.
void row_variances(const float* x, float* out, std::int64_t columns, std::int64_t begin,
                   std::int64_t end);

}  // namespace chainrule::cpu
