// Runs one op, with its gradient where there is one, on float32 numbers from files, for
// accuracy.py to compare:  chainrule-accuracy CASE OUT IN:2x3 IN:3 …
#include <cstdio>
#include <fstream>
#include <functional>
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "chainrule/attention.h"
#include "chainrule/convolution.h"
#include "chainrule/error.h"
#include "chainrule/gradient.h"
#include "chainrule/ops.h"
#include "chainrule/program.h"

namespace {

using namespace chainrule;
using Values = std::vector<Value>;

// The outputs of f(inputs but the last), then its gradients where the last is the cotangent.
Values with_gradient(const Values& in, Value y) {
  const Values of(in.begin(), in.end() - 1);
  Values out{y};
  for (const Value& d : gradient(sum(y * in.back()), of)) out.push_back(d);
  return out;
}

const std::map<std::string, std::function<Values(const Values&)>> kCases{
    {"sum_last", [](const Values& x) { return Values{sum(x[0], {-1})}; }},
    {"sum_first", [](const Values& x) { return Values{sum(x[0], {0})}; }},
    {"sum_all", [](const Values& x) { return Values{sum(x[0])}; }},
    {"variance_last", [](const Values& x) { return Values{variance(x[0], {-1})}; }},
    {"variance_first", [](const Values& x) { return Values{variance(x[0], {0})}; }},
    {"variance_channels",
     [](const Values& x) {
       return Values{variance(x[0], {0, 1, 2})};
     }},
    {"layer_norm", [](const Values& x) { return with_gradient(x, layer_norm(x[0], x[1], x[2])); }},
    {"attention", [](const Values& x) { return with_gradient(x, attention(x[0], x[1], x[2])); }},
    {"tanh", [](const Values& x) { return with_gradient(x, tanh(x[0])); }},
    {"sin", [](const Values& x) { return Values{sin(x[0])}; }},
    {"cos", [](const Values& x) { return Values{cos(x[0])}; }},
    {"matmul", [](const Values& x) { return Values{matmul(x[0], x[1])}; }},
    {"log_softmax", [](const Values& x) { return with_gradient(x, log_softmax(x[0])); }},
    {"conv2d",
     [](const Values& x) {
       return with_gradient(x, conv2d(x[0], x[1], {.kernel = {x[1].extent(0), x[1].extent(1)}}));
     }},
    {"positions",
     [](const Values& x) {
       return Values{x[0] + sinusoidal_positions(x[0].graph(), x[0].extent(0), x[0].extent(1))};
     }},
};

Shape shape_from(const std::string& text) {
  Shape shape;
  std::istringstream in(text);
  for (std::string extent; std::getline(in, extent, 'x');) shape.push_back(std::stoll(extent));
  return shape;
}

void run(const std::string& name, const std::string& out, const std::vector<std::string>& files) {
  const auto found = kCases.find(name);
  if (found == kCases.end()) throw UsageError("no case " + name);
  Graph graph("accuracy");
  Values inputs;
  for (const std::string& file : files) {
    const std::string shape = file.substr(file.rfind(':') + 1);
    inputs.push_back(
        graph.input("x" + std::to_string(inputs.size()), {DType::kF32, shape_from(shape)}));
  }
  const Values outputs = found->second(inputs);
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    graph.output("y" + std::to_string(i), outputs[i]);
  }
  Program program(graph, std::make_shared<Parameters>(),
                  {.threads = make_thread_pool(), .guard = {}});
  for (std::size_t i = 0; i < files.size(); ++i) {
    std::ifstream in(files[i].substr(0, files[i].rfind(':')), std::ios::binary);
    const std::span<float> to = program.input<float>("x" + std::to_string(i));
    in.read(reinterpret_cast<char*>(to.data()), static_cast<std::streamsize>(to.size_bytes()));
    if (!in) throw DataError(files[i] + ": too short");
  }
  program.run();
  std::ofstream to(out, std::ios::binary);
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const std::span<const float> y = program.output<float>("y" + std::to_string(i));
    to.write(reinterpret_cast<const char*>(y.data()), static_cast<std::streamsize>(y.size_bytes()));
  }
  if (!to.flush()) throw Error(out + ": cannot be written");
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc < 4) throw chainrule::UsageError("usage: chainrule-accuracy CASE OUT IN:2x3 …");
    run(argv[1], argv[2], {argv + 3, argv + argc});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "chainrule-accuracy: %s\n", error.what());
    return 1;
  }
  return 0;
}
