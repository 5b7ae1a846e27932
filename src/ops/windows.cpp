// Windows over images: their sizes, and the pair of primitives that everything about convolution
// and pooling rests on, unfold and its transpose fold.
#include <algorithm>
#include <cmath>

#include "chainrule/error.h"
#include "graph/op.h"
#include "ops/python.h"
#include "ops/window.h"

namespace chainrule {
namespace {

// Products of two such numbers fit.
constexpr std::int64_t kMostPixels = (std::int64_t{1} << 31U) - 1;

Attribute pair_attribute(std::string_view name, const Window::Pair& pair) {
  return {name, std::vector<std::int64_t>(pair.begin(), pair.end())};
}

// Calls f(place in y, place in x) for every copy of a pixel that unfold makes, and f(place in y,
// −1) for what lies outside.
template <typename F>
void for_each_copy(const Window& w, const Shape& x, const Shape& y, F f) {
  const std::int64_t channels = x[3];
  std::size_t at = 0;
  for (std::int64_t b = 0; b < y[0]; ++b)
    for (std::int64_t i = 0; i < y[1]; ++i)
      for (std::int64_t j = 0; j < y[2]; ++j)
        for (std::int64_t u = 0; u < w.kernel[0]; ++u)
          for (std::int64_t v = 0; v < w.kernel[1]; ++v) {
            const std::int64_t row = i * w.stride[0] + u * w.dilation[0] - w.before[0];
            const std::int64_t column = j * w.stride[1] + v * w.dilation[1] - w.before[1];
            const bool inside = row >= 0 && row < x[1] && column >= 0 && column < x[2];
            for (std::int64_t c = 0; c < channels; ++c, ++at) {
              f(at, inside ? ((b * x[1] + row) * x[2] + column) * channels + c : -1);
            }
          }
}

// What Python code with windows stands under.
constexpr std::string_view kNumpyWindows =
    R"(def unfold(x, kernel, stride, dilation, before, after, outside=0.0):
    """The pixels under each window: [B, H, W, C] as [B, OH, OW, KH*KW*C]."""
    x = np.pad(x, ((0, 0), (before[0], after[0]), (before[1], after[1]), (0, 0)), constant_values=outside)
    covers = [dilation[i] * (kernel[i] - 1) + 1 for i in (0, 1)]
    y = np.lib.stride_tricks.sliding_window_view(x, covers, axis=(1, 2))
    y = y[:, ::stride[0], ::stride[1], :, ::dilation[0], ::dilation[1]].transpose(0, 1, 2, 4, 5, 3)
    return y.reshape(*y.shape[:3], -1)


def fold(y, height, width, kernel, *window):
    """The transpose of unfold: each pixel is the sum of its copies."""
    shape = (y.shape[0], height, width, y.shape[3] // (kernel[0] * kernel[1]))
    n = int(np.prod(shape))
    copies = unfold(np.arange(n).reshape(shape), kernel, *window, outside=n)
    return np.bincount(copies.ravel(), y.ravel(), n + 1)[:n].reshape(shape)
)";

constexpr std::string_view kTorchWindows =
    R"(def unfold(x, kernel, stride, dilation, before, after, outside=0.0):
    """The pixels under each window: [B, H, W, C] as [B, OH, OW, KH*KW*C]."""
    x = torch.nn.functional.pad(x, (0, 0, before[1], after[1], before[0], after[0]), value=outside)
    covers = [dilation[i] * (kernel[i] - 1) + 1 for i in (0, 1)]
    y = x.unfold(1, covers[0], stride[0]).unfold(2, covers[1], stride[1])
    y = y[..., ::dilation[0], ::dilation[1]].permute(0, 1, 2, 4, 5, 3)
    return y.reshape(*y.shape[:3], -1)


def fold(y, height, width, kernel, *window):
    """The transpose of unfold: each pixel is the sum of its copies."""
    shape = (y.shape[0], height, width, y.shape[3] // (kernel[0] * kernel[1]))
    n = y.new_zeros(shape).numel()
    copies = unfold(torch.arange(n).reshape(shape), kernel, *window, outside=n)
    return y.new_zeros(n + 1).index_add(0, copies.flatten(), y.flatten())[:n].reshape(shape)
)";

// "(3, 3), (1, 1), (1, 1), (0, 0), (0, 0)": the window as Python arguments.
std::string python_window(const Node& n) {
  std::string text;
  for (const char* name : {"kernel", "stride", "dilation", "before", "after"}) {
    text += (text.empty() ? "" : ", ") + python_tuple(n.integers(name));
  }
  return text;
}

Pattern python_unfold(const Node& n, const std::string& infinity) {
  const double outside = n.real("outside");
  if (outside == 0) return {"unfold({0}, " + python_window(n) + ")"};
  const std::string number =
      std::isinf(outside) ? (outside < 0 ? "-" : "") + infinity : std::to_string(outside);
  return {"unfold({0}, " + python_window(n) + ", outside=" + number + ")"};
}

Pattern python_fold(const Node& n) {
  return {"fold({0}, " + std::to_string(n.integer("height")) + ", " +
          std::to_string(n.integer("width")) + ", " + python_window(n) + ")"};
}

// ── unfold ───────────────────────────────────────────────────────────────────
const Op kUnfold{checked({
    .name = "unfold",
    .formula = "unfold({0})",
    .latex = R"(\operatorname{unfold}\left({0}\right))",
    .numpy = {[](const Node& n) { return python_unfold(n, "np.inf"); }, kNumpyWindows},
    .torch = {[](const Node& n) { return python_unfold(n, "float('inf')"); }, kTorchWindows},
    .infer = [](const Node& n) -> Types {
      const Value x = n.inputs[0];
      need_image(n, x);
      const Window w = window_of(n);
      const Window::Pair out = counted(n, w, x.extent(1), x.extent(2));
      const std::int64_t copies = element_count({w.kernel[0], w.kernel[1], x.extent(3)});
      return {{DType::kF32, {x.extent(0), out[0], out[1], copies}}};
    },
    .eval =
        [](const Eval& e) {
          for_each_copy(window_of(e.node), e.in[0]->shape, e.out[0].shape,
                        [&](std::size_t to, std::int64_t from) {
                          e.out[0].data[to] = from < 0
                                                  ? e.node.real("outside")
                                                  : e.in[0]->data[static_cast<std::size_t>(from)];
                        });
        },
    .grad = [](const Node& n, Value dy) -> Grads {
      const Value x = n.inputs[0];
      return {fold(dy, window_of(n), x.extent(1), x.extent(2))};
    },
    .local = {{{"∂{y}/∂{0} = 1 at each copy",
                "a pixel is copied into every window that covers it: its gradient is the sum over "
                "the copies"}}},
    .samples =
        [](Sampler& s) {
          s.check(unfold(s.uniform({2, 4, 3, 2}, -1, 1), {{2, 2}, {2, 1}, {1, 2}, {1, 0}, {0, 1}}));
          s.check(unfold(s.uniform({1, 3, 3, 1}, -1, 1), {.kernel = {3, 2}}));
        },
})};

// ── fold ─────────────────────────────────────────────────────────────────────
const Op kFold{checked({
    .name = "fold",
    .formula = "fold({0})",
    .latex = R"(\operatorname{fold}\left({0}\right))",
    .numpy = {python_fold, kNumpyWindows},
    .torch = {python_fold, kTorchWindows},
    .infer = [](const Node& n) -> Types {
      const Value y = n.inputs[0];
      const Window w = window_of(n);
      const std::int64_t pixels = w.kernel[0] * w.kernel[1];
      const Window::Pair out = counted(n, w, n.integer("height"), n.integer("width"));
      if (y.shape().size() != 4 || y.extent(1) != out[0] || y.extent(2) != out[1] ||
          y.extent(3) % pixels != 0) {
        bad_shape(n, "expected windows [B, " + std::to_string(out[0]) + ", " +
                         std::to_string(out[1]) + ", " + std::to_string(pixels) + "·C], got " +
                         to_string(y.shape()));
      }
      return {{DType::kF32,
               {y.extent(0), n.integer("height"), n.integer("width"), y.extent(3) / pixels}}};
    },
    .eval =
        [](const Eval& e) {
          std::fill(e.out[0].data.begin(), e.out[0].data.end(), 0.0);
          for_each_copy(window_of(e.node), e.out[0].shape, e.in[0]->shape,
                        [&](std::size_t from, std::int64_t to) {
                          if (to >= 0)
                            e.out[0].data[static_cast<std::size_t>(to)] += e.in[0]->data[from];
                        });
        },
    .grad = [](const Node& n, Value dx) -> Grads { return {unfold(dx, window_of(n))}; },
    .samples =
        [](Sampler& s) {
          s.check(
              fold(s.uniform({2, 2, 4, 8}, -1, 1), {{2, 2}, {2, 1}, {1, 2}, {1, 1}, {0, 2}}, 3, 3));
        },
})};

}  // namespace

Attributes window_attributes(const Window& window) {
  return {pair_attribute("kernel", window.kernel), pair_attribute("stride", window.stride),
          pair_attribute("dilation", window.dilation), pair_attribute("before", window.before),
          pair_attribute("after", window.after)};
}

Attributes with_size(const Window& window, std::int64_t height, std::int64_t width) {
  return {pair_attribute("kernel", window.kernel),
          pair_attribute("stride", window.stride),
          pair_attribute("dilation", window.dilation),
          pair_attribute("before", window.before),
          pair_attribute("after", window.after),
          {"height", height},
          {"width", width}};
}

void need_image(const Node& node, const Value& x) {
  if (x.shape().size() != 4) bad_shape(node, "expected [B, H, W, C], got " + to_string(x.shape()));
}

// [OH, OW] of a window over an image of that size.
Window::Pair counted(const Node& node, const Window& window, std::int64_t height,
                     std::int64_t width) {
  const std::int64_t size[2] = {height, width};
  Window::Pair out{};
  for (std::size_t axis = 0; axis < 2; ++axis) {
    if (window.kernel[axis] < 1 || window.stride[axis] < 1 || window.dilation[axis] < 1 ||
        window.before[axis] < 0 || window.after[axis] < 0) {
      bad_shape(node, "kernel, stride and dilation must be at least 1 and padding at least 0");
    }
    if (std::max({window.kernel[axis], window.stride[axis], window.dilation[axis],
                  window.before[axis], window.after[axis], size[axis]}) > kMostPixels) {
      bad_shape(node, "kernel, stride, dilation, padding and image must be below 2³¹ pixels");
    }
    const std::int64_t covers = window.dilation[axis] * (window.kernel[axis] - 1) + 1;
    const std::int64_t padded = size[axis] + window.before[axis] + window.after[axis];
    if (covers > padded) {
      bad_shape(node, "a window of " + std::to_string(covers) + " pixels does not fit into " +
                          std::to_string(padded) + " (padding included)");
    }
    out[axis] = (padded - covers) / window.stride[axis] + 1;
  }
  return out;
}

Window window_of(const Node& node) {
  const auto pair = [&](std::string_view name) {
    const std::vector<std::int64_t>& list = node.integers(name);
    return Window::Pair{list[0], list[1]};
  };
  return {pair("kernel"), pair("stride"), pair("dilation"), pair("before"), pair("after")};
}

Window padded_to_same(Window window, std::int64_t height, std::int64_t width) {
  const std::int64_t size[2] = {height, width};
  for (std::size_t axis = 0; axis < 2; ++axis) {
    const std::int64_t covers = window.dilation[axis] * (window.kernel[axis] - 1) + 1;
    const std::int64_t count = (size[axis] + window.stride[axis] - 1) / window.stride[axis];
    const std::int64_t padding =
        std::max<std::int64_t>((count - 1) * window.stride[axis] + covers - size[axis], 0);
    window.before[axis] = padding / 2;
    window.after[axis] = padding - padding / 2;
  }
  return window;
}

Value unfold(Value x, const Window& window, double outside) {
  return emit(kUnfold, {x},
              {pair_attribute("kernel", window.kernel),
               pair_attribute("stride", window.stride),
               pair_attribute("dilation", window.dilation),
               pair_attribute("before", window.before),
               pair_attribute("after", window.after),
               {"outside", outside}});
}

Value fold(Value y, const Window& window, std::int64_t height, std::int64_t width) {
  return emit(kFold, {y}, with_size(window, height, width));
}

}  // namespace chainrule
