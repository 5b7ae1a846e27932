// The one door to oneDNN. The library is loaded at the first use and not linked: linked, it costs
// every process 1.2 ms and 4.6 MB at its start, and its first product 30 ms and 7 MB more, which a
// small network never earns back.
#pragma once

#include <cstdint>

namespace chainrule::cpu {

/// Whether the library is on this machine; the first call loads it.
bool onednn_available();

/// c = op(a)·op(b) in float32, row-major, on the calling thread alone.
///
/// op(a): [m, k]    op(b): [k, n]    c: [m, n]; lda, ldb, ldc: floats between stored rows.
/// requires  onednn_available(); m, n, k ≥ 1; c apart from a and b.
void onednn_sgemm(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n,
                  std::int64_t k, const float* a, std::int64_t lda, const float* b,
                  std::int64_t ldb, float* c, std::int64_t ldc);

/// The same by three loops: slow and exact, for where the library reports that it cannot (it has no
/// memory left), since a chunk of a job has nobody to report to.
void plain_sgemm(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k,
                 const float* a, std::int64_t lda, const float* b, std::int64_t ldb, float* c,
                 std::int64_t ldc);

}  // namespace chainrule::cpu
