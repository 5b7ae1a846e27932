// The safetensors file format: named tensors and a little text, with nothing in it that executes.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "chainrule/tensor.h"

namespace chainrule {

/// What a safetensors file holds.
struct SafeTensors {
  std::map<std::string, Tensor> tensors;
  std::map<std::string, std::string> metadata;
};

/// Writes tensors and metadata to `path`, whole or not at all: a file that stood there before stays
/// until the new one is complete.
///
/// format    8 bytes little-endian header length; a JSON header of dtype (F32, F64, I32), shape and
///           data_offsets a tensor, and __metadata__; the tensors, row-major, little-endian.
/// requires  names and texts in UTF-8; no tensor called "__metadata__".
/// throws    FileError naming the path when it cannot be written; UsageError for a bad name or
/// text. source    https://github.com/huggingface/safetensors#format
void save_safetensors(const std::string& path, const std::map<std::string, Tensor>& tensors,
                      const std::map<std::string, std::string>& metadata = {});

/// Reads a safetensors file; F16 and BF16 tensors become f32.
///
/// throws  FileError naming the path and what is wrong: another format, a truncated file, a header
///         that is not JSON or names a key twice, a dtype that is not supported, offsets that
///         overlap, leave a gap, lie outside the file or do not fit the shape.
SafeTensors load_safetensors(const std::string& path);

/// The same from bytes in memory; `source` begins the error messages.
SafeTensors parse_safetensors(std::string_view bytes, const std::string& source);

}  // namespace chainrule
