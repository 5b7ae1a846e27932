// Images: IDX files, the format of MNIST, become a Dataset, and training may vary them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "chainrule/data.h"
#include "chainrule/phrase.h"

namespace chainrule {

// ── IDX files ────────────────────────────────────────────────────────────────

/// The array in an IDX file, gzipped or not: bytes, shorts and ints as i32, floats as f32, doubles
/// as f64.
///
/// throws  FileError naming the file for one that cannot be read, is no IDX file, or holds fewer or
///         more numbers than it announces.
/// Source: LeCun, Cortes and Burges, "The MNIST database".
///
/// Example:  Tensor labels = read_idx("train-labels-idx1-ubyte.gz");   // [60000]
Tensor read_idx(const std::string& path);

/// Images of bytes, [N, H, W] or [N, H, W, C], as numbers 0 … 1.
///
///     → [N, H, W, C] f32, C = 1 where the file has three axes
///
/// throws  what read_idx throws; FileError for an array of other axes or other numbers, or without
///         any.
Tensor read_idx_images(const std::string& path);

/// Images with their labels: x [N, H, W, C], labels [N]. The classes are the labels that occur, in
/// ascending order, so that {3, 5} are two; or `classes` where they are given. A label is then the
/// one of its name where all classes are whole numbers, else the one at its place.
///
/// throws  what read_idx_images throws; DataError naming both files when they differ in number, and
///         the first label that is no class.
///
/// Example:  Dataset train = read_idx_dataset("train-images-idx3-ubyte.gz",
///                                            "train-labels-idx1-ubyte.gz");
Dataset read_idx_dataset(const std::string& images, const std::string& labels,
                         const std::vector<std::string>& classes = {});

/// The paths of a data set in the manner of MNIST; empty where there is no such file.
struct IdxFiles {
  std::string train_images;
  std::string train_labels;
  std::string test_images;
  std::string test_labels;
};

/// The IDX files of a folder, named such as train-images-idx3-ubyte, train-images.idx3-ubyte and
/// t10k-labels-idx1-ubyte.gz; or, for the path of one file of images, that file and the labels
/// beside it, as `train_…`. Nullopt when there are no such images.
std::optional<IdxFiles> find_idx_files(const std::string& folder_or_images);

// ── variation ────────────────────────────────────────────────────────────────

/// How training varies its images, so that a network sees each a little different in each epoch:
///
///     flip           mirrors every second image, left to right [rate=0.5]
///     crop PIXELS    adds that many zeros on every side and cuts the old size out anywhere
///     shift PIXELS   moves by up to so many pixels each way; the edge is repeated
class Augmentation {
 public:
  /// None.
  Augmentation() = default;

  /// One line of phrases, divided by commas; "" is none.
  ///
  /// throws  UsageError naming the column and the nearest known name.
  ///
  /// Example:  Augmentation::parse("flip, crop 4")
  static Augmentation parse(std::string_view text);
  std::string to_text() const;
  bool empty() const { return phrases_.empty(); }

  /// Varies one image in place. What happens to it depends on (seed, epoch, row) alone.
  ///
  /// requires  image holds the pixels of shape [H, W, C].
  /// throws    ShapeError for another shape.
  void apply(std::span<float> image, const Shape& shape, std::uint64_t seed, std::uint32_t epoch,
             std::int64_t row) const;

 private:
  std::vector<Phrase> phrases_;
};

}  // namespace chainrule
