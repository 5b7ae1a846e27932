// C programs made by emit_c(), compiled and run, for tests.
#pragma once

#include <doctest/doctest.h>
#include <stdlib.h>

#include <array>
#include <cctype>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "base/format.h"
#include "chainrule/emit.h"

namespace chainrule::testing {

/// A folder that is removed again at the end of the test.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "chainrule-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    folder_ = name;
  }
  ~ScratchFolder() { std::filesystem::remove_all(folder_); }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(path(name), std::ios::binary) << text;
    return path(name);
  }

 private:
  std::string folder_;
};

struct Finished {
  int status = 0;
  std::string output;  // stdout and stderr together
};

inline Finished shell(const std::string& command) {
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  REQUIRE(pipe != nullptr);
  Finished finished;
  std::array<char, 4096> part{};
  for (std::size_t n = 0; (n = fread(part.data(), 1, part.size(), pipe)) > 0;) {
    finished.output.append(part.data(), n);
  }
  finished.status = pclose(pipe);
  return finished;
}

using Printed = std::map<std::string, std::vector<double>>;

/// "name number number …" a line.
inline Printed parse_printed(const std::string& text) {
  Printed printed;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string name;
    words >> name;
    for (std::string number; words >> number;) printed[name].push_back(std::stod(number));
  }
  return printed;
}

constexpr const char* kStrictC = "-std=c99 -Wall -Wextra -Werror -pedantic";

/// The name that a graph's "adam.m/W" or "gamma" has in the C program: adam_m_W, gamma_.
inline std::string c_name(std::string name, const std::string& source) {
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  for (const char* after : {"[", ";", " ="}) {
    if (source.find(" " + name + after) != std::string::npos) return name;
  }
  return name + "_";
}

/// An array of the program, to be printed under a name.
struct CArray {
  std::string shown;
  std::string name;
  std::size_t count = 1;
  bool integers = false;
};

/// A main() that runs the functions of program.c and prints arrays, some before update().
inline std::string driver_of(const std::string& source, const std::vector<CArray>& before_update,
                             const std::vector<CArray>& after_update) {
  std::string show;
  const auto add = [&](const std::vector<CArray>& arrays) {
    for (const CArray& a : arrays) {
      show += fmt::format("  show{}(\"{}\", (const void*)&{}, {});\n",
                          a.integers ? "_integers" : "", a.shown, c_name(a.name, source), a.count);
    }
  };
  const auto call = [&](const std::string& function) {
    if (source.find("void " + function + "(void)") == std::string::npos) return;
    show += "  " + function + "();\n";
  };
  call("forward");
  call("backward");
  add(before_update);
  call("update");
  add(after_update);
  return std::string("#include \"program.c\"\n#include <stdio.h>\n") +
         R"(
void show(const char* name, const void* data, int n) {
  const real* x = data;
  printf("%s", name);
  for (int i = 0; i < n; ++i) printf(" %.17g", (double)x[i]);
  printf("\n");
}
void show_integers(const char* name, const void* data, int n) {
  const int32_t* x = data;
  printf("%s", name);
  for (int i = 0; i < n; ++i) printf(" %d", (int)x[i]);
  printf("\n");
}
int main(void) {
)" + show +
         "  return 0;\n}\n";
}

/// Compiles a C program in double and runs it; compiles it as float and by itself, too. Every
/// warning is an error.
inline Printed run_c(const std::string& source, const std::vector<CArray>& before_update,
                     const std::vector<CArray>& after_update) {
  const ScratchFolder folder;
  const std::string program = folder.write("program.c", source);
  const std::string driver =
      folder.write("driver.c", driver_of(source, before_update, after_update));
  const std::string run = folder.path("run");
  const Finished compiled = shell(
      fmt::format("cc {} -Wconversion -DCHAINRULE_DOUBLE {} -o {} -lm", kStrictC, driver, run));
  INFO(source);
  INFO(compiled.output);
  REQUIRE(compiled.status == 0);
  const Finished as_float = shell(fmt::format("cc {} -c {} -o {}.o", kStrictC, program, run));
  INFO(as_float.output);
  CHECK(as_float.status == 0);
  const Finished ran = shell(run);
  REQUIRE(ran.status == 0);
  return parse_printed(ran.output);
}

inline double largest_error(const std::vector<double>& got, const Tensor& expected) {
  const Tensor wide = expected.as(DType::kF64);
  const auto numbers = wide.values<double>();
  REQUIRE(got.size() == numbers.size());
  double worst = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double error = std::abs(got[i] - numbers[i]) / (1 + std::abs(numbers[i]));
    worst = error <= worst ? worst : error;  // NaN counts
  }
  return worst;
}

/// Compiles and runs the C program of `graph`, and compares every output and every updated
/// parameter with the reference, to 1e-12 in double.
inline void check_c(const Graph& graph, const TensorMap& feed) {
  std::vector<CArray> outputs;
  for (const auto& [name, v] : graph.outputs()) {
    outputs.push_back(
        {name, name, static_cast<std::size_t>(element_count(v.shape())), v.dtype() == DType::kI32});
  }
  std::vector<CArray> parameters;
  for (const Value& p : graph.parameters()) {
    parameters.push_back(
        {"new_" + p.name(), p.name(), static_cast<std::size_t>(element_count(p.shape()))});
  }
  const Printed printed = run_c(emit_c(graph, feed), outputs, parameters);
  const Evaluation reference(graph, feed);
  for (const auto& entry : reference.outputs()) {
    const std::string& name = entry.first;
    const Tensor& tensor = entry.second;
    CAPTURE(name);
    CHECK(largest_error(printed.at(name), tensor) < 1e-12);
  }
  for (const auto& entry : reference.updated()) {
    const std::string& name = entry.first;
    const Tensor& tensor = entry.second;
    CAPTURE(name);
    CHECK(largest_error(printed.at("new_" + name), tensor) < 1e-12);
  }
}

}  // namespace chainrule::testing
