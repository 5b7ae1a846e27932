// The graph's text form, held still, and the errors that name both sides of a mismatch.
#include "chainrule/graph.h"

#include <doctest/doctest.h>

#include "chainrule/convolution.h"
#include "chainrule/error.h"
#include "chainrule/gradient.h"
#include "chainrule/ops.h"
#include "graph/op.h"

using namespace chainrule;

TEST_CASE("the text form of a step") {
  Graph g("step");
  const Value x = g.input("x", {DType::kF32, {32, 784}});
  const Value t = g.input("t", {DType::kI32, {32}});
  const Value w = g.parameter("w", {DType::kF32, {784, 10}});
  const Value a = matmul(x, w).named("a");
  const Value l = softmax_cross_entropy(a, t).named("l");
  g.output("loss", l);
  const Value dw = gradient(l, {w})[0];
  g.update(w, sgd_update(w, {}, dw, constant(g, 0.1))[0]);
  verify(g);
  CHECK(to_text(g) ==
        R"(graph step(x: f32[32,784], t: i32[32]; w: f32[784,10]) {
  a   = matmul(x, w)                                            : f32[32,10]
  v4  = softmax_cross_entropy(a, t, smoothing=0)                : f32[32]
  l   = mean(v4, axes=[0])                                      : f32[]
  dl  = constant(value=1, shape=[])                             : f32[]
  v7  = constant(value=32, shape=[])                            : f32[]   # grad of l
  v8  = div(dl, v7)                                             : f32[]   # grad of l
  v9  = reshape(v8, shape=[1])                                  : f32[1]   # grad of l
  v10 = broadcast_to(v9, shape=[32])                            : f32[32]   # grad of l
  da  = softmax_cross_entropy_backward(a, t, v10, smoothing=0)  : f32[32,10]   # grad of v4
  v12 = transpose(w, permutation=[1,0])                         : f32[10,784]   # grad of a
  v13 = matmul(da, v12)                                         : f32[32,784]   # grad of a
  v14 = transpose(x, permutation=[1,0])                         : f32[784,32]   # grad of a
  dw  = matmul(v14, da)                                         : f32[784,10]   # grad of a
  v16 = constant(value=0.1, shape=[])                           : f32[]
  v17 = sgd(w, dw, v16, momentum=0, nesterov=0, weight_decay=0) : f32[784,10]
  return loss = l
  update w = v17
}
)");
}

TEST_CASE("shape errors name both sides") {
  Graph g;
  const Value a = g.input("a", {DType::kF32, {2, 3}});
  const Value b = g.input("b", {DType::kF32, {4, 5}});
  const Value i = g.input("i", {DType::kI32, {2}});
  CHECK_THROWS_WITH_AS(matmul(a, b),
                       "matmul: cannot multiply [2, 3] by [4, 5]; expected [..., M, K]·[..., K, N]",
                       ShapeError);
  CHECK_THROWS_WITH_AS(a + b,
                       "shapes [2, 3] and [4, 5] cannot be joined: every axis, counted from the "
                       "right, must be equal or 1",
                       ShapeError);
  CHECK_THROWS_WITH_AS(reshape(a, {4, 2}), "reshape: [2, 3] has 6 elements, [4, 2] has 8",
                       ShapeError);
  CHECK_THROWS_WITH_AS(exp(i), "exp: expected f32, got i32[2]", ShapeError);
  CHECK_THROWS_WITH_AS(sum(a, {2}), "axis 2 does not exist in shape [2, 3]", ShapeError);
  CHECK_THROWS_WITH_AS(softmax_cross_entropy(a, g.input("t", {DType::kI32, {3}})),
                       "softmax_cross_entropy: scores f32[2,3] need labels i32[2] or a target "
                       "f32[2,3], got i32[3]",
                       ShapeError);
  CHECK_THROWS_WITH_AS(g.input("a", {DType::kF32, {}}),
                       "graph graph: there is already an input called a", UsageError);
  CHECK_THROWS_WITH_AS(
      g.find("c"), "graph graph: no input or parameter \"c\"; there are a, b, i, t", UsageError);
}

TEST_CASE("no node is larger than memory, whatever its shape rule multiplies") {
  constexpr std::int64_t kMany = std::int64_t{1} << 32;
  Graph g;
  const auto refused = [](const auto& make) {
    try {
      make();
    } catch (const ShapeError& error) {
      const std::string text = error.what();
      return text.find("more than any memory holds") != std::string::npos ||
             text.find("below 2³¹ pixels") != std::string::npos;
    }
    return false;
  };
  const Value row = g.input("row", {DType::kF32, {1, kMany}});
  const Value column = g.input("column", {DType::kF32, {kMany, 1}});
  const Value image = g.input("image", {DType::kF32, {1, 1 << 20, 1 << 20, 8}});
  const Value one = g.input("one", {DType::kF32, {1}});
  const Value index = g.input("index", {DType::kI32, {kMany}});
  const Value four = g.input("four", {DType::kF32, {4}});
  CHECK(refused([&] { matmul(column, row); }));
  CHECK(refused([&] { return row + column; }));
  CHECK(refused([&] { broadcast_to(one, {8, kMany / 2, kMany / 4}); }));
  CHECK(refused([&] { reshape(four, {4, 5, 5581, 8681, 49477, 384773}); }));
  CHECK(refused([&] { constant(g, 1, {kMany, kMany}); }));
  CHECK(refused([&] { g.input("x", {DType::kF32, {8, kMany / 2, kMany / 4}}); }));
  CHECK(refused([&] { g.parameter("w", {DType::kF32, {kMany, kMany}}); }));
  CHECK(refused([&] { one_hot(index, kMany); }));
  CHECK(refused([&] { unfold(image, {.kernel = {1 << 21, 1 << 20}, .before = {1 << 20, 0}}); }));
  CHECK(refused([&] { unfold(image, {.kernel = {std::int64_t{1} << 40, 1}}); }));
  CHECK(refused([&] { pad(row, {0, kMany * 4096}, {0, 0}); }));
  CHECK(refused([&] {
    Value all = g.input("large", {DType::kF32, {1, std::int64_t{1} << 42}});
    for (int i = 0; i < 3; ++i) all = concatenate({all, all}, 0);
  }));
  CHECK_THROWS_AS(g.input("y", {DType::kF32, {-1, 2}}), ShapeError);
  CHECK_THROWS_AS(reshape(g.input("six", {DType::kF32, {6}}), {-2, -3}), ShapeError);
  verify(g);
}

TEST_CASE("a value of another graph is refused, and the verifier finds doubled names") {
  Graph g;
  Graph other;
  const Value x = g.input("x", {DType::kF32, {2}});
  const Value y = other.input("y", {DType::kF32, {2}});
  CHECK_THROWS_AS(x + y, UsageError);
  exp(x).named("e");
  verify(g);
  log(x).named("e");
  CHECK_THROWS_WITH_AS(verify(g), "graph graph is not well formed: two values are called e", Error);
}
