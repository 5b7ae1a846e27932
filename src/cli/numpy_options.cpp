// --loss and --shape, which the messages about a NumPy file speak of.
#include "cli/numpy_options.h"

#include <sstream>

#include "chainrule/error.h"

namespace chainrule::cli {
namespace {

// "X=3,2" as X and [3, 2]; "t=" is a scalar.
std::pair<std::string, Shape> parsed_shape(const std::string& text) {
  const std::size_t equals = text.find('=');
  Shape shape;
  std::stringstream extents(equals == std::string::npos ? "" : text.substr(equals + 1));
  for (std::string extent; std::getline(extents, extent, ',');) {
    const bool digits = !extent.empty() && extent.size() < 10 &&
                        extent.find_first_not_of("0123456789") == std::string::npos;
    if (!digits) throw UsageError("--shape " + text + ": expected NAME=3,2 with whole numbers");
    shape.push_back(std::stoll(extent));
  }
  if (equals == 0 || equals == std::string::npos) {
    throw UsageError("--shape " + text + ": expected NAME=3,2");
  }
  return {text.substr(0, equals), shape};
}

}  // namespace

Option loss_option(NumpySource& source) {
  return {.name = "--loss", .value = &source.loss, .help = "Name of the scalar to differentiate"};
}

Option shape_option(NumpySource& source) {
  return {.name = "--shape",
          .value = &source.shapes,
          .help = "Shape of an array that the file does not define: X=3,2"};
}

NumpyOptions numpy_options_of(const NumpySource& source) {
  NumpyOptions options;
  options.loss = source.loss;
  for (const std::string& shape : source.shapes) options.shapes.insert(parsed_shape(shape));
  return options;
}

}  // namespace chainrule::cli
