// Running what was written as NumPy: arrays as Python literals, and a script as a process.
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/format.h"
#include "chainrule/numpy_format.h"
#include "chainrule/tensor.h"
#include "support/places.h"

namespace chainrule {

inline std::string python_array(const Tensor& tensor) {
  const Tensor f64 = tensor.as(DType::kF64);
  std::string numbers;
  for (const double x : f64.values<double>()) {
    numbers += python_repr(x) + ", ";
  }
  const bool integers = tensor.dtype() == DType::kI32;
  return fmt::format(
      "np.reshape(np.array([{}], dtype={}), ({}))", numbers, integers ? "np.int64" : "np.float64",
      fmt::format("{}{}", joined(tensor.shape(), ","), tensor.shape().empty() ? "" : ","));
}

inline int run_python(const std::string& script, const std::string& name) {
  const std::filesystem::path path =
      std::filesystem::temp_directory_path() / fmt::format("chainrule_{}_{}.py", name, ::getpid());
  std::ofstream(path) << script;
  const int code = std::system(fmt::format("'{}' '{}'", python_program(), path.string()).c_str());
  if (code == 0) std::filesystem::remove(path);
  return code;
}

/// What a script starts with: NumPy, and same(name, got, expected), which asserts.
inline std::string python_opening() {
  return R"(import numpy as np


def same(name, got, expected, rtol=1e-9):
    got = np.asarray(got)
    assert got.shape == expected.shape, f"{name}: shape {got.shape} for {expected.shape}"
    np.testing.assert_allclose(np.asarray(got, dtype=float), expected, rtol=rtol, atol=1e-12, err_msg=name)


)";
}

}  // namespace chainrule
