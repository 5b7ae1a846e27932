// A number that tells whether a model file is still what was written.
#pragma once

#include <map>
#include <string>

#include "chainrule/tensor.h"

namespace chainrule {

/// The digest of names, texts, shapes, dtypes and numbers, as "crc32:" and 8 hexadecimal digits.
///
/// It is taken of the contents and not of the file's bytes, so that another program may write the
/// same contents with other spaces or in another order. A CRC sees every single flipped bit and
/// every burst of up to 32, and all but one in 2³² of other damages; it is no protection against
/// intent, which could change the digest too.
///
/// Example:  metadata["digest"] = content_digest(tensors, metadata);
std::string content_digest(const std::map<std::string, Tensor>& tensors,
                           const std::map<std::string, std::string>& metadata);

}  // namespace chainrule
