// What subcommands read by name: programs and models.
#pragma once

#include <string>

#include "chainrule/model.h"

namespace chainrule::cli {

/// The text of a Python file; "-" is standard input.
std::string read_program(const std::string& name);

/// Model::load, with a note on stderr for a file without a digest.
Model read_model(const std::string& path);

/// The network's outputs for the encoded rows of `source`.
///
/// throws  DataError naming the row whose output is not finite.
Tensor apply_model(const Model& model, const Tensor& x, const std::shared_ptr<ThreadPool>& threads,
                   const std::string& source);

}  // namespace chainrule::cli
