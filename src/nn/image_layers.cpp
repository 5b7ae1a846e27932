// Layers on images [B, H, W, C] and sequences [B, T, C]: convolution and pooling. A sequence is an
// image of height 1.
#include "base/format.h"
#include "base/phrase_rules.h"
#include "chainrule/convolution.h"
#include "chainrule/error.h"
#include "chainrule/ops.h"
#include "nn/layer_kind.h"

namespace chainrule {
namespace {

// "3" as {3, 3}, "3x5" as {3, 5}.
Window::Pair pair_of(std::string_view word, std::int64_t least) {
  const std::size_t cross = word.find('x');
  const auto number = [&](std::string_view part) {
    double value = 0;
    if (!parse_number(part, value) || value < static_cast<double>(least) || value > 1e6 ||
        value != static_cast<double>(static_cast<std::int64_t>(value))) {
      throw UsageError(
          fmt::format("expected a whole number from {}, or two as 3x5, got \"{}\"", least, word));
    }
    return static_cast<std::int64_t>(value);
  };
  if (cross == std::string_view::npos) return {number(word), number(word)};
  return {number(word.substr(0, cross)), number(word.substr(cross + 1))};
}

void check_pair(std::string_view word) { pair_of(word, 1); }

void check_padding(std::string_view word) {
  if (word != "same" && word != "valid") {
    try {
      pair_of(word, 0);
    } catch (const UsageError&) {
      throw UsageError(fmt::format(
          "expected same, valid or a number of pixels such as 1 or 1x2, got \"{}\"", word));
    }
  }
}

// The layer's window over an image of that size; a sequence's has height 1.
Window window_of(const Phrase& layer, const Value& image, bool sequence) {
  const auto pair = [&](const char* option, std::int64_t along_height) {
    Window::Pair both = pair_of(layer.word(option), 1);
    if (sequence) both[0] = along_height;
    return both;
  };
  Window window{.kernel = pair("kernel", 1)};
  // A pooling window moves by its own size unless told.
  window.stride = layer.word("stride").empty() ? window.kernel : pair("stride", 1);
  if (layer.options.contains("dilation")) window.dilation = pair("dilation", 1);
  const std::string& padding = layer.word("padding");
  if (padding == "same") return padded_to_same(window, image.extent(1), image.extent(2));
  if (padding == "valid") return window;
  window.before = pair_of(padding, 0);
  if (sequence) window.before[0] = 0;
  window.after = window.before;
  return window;
}

void need_image(const Value& x) {
  if (x.shape().size() == 4) return;
  throw ShapeError(
      fmt::format("expected input [B, H, W, C], got {}; a layer such as \"reshape 8x8x1\" "
                  "before it makes an image of a row",
                  batch_shape(x.shape())));
}

void need_sequence(const Value& x) {
  if (x.shape().size() == 3) return;
  throw ShapeError(
      fmt::format("expected input [B, T, C], got {}; a layer such as \"reshape 8x8\" before "
                  "it makes a sequence of a row",
                  batch_shape(x.shape())));
}

// [B, T, C] ↔ [B, 1, T, C]
Value as_image(Value x) { return reshape(x, {x.extent(0), 1, x.extent(1), x.extent(2)}); }
Value as_sequence(Value x) { return reshape(x, {x.extent(0), x.extent(2), x.extent(3)}); }

// ── convolution ──────────────────────────────────────────────────────────────
Value convolve(LayerScope& scope, Value x, bool sequence) {
  const std::int64_t units = scope.layer.integer("units");
  const std::int64_t groups = scope.layer.integer("groups");
  const std::int64_t channels = x.extent(3);
  if (channels % groups != 0 || units % groups != 0) {
    throw ShapeError(
        fmt::format("groups={} must divide both the {} channels that come and the {} "
                    "that go",
                    groups, channels, units));
  }
  const Window window = window_of(scope.layer, x, sequence);
  const std::int64_t pixels = window.kernel[0] * window.kernel[1];
  Graph& graph = x.graph();
  const Value w =
      scope.weight(graph, "weight", {window.kernel[0], window.kernel[1], channels / groups, units},
                   pixels * channels / groups, pixels * units / groups, scope.layer.word("init"));
  const Value y = conv2d(x, w, window, groups);
  return scope.layer.flag("bias") ? y + scope.parameter(graph, "bias", {units}) : y;
}

std::vector<OptionRule> convolution_options(std::string_view padding) {
  return {
      {.name = "units",
       .kind = OptionKind::kInteger,
       .minimum = 1,
       .maximum = 1e6,
       .positional = true},
      {.name = "kernel",
       .kind = OptionKind::kWord,
       .fallback = "3",
       .positional = true,
       .check = check_pair},
      {.name = "stride", .kind = OptionKind::kWord, .fallback = "1", .check = check_pair},
      {.name = "padding", .kind = OptionKind::kWord, .fallback = padding, .check = check_padding},
      {.name = "dilation", .kind = OptionKind::kWord, .fallback = "1", .check = check_pair},
      {.name = "groups",
       .kind = OptionKind::kInteger,
       .fallback = "1",
       .minimum = 1,
       .maximum = 1e6},
      {.name = "bias", .kind = OptionKind::kFlag, .fallback = "true"},
      {.name = "init", .kind = OptionKind::kWord, .optional = true, .check = check_initializer}};
}

LayerKind conv2d_kind() {
  return {
      .rule = {"conv2d", convolution_options("same")},
      .usage = "conv2d UNITS [KERNEL=3] [...]",
      .meaning =
          "convolves [B, H, W, C]; also stride=, padding=same|valid|N, dilation=, groups=, "
          "bias=false, init=NAME",
      .at_steps = AtSteps::kJoins,
      .build =
          [](LayerScope& s, Value x) {
            need_image(x);
            return convolve(s, x, false);
          },
  };
}

LayerKind conv1d_kind() {
  return {
      .rule = {"conv1d", convolution_options("same")},
      .usage = "conv1d UNITS [KERNEL=3] [...]",
      .meaning = "convolves [B, T, C] along T; options as conv2d's",
      .at_steps = AtSteps::kJoins,
      .build =
          [](LayerScope& s, Value x) {
            need_sequence(x);
            return as_sequence(convolve(s, as_image(x), true));
          },
  };
}

LayerKind conv2d_transpose_kind() {
  return {
      .rule = {"conv2d_transpose",
               {{.name = "units",
                 .kind = OptionKind::kInteger,
                 .minimum = 1,
                 .maximum = 1e6,
                 .positional = true},
                {.name = "kernel",
                 .kind = OptionKind::kWord,
                 .fallback = "2",
                 .positional = true,
                 .check = check_pair},
                {.name = "stride", .kind = OptionKind::kWord, .fallback = "2", .check = check_pair},
                {.name = "bias", .kind = OptionKind::kFlag, .fallback = "true"},
                {.name = "init",
                 .kind = OptionKind::kWord,
                 .optional = true,
                 .check = check_initializer}}},
      .usage = "conv2d_transpose UNITS [KERNEL=2] [stride=2] [...]",
      .meaning = "the transpose of conv2d without padding: [B, H, W, C] grows by the stride",
      .at_steps = AtSteps::kJoins,
      .build =
          [](LayerScope& s, Value x) {
            need_image(x);
            const std::int64_t units = s.layer.integer("units");
            const Window window{.kernel = pair_of(s.layer.word("kernel"), 1),
                                .stride = pair_of(s.layer.word("stride"), 1)};
            const std::int64_t pixels = window.kernel[0] * window.kernel[1];
            const Value w = s.weight(x.graph(), "weight",
                                     {window.kernel[0], window.kernel[1], units, x.extent(3)},
                                     pixels * x.extent(3), pixels * units, s.layer.word("init"));
            const Value y = conv2d_transpose(
                x, w, window, (x.extent(1) - 1) * window.stride[0] + window.kernel[0],
                (x.extent(2) - 1) * window.stride[1] + window.kernel[1]);
            return s.layer.flag("bias") ? y + s.parameter(x.graph(), "bias", {units}) : y;
          },
  };
}

// ── pooling ──────────────────────────────────────────────────────────────────
using Pool = Value (*)(Value x, const Window& window);

template <Pool pool>
Value build_pool(LayerScope& scope, Value x) {
  if (x.shape().size() == 3) {
    return as_sequence(pool(as_image(x), window_of(scope.layer, as_image(x), true)));
  }
  need_image(x);
  return pool(x, window_of(scope.layer, x, false));
}

template <Pool pool>
LayerKind pool_kind(std::string_view name, std::string_view usage, std::string_view meaning) {
  return {
      .rule =
          {name,
           {{.name = "kernel",
             .kind = OptionKind::kWord,
             .fallback = "2",
             .positional = true,
             .check = check_pair},
            {.name = "stride", .kind = OptionKind::kWord, .optional = true, .check = check_pair},
            {.name = "padding",
             .kind = OptionKind::kWord,
             .fallback = "valid",
             .check = check_padding}}},
      .usage = usage,
      .meaning = meaning,
      .suits = Suits::kSkip,
      .at_steps = AtSteps::kJoins,
      .build = build_pool<pool>,
  };
}

// [B, …, C] → [B, C]
template <Value (*reduce)(Value, std::vector<std::int64_t>, bool)>
Value build_global(LayerScope&, Value x) {
  if (x.shape().size() < 3) bad_input("[B, H, W, C] or [B, T, C]", x);
  std::vector<std::int64_t> axes;
  for (std::int64_t axis = 1; axis + 1 < static_cast<std::int64_t>(x.shape().size()); ++axis) {
    axes.push_back(axis);
  }
  return reduce(x, axes, false);
}

}  // namespace

std::vector<LayerKind> image_layer_kinds() {
  return {
      conv1d_kind(),
      conv2d_kind(),
      conv2d_transpose_kind(),
      pool_kind<max_pool2d>("max_pool", "max_pool [KERNEL=2] [stride=KERNEL] [padding=valid]",
                            "the largest pixel under each window, channel by channel"),
      pool_kind<average_pool2d>("average_pool",
                                "average_pool [KERNEL=2] [stride=KERNEL] [padding=valid]",
                                "the mean over each window, channel by channel"),
      {.rule = {"global_average_pool", {}},
       .usage = "global_average_pool",
       .meaning = "the mean over all pixels: [B, H, W, C] becomes [B, C]",
       .suits = Suits::kSkip,
       .at_steps = AtSteps::kJoins,
       .build = build_global<mean>},
      {.rule = {"global_max_pool", {}},
       .usage = "global_max_pool",
       .meaning = "the largest of all pixels: [B, H, W, C] becomes [B, C]",
       .suits = Suits::kSkip,
       .at_steps = AtSteps::kJoins,
       .build = build_global<max>},
  };
}

}  // namespace chainrule
