// Convolutional networks: LeNet's modern form on 28×28 images, and CIFAR's ResNet-20.
#include "building.h"
#include "chainrule/convolution.h"
#include "chainrule/ops.h"
#include "chainrule/optim.h"
#include "workloads.h"

namespace chainrule::bench {
namespace {

// A network under construction: parameters are called w1, b1, w2 … in the order in which they come.
class Builder {
 public:
  Builder(const std::string& name, const Shape& image, std::int64_t batches) {
    workload.graph = std::make_unique<Graph>(name);
    x = workload.graph->input("x", {DType::kF32, image});
    t = workload.graph->input("t", {DType::kI32, {image[0]}});
    Shape all = image;
    all.insert(all.begin(), batches);
    workload.x = numbers_.uniform(all, 1.0);
    workload.t = numbers_.labels({batches, image[0]}, kClasses);
  }

  Value convolution(Value from, std::int64_t units, std::int64_t kernel, std::int64_t stride,
                    bool bias) {
    const Shape shape{kernel, kernel, from.extent(3), units};
    const Value w = weight(shape, static_cast<double>(kernel * kernel * from.extent(3)));
    const Window window = padded_to_same({.kernel = {kernel, kernel}, .stride = {stride, stride}},
                                         from.extent(1), from.extent(2));
    const Value y = conv2d(from, w, window);
    return bias ? y + start("b", {units}, 0) : y;
  }
  Value linear(Value from, std::int64_t units) {
    const Value w = weight({from.extent(1), units}, static_cast<double>(from.extent(1)));
    return matmul(from, w) + start("b", {units}, 0);
  }
  // By the batch's own statistics; the running ones are kept too, as in training.
  Value batch_norm(Value from) {
    const std::string number = std::to_string(++count_);
    const Shape features{from.extent(3)};
    const Value gamma = add("g" + number, features, 1);
    const Value beta = add("h" + number, features, 0);
    weights.insert(weights.end(), {gamma, beta});
    const Value running_mean = add("running_mean" + number, features, 0);
    const Value running_variance = add("running_variance" + number, features, 1);
    const Value batch_mean = mean(from, {0, 1, 2});
    const Value batch_variance = variance(from, {0, 1, 2});
    workload.graph->update(running_mean, 0.9 * running_mean + 0.1 * batch_mean);
    workload.graph->update(running_variance, 0.9 * running_variance + 0.1 * batch_variance);
    return normalize(from, batch_mean, batch_variance, gamma, beta);
  }

  Workload finish(Value scores, const std::string& optimizer, double rate) {
    Graph& graph = *workload.graph;
    const Value loss = softmax_cross_entropy(scores, t);
    graph.output("loss", loss);
    const Value step = graph.input("step", {DType::kF32, {}});
    apply(Optimizer::parse(optimizer), loss, weights, constant(graph, rate), step, {});
    for (const Value& p : graph.parameters()) {  // the optimiser's states
      workload.parameters.try_emplace(p.name(), p.dtype(), p.shape());
    }
    return std::move(workload);
  }

  static constexpr std::int64_t kClasses = 10;
  Workload workload;
  Value x, t;
  std::vector<Value> weights;

 private:
  Value weight(const Shape& shape, double fan_in) {
    const std::string name = "w" + std::to_string(++count_);
    workload.parameters[name] = numbers_.uniform(shape, std::sqrt(2.0 / fan_in));
    return weights.emplace_back(workload.graph->parameter(name, {DType::kF32, shape}));
  }
  Value start(const std::string& letter, const Shape& shape, float value) {
    return weights.emplace_back(add(letter + std::to_string(count_), shape, value));
  }
  Value add(const std::string& name, const Shape& shape, float value) {
    Tensor tensor(DType::kF32, shape);
    std::ranges::fill(tensor.values<float>(), value);
    workload.parameters[name] = tensor;
    return workload.graph->parameter(name, {DType::kF32, shape});
  }

  Numbers numbers_;
  int count_ = 0;
};

// Two convolutions and what is added to them; where the size changes, a 1×1 convolution.
Value residual_block(Builder& net, Value x, std::int64_t units, std::int64_t stride) {
  Value y = relu(net.batch_norm(net.convolution(x, units, 3, stride, false)));
  y = net.batch_norm(net.convolution(y, units, 3, 1, false));
  const Value shortcut =
      stride == 1 ? x : net.batch_norm(net.convolution(x, units, 1, stride, false));
  return relu(y + shortcut);
}

}  // namespace

Workload make_lenet() {
  Builder net("lenet", {64, 28, 28, 1}, 4);
  const Window half{.kernel = {2, 2}, .stride = {2, 2}};
  Value y = max_pool2d(relu(net.convolution(net.x, 32, 3, 1, true)), half);
  y = max_pool2d(relu(net.convolution(y, 64, 3, 1, true)), half);
  y = relu(net.linear(reshape(y, {y.extent(0), -1}), 128));
  return net.finish(net.linear(y, Builder::kClasses), "adam", 1e-3);
}

Workload make_resnet20() {
  Builder net("resnet20", {128, 32, 32, 3}, 2);
  Value y = relu(net.batch_norm(net.convolution(net.x, 16, 3, 1, false)));
  for (const std::int64_t units : {16, 32, 64}) {
    for (int block = 0; block < 3; ++block) {
      y = residual_block(net, y, units, units > 16 && block == 0 ? 2 : 1);
    }
  }
  return net.finish(net.linear(mean(y, {1, 2}), Builder::kClasses), "sgd momentum=0.9", 1e-3);
}

}  // namespace chainrule::bench
