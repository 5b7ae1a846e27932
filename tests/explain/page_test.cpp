// The page as text: what a browser would be given. How it behaves is tested in page_test.py.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "chainrule/trace.h"

using namespace chainrule;

namespace {

Trace small_trace(const std::string& class_name) {
  Dataset batch;
  batch.x = Tensor::of<float>({2, 2}, {1, -1, 0.5F, 2});
  batch.labels = Tensor::of<std::int32_t>({2}, {0, 1});
  batch.classes = {class_name, "b"};
  batch.features = {"f", "g"};
  const Sequential model = Sequential::parse("linear 3, relu, linear 2");
  return trace(model, initialize(model, {2}, 0), batch);
}

nlohmann::json data_of(const std::string& page) {
  const std::string begin = "<script type=\"application/json\" id=\"data\">";
  const std::size_t at = page.find(begin) + begin.size();
  return nlohmann::json::parse(page.substr(at, page.find("</script>", at) - at));
}

}  // namespace

TEST_CASE("a page holds its trace as JSON") {
  const nlohmann::json data = data_of(explain_page(small_trace("a")));
  CHECK(data["network"] == "linear 3, relu, linear 2");
  CHECK(data["stages"].size() == 10);
  CHECK(data["stages"].back()["title"] == "The update");
  for (const nlohmann::json& value : data["values"]) {
    if (value["name"] != "X") continue;
    CHECK(value["data"] == "AACAPwAAgL8AAAA/AAAAQA==");  // 1, −1, 0.5, 2 as float32
  }
}

TEST_CASE("a page says how each number came about") {
  const nlohmann::json data = data_of(explain_page(small_trace("a")));
  for (const nlohmann::json& value : data["values"]) {
    const bool given = value["part"] == "input" || value["part"] == "parameter";
    const bool special = value["name"] == "Y" || value["name"] == "loss";
    CAPTURE(value["name"].get<std::string>());
    CHECK(value["recipe"].is_null() == (given || special));
  }
}

TEST_CASE("no name can end the script of a page or begin another") {
  const std::string name = "</script><script>alert(1)</script><!--";
  const std::string page = explain_page(small_trace(name));
  CHECK(page.find("alert(1)</script>") == std::string::npos);
  CHECK(data_of(page)["classes"][0] == name);
}

TEST_CASE("a page loads nothing") {
  const std::string page = explain_page(small_trace("a"));
  for (const char* loader : {" src=", "<link", "@import", "url(http", "fetch(", "XMLHttpRequest",
                             "import(", "sendBeacon"}) {
    CAPTURE(loader);
    CHECK(page.find(loader) == std::string::npos);
  }
  CHECK(page.find("default-src 'none'") != std::string::npos);
  for (std::size_t at = page.find("http"); at != std::string::npos;
       at = page.find("http", at + 1)) {
    const std::string_view rest = std::string_view(page).substr(at, 18);
    CHECK((rest.starts_with("http://www.w3.org/") || rest.starts_with("http-equiv")));
  }
}
