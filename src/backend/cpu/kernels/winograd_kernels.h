// The SIMD side of Winograd's convolution: what goes into its sixteen matrix products, and what
// comes out of them. All arrays are channels-last, and channels are a multiple of 16.
//
// A tile is 2×2 results of a 3×3 kernel: of the 4×4 pixels d under it and the kernel g,
//
//     Aᵀ·[(G·g·Gᵀ) ⊙ (Bᵀ·d·B)]·A        Bᵀ = 1  0 -1  0     G = 1   0   0     Aᵀ = 1  1  1  0
//                                            0  1  1  0         ½   ½   ½          0  1 -1 -1
//                                            0 -1  1  0         ½  -½   ½
//                                            0  1  0 -1         0   0   1
//
// are its four results with 16 multiplications in the place of 36. The gradient of the kernel is a
// convolution of the same 4×4 pixels by a tile of dy, whose nine results are
//
//     Aᵀ·[(G·dy·Gᵀ) ⊙ (Bᵀ·d·B)]·A       with the same B     G = 1   0         Aᵀ = 1  1  1  0
//                                                                ½   ½              0  1 -1  0
//                                                                ½  -½              0  1  1 -1
//                                                                0   1
// Source: Lavin & Gray, 2016, section 4.1.
#pragma once

#include <cstdint>

namespace chainrule::cpu {

/// Of a tile: positions of its transform.
inline constexpr std::int64_t kPositions = 16;

/// A row of tiles: tile t of position p, channel c lies at tiles[p·position_stride + t·channels +
/// c].
struct TileRow {
  float* tiles;
  std::int64_t position_stride;
  std::int64_t count;
  std::int64_t channels;
};

/// Bᵀ·d·B of the 4×4 pixels under each tile of a row. Tile t covers columns 2t − left and on of
/// rows[0 … 3], which are of `width` pixels, with zeros around them.
void transform_pixels(const float* const rows[4], std::int64_t width, std::int64_t left,
                      const TileRow& to);

/// G·dy·Gᵀ of the 2×2 numbers of each tile; tile t covers columns 2t and 2t + 1 of rows[0 … 1].
void transform_cotangents(const float* const rows[2], std::int64_t width, const TileRow& to);

/// Aᵀ·m·A of each tile: columns 2t and 2t + 1, where they are < width, of rows[0 … 1], whose pixels
/// lie pixel_stride floats apart. rows[1] may be nullptr.
void transform_results(const TileRow& from, float* const rows[2], std::int64_t width,
                       std::int64_t pixel_stride);

/// G·g·Gᵀ of the kernels [begin, end) of the third axis, as panels of kPanelColumns for each
/// position: panels[p][n / kPanelColumns][c][n % kPanelColumns].
///
/// weights: [3, 3, in, out], or with `turned` [3, 3, out, in] read from the last pixel to the first
void transform_weights(const float* weights, std::int64_t in, std::int64_t out, bool turned,
                       std::int64_t begin, std::int64_t end, float* panels);

/// The gradient of the kernels of input channel c: dw[u, v, c, :] = Aᵀ·m·A, m the sum of `parts`
/// arrays [kPositions, in, out] that lie part_stride floats apart.
void gradient_of_kernels(const float* products, std::int64_t parts, std::int64_t part_stride,
                         std::int64_t c, std::int64_t in, std::int64_t out, float* dw);

}  // namespace chainrule::cpu
