// Means and variances. A variance is the sum of squares about the mean of a part that lies in L1,
// and parts are joined by their means: it loses no digits where the mean is far from 0.
#pragma once

#include <cstdint>

namespace chainrule::cpu {

/// The mean and Σ (x − mean)² of each channel over so many rows. Means are counted from `origin`,
/// some number of the channel, since a mean far from 0 would itself be rounded too much.
struct Moments {
  std::int64_t rows = 0;
  float* origin = nullptr;  // [channels], as all of these
  float* mean = nullptr;    // less the origin
  float* squares = nullptr;
  float* lost = nullptr;  // what the last addition to `squares` rounded off

  static constexpr std::int64_t kArrays = 4;
  /// Of so many rows, in memory of kArrays · channels floats.
  static Moments at(float* memory, std::int64_t channels, std::int64_t rows = 0);
};

/// Adds rows x [rows, channels], which begin `stride` apart, to `to`; `own` is scratch of
/// kArrays · channels floats.
/// Source: Chan, Golub & LeVeque, 1979, for joining two parts.
void add_rows(const float* x, std::int64_t rows, std::int64_t channels, std::int64_t stride,
              Moments& to, float* own);

/// Adds what other rows gave.
void add_moments(const Moments& from, std::int64_t channels, Moments& to);

/// out[c] = the variance of channel c.
///
/// requires  moments.rows ≥ 1.
void variances(const Moments& moments, std::int64_t channels, float* out);

/// out[r] = the variance of row r of x [rows, columns], for r in [begin, end).
///
/// requires  columns ≥ 1.
void row_variances(const float* x, float* out, std::int64_t columns, std::int64_t begin,
                   std::int64_t end);

}  // namespace chainrule::cpu
