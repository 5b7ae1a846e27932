// Programs and models, read by name.
#include "cli/source.h"

#include "base/file.h"
#include "base/format.h"
#include "chainrule/error.h"
#include "cli/output.h"
#include "cli/stage.h"

namespace chainrule::cli {

std::string read_program(const std::string& name) {
  constexpr std::uint64_t kMost = 16'000'000;
  return read_file(readable(name),
                   {.text = "a Python file with a forward pass in NumPy", .most = kMost});
}

Model read_model(const std::string& path) {
  Model model = stage("reading the model " + path, [&] { return Model::load(path); });
  if (!model.verified) {
    note(path +
         ": a model file without a digest, written by an older chainrule; damage to it would go "
         "unnoticed");
  }
  return model;
}

Tensor apply_model(const Model& model, const Tensor& x, const std::shared_ptr<ThreadPool>& threads,
                   const std::string& source) {
  return stage("applying the model to " + source, [&] {
    Tensor y = model.predictor(threads)(x);
    try {
      require_finite_outputs(y);
    } catch (const DataError& error) {
      throw DataError(
          fmt::format("{}: {}; its numbers or the weights are too large", source, error.what()),
          source);
    }
    return y;
  });
}

}  // namespace chainrule::cli
