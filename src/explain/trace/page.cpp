// The page: a template, its styles and scripts, and the trace as JSON. Numbers travel as base64 of
// little-endian float32, which is exact enough to look at and a third of their length in digits.
#include <array>
#include <bit>
#include <cstring>
#include <string_view>

#include "chainrule/trace.h"
#include "explain/trace/page.h"

namespace chainrule {

extern const std::string_view kPageHtml;
extern const std::string_view kPageCss;
extern const std::string_view kPageJs;

namespace {

std::string base64(std::string_view bytes) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t word = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      const auto byte = i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0U;
      word = word << 8U | byte;
    }
    for (std::size_t k = 0; k < 4; ++k) {
      text += i + k <= bytes.size() ? kDigits[word >> (18 - 6 * k) & 63U] : '=';
    }
  }
  return text;
}

std::string packed(const Tensor& numbers) {
  static_assert(std::endian::native == std::endian::little);
  const Tensor narrow = numbers.as(DType::kF32);
  std::string bytes(narrow.bytes(), '\0');
  std::memcpy(bytes.data(), narrow.data(), narrow.bytes());
  return base64(bytes);
}

const char* to_string(TracePart part) {
  constexpr std::array<const char*, 5> kNames{"input", "parameter", "forward", "backward",
                                              "update"};
  return kNames[static_cast<std::size_t>(part)];
}

Json value_json(const TraceValue& v) {
  return {{"name", v.name},
          {"formula", v.formula},
          {"part", to_string(v.part)},
          {"layer", v.layer},
          {"of", v.of},
          {"parameter", v.parameter},
          {"shape", v.numbers.shape()},
          {"data", packed(v.numbers)},
          {"recipe", page_recipe(v)}};
}

Json layer_json(const TraceLayer& layer) {
  return {{"number", layer.number},
          {"text", layer.text},
          {"input", layer.input},
          {"output", layer.output},
          {"parameters", layer.parameters}};
}

Json stage_json(const PageStage& stage) {
  return {{"kind", stage.kind},   {"mark", stage.mark}, {"layer", stage.layer},
          {"title", stage.title}, {"text", stage.text}, {"lines", stage.lines}};
}

Json norms_json(const std::vector<std::vector<double>>& norms) {
  Json rows = Json::array();
  for (const std::vector<double>& row : norms) rows.push_back(row);
  return rows;
}

Json trace_json(const Trace& trace) {
  Json values = Json::array();
  for (const TraceValue& v : trace.values) values.push_back(value_json(v));
  Json sequences = Json::array();
  for (const TraceSequence& s : trace.sequences) {
    sequences.push_back({{"layer", s.layer},
                         {"inputs", s.inputs},
                         {"states", s.states},
                         {"reverse", s.reverse},
                         {"norms", norms_json(s.norms)}});
  }
  Json layers = Json::array();
  for (const TraceLayer& layer : trace.layers) layers.push_back(layer_json(layer));
  Json stages = Json::array();
  for (const PageStage& stage : page_stages(trace)) stages.push_back(stage_json(stage));
  return {{"network", trace.network}, {"optimizer", trace.optimizer},
          {"lr", trace.lr},           {"rows", trace.rows},
          {"loss", trace.loss},       {"lossAfter", trace.loss_after},
          {"output", trace.output},   {"features", trace.features},
          {"classes", trace.classes}, {"layers", layers},
          {"values", values},         {"stages", stages},
          {"sequences", sequences}};
}

// Nothing in the data may end the script element or begin a comment in it.
std::string inside_script(const Json& data) {
  std::string text;
  for (const char c : data.dump_leniently()) {
    if (c == '<') {
      text += "\\u003c";
    } else {
      text += c;
    }
  }
  return text;
}

void put(std::string& page, std::string_view place, std::string_view content) {
  page.replace(page.find(place), place.size(), content);
}

}  // namespace

std::string explain_page(const Trace& trace) {
  std::string page(kPageHtml);
  put(page, "/*CSS*/", kPageCss);
  put(page, "/*JS*/", kPageJs);
  put(page, "/*DATA*/", inside_script(trace_json(trace)));
  return page;
}

}  // namespace chainrule
