// The bytes of a safetensors file, for those who decide themselves whether the file comes to be.
#pragma once

#include <map>
#include <string>

#include "base/atomic_file.h"
#include "chainrule/tensor.h"

namespace chainrule {

/// Writes header and tensors as save_safetensors does, and leaves it to the caller to commit.
void write_safetensors(AtomicFile& file, const std::map<std::string, Tensor>& tensors,
                       const std::map<std::string, std::string>& metadata);

}  // namespace chainrule
