// Derivations as a person reads them, held still by golden texts, and as numbers: every gradient
// that a derivation prints as NumPy is run by Python and compared with the gradient of the graph.
#include "chainrule/derivation.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <set>
#include <sstream>

#include "chainrule/error.h"
#include "chainrule/gradient.h"
#include "chainrule/reference.h"
#include "chainrule/simplify.h"
#include "explain/example_graphs.h"
#include "explain/python.h"
#include "notation/math_text.h"
#include "notation/notation.h"
#include "support/places.h"

using namespace chainrule;

namespace {

using Make = ExampleGraph (*)();
constexpr Make kExamples[] = {notebook, sigmoid_network, recurrent, batch_norm, softmax_by_hand};

// The text of a golden file. CHAINRULE_WRITE_GOLDEN=1 writes it anew, to be looked at.
void compare(const std::string& text, const std::string& name) {
  const std::string path = source_path("tests/golden/") + name;
  if (std::getenv("CHAINRULE_WRITE_GOLDEN") != nullptr) std::ofstream(path) << text;
  std::stringstream expected;
  expected << std::ifstream(path).rdbuf();
  CHECK(text == expected.str());
}

TensorMap random_numbers(const Graph& graph) {
  std::mt19937 random(7);
  TensorMap feed;
  for (const auto& sources : {graph.inputs(), graph.parameters()}) {
    for (const Value& v : sources) {
      if (v.dtype() == DType::kI32) {
        Tensor labels(DType::kI32, v.shape());
        for (auto& x : labels.values<std::int32_t>()) x = static_cast<std::int32_t>(random() % 2);
        feed.insert_or_assign(v.name(), labels);
        continue;
      }
      Tensor numbers(DType::kF64, v.shape());
      for (double& x : numbers.values<double>()) x = std::normal_distribution(0.0, 1.0)(random);
      feed.insert_or_assign(v.name(), numbers);
    }
  }
  return feed;
}

Derivation derivation_of(const ExampleGraph& example) {
  return derive(example.loss, derivation_targets(example.loss));
}

// How often `what` stands in `text`.
std::size_t count(const std::string& text, const std::string& what) {
  std::size_t n = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++n;
  return n;
}

// A step by the name of its value.
const DerivationStep& step(const Derivation& d, const std::string& value) {
  const auto found = std::find_if(d.steps.begin(), d.steps.end(),
                                  [&](const DerivationStep& s) { return s.value == value; });
  REQUIRE(found != d.steps.end());
  return *found;
}

}  // namespace

TEST_CASE("derivations read as a textbook's") {
  for (const Make make : kExamples) {
    const ExampleGraph example = make();
    CAPTURE(example.name);
    compare(to_text(derivation_of(example)), "derive_" + example.name + ".txt");
  }
}

TEST_CASE("derivations fit into 100 columns") {
  for (const Make make : kExamples) {
    const ExampleGraph example = make();
    std::stringstream lines(to_text(derivation_of(example)));
    for (std::string line; std::getline(lines, line);) {
      const auto letters =
          std::count_if(line.begin(), line.end(), [](char c) { return (c & 0xC0) != 0x80; });
      CAPTURE(line);
      // The last block is a program, whose lines are not to be broken.
      if (line.find("  # [") == std::string::npos) CHECK(letters <= 100);
    }
  }
}

TEST_CASE("the NumPy lines of a derivation compute the gradients") {
  std::string script = python_opening();
  for (const Make make : kExamples) {
    const ExampleGraph example = make();
    const Derivation d = derivation_of(example);
    const TensorMap feed = random_numbers(*example.graph);
    // p - t is the limit for epsilon → 0: off by epsilon/p, with p down to 0.01 here.
    const bool cancels = std::any_of(d.steps.begin(), d.steps.end(),
                                     [](const DerivationStep& s) { return s.cancels; });
    const double tolerance = cancels ? 1e-7 : 1e-9;
    // The gradients by the graph itself.
    std::vector<Value> wrt;
    for (const std::string& name : d.wrt) wrt.push_back(example.graph->find(name));
    example.graph->output("loss", example.loss);
    const std::vector<Value> gradients = gradient(example.loss, wrt);
    const Evaluation run(*example.graph, feed);
    // The forward pass as NumPy.
    Graph& graph = *example.graph;
    for (const Node& node : graph.nodes()) {
      if (!node.names[0].empty() && !node.op->source && node.note.empty()) {
        graph.output(node.names[0] + "_", node.output());
      }
    }
    const std::unique_ptr<Graph> forward = spelled_out(graph, Notation::kNumpy);
    const Writer writer(*forward, Notation::kNumpy);
    script += "def check_" + example.name + "():\n";
    for (const auto& [name, tensor] : feed) {
      script += "    " + name + " = " + python_array(tensor) + "\n";
    }
    for (const Node& node : forward->nodes()) {
      if (node.note.empty() && writer.has_line(node.output())) {
        script += "    " + writer.line(node.output()) + "\n";
      }
    }
    for (const DerivationStep& s : d.steps) script += "    " + s.gradient + " = " + s.numpy + "\n";
    const auto compare_all = [&] {
      for (std::size_t i = 0; i < wrt.size(); ++i) {
        script += fmt::format("    same(\"{} {}\", d{}, {}, rtol={})\n", example.name, d.wrt[i],
                              d.wrt[i], python_array(run.value(gradients[i])), tolerance);
      }
    };
    compare_all();
    for (const std::string& name : d.wrt) script += "    del d" + name + "\n";
    for (const DerivationLine& line : d.backward) {
      script += "    " + line.name + " = " + line.numpy + "\n";
    }
    compare_all();
    script += "\n\ncheck_" + example.name + "()\n\n\n";
  }
  CHECK(run_python(script, "derivation") == 0);
}

TEST_CASE("softmax and cross-entropy are seen to cancel") {
  for (const Make make : {Make{notebook}, Make{softmax_by_hand}}) {
    const ExampleGraph example = make();
    CAPTURE(example.name);
    const Derivation d = derivation_of(example);
    const DerivationStep& scores = step(d, "Z2");
    CHECK(scores.cancels);
    REQUIRE(scores.terms.size() == 1);
    CHECK(scores.terms[0].local[0].text == "∂A2/∂Z2 = diag(A2) - A2·A2ᵀ");
    CHECK(scores.terms[0].contribution.text == "A2 ⊙ (dA2 - Σ(dA2 ⊙ A2))");
    CHECK(scores.result.text == "(A2 - Y) / 3");
    CHECK(scores.numpy == "(A2 - Y) / 3");
    CHECK_FALSE(step(d, "A2").needed);
  }
}

TEST_CASE("a value that is read several times has a term for each reader") {
  const Derivation d = derivation_of(recurrent());
  const DerivationStep& weights = step(d, "Wh");
  REQUIRE(weights.terms.size() == 3);
  CHECK(weights.terms[0].reader == "h3");
  CHECK(weights.terms[2].contribution.text == "h0ᵀ·(dh1 ⊙ (1 - h1²))");
  CHECK(weights.sum.text ==
        "h2ᵀ·(dh3 ⊙ (1 - h3²)) + h1ᵀ·(dh2 ⊙ (1 - h2²)) + h0ᵀ·(dh1 ⊙ (1 - h1²))");
  CHECK_FALSE(weights.cancels);
}

TEST_CASE("a stretched bias says why its gradient is a sum") {
  const Derivation d = derivation_of(notebook());
  REQUIRE(step(d, "b1").terms[0].reasons.size() == 1);
  CHECK(step(d, "b1").terms[0].reasons[0] ==
        "`b1` [1, 3] was stretched to [3, 3], so its gradient sums over axis 0: every copy sends "
        "its share back");
  CHECK(step(d, "W1").terms[0].products == std::vector<std::string>{"[2, 3]·[3, 3] → [2, 3]"});
}

TEST_CASE("LaTeX documents are well formed, and compile where there is pdflatex") {
  for (const Make make : kExamples) {
    const ExampleGraph example = make();
    CAPTURE(example.name);
    const std::string latex = to_latex(derivation_of(example));
    CHECK(count(latex, "\\left") == count(latex, "\\right") + count(latex, "\\leftarrow"));
    CHECK(count(latex, "\\begin{") == count(latex, "\\end{"));
    const auto braces = [&](char c) { return std::count(latex.begin(), latex.end(), c); };
    CHECK(braces('{') == braces('}'));
    const bool ascii = std::all_of(latex.begin(), latex.end(), [](char c) { return c > 0; });
    CHECK(ascii);
    if (std::system("command -v pdflatex > /dev/null 2>&1") != 0) continue;
    const auto folder =
        std::filesystem::temp_directory_path() / fmt::format("chainrule_latex_{}", ::getpid());
    std::filesystem::create_directories(folder);
    std::ofstream(folder / "d.tex") << latex;
    const std::string command = fmt::format(
        "cd '{}' && pdflatex -halt-on-error -interaction=nonstopmode d.tex > out.txt 2>&1",
        folder.string());
    CHECK(std::system(command.c_str()) == 0);
    std::filesystem::remove_all(folder);
  }
}

TEST_CASE("pages stand alone and are well nested") {
  for (const Make make : kExamples) {
    const ExampleGraph example = make();
    CAPTURE(example.name);
    const std::string html = to_html(derivation_of(example));
    for (const char* tag : {"math", "mrow", "mfrac", "msub", "msup", "section", "dl", "dd", "div",
                            "table", "munder"}) {
      CAPTURE(tag);
      const std::string open = std::string("<") + tag;
      CHECK(count(html, open + ">") + count(html, open + " ") ==
            count(html, std::string("</") + tag + ">"));
    }
    for (const char* outside : {"http:", "https:", "<script", "src=", "\\frac", "\\left"}) {
      CAPTURE(outside);
      CHECK(count(html, outside) == 0);
    }
    CHECK(count(html, "prefers-color-scheme: dark") == 1);
  }
}

TEST_CASE("names and formulas in LaTeX and MathML") {
  CHECK(latex_name("W1") == "W_{1}");
  CHECK(latex_name("dZ1") == "\\mathrm{d}Z_{1}");
  CHECK(latex_name("y_hat") == "\\hat{y}");
  CHECK(latex_name("alpha") == "\\alpha");
  CHECK(latex_name("Wxh") == "W_{xh}");
  CHECK(latex_name("learning_rate") == "\\mathrm{learning\\_rate}");
  CHECK(latex_name("dgamma") == "\\mathrm{d}\\gamma");
  CHECK(latex_of("A2 + 1e-09") == "A_{2} + 10^{-9}");
  CHECK(latex_name("data") == "\\mathrm{data}");
  CHECK(latex_of("∂Z2[m,n]/∂W2[k,n] = A1[m,k]") ==
        "\\frac{\\partial \\left(Z_{2}\\right)_{mn}}{\\partial \\left(W_{2}\\right)_{kn}} = "
        "\\left(A_{1}\\right)_{mk}");
  CHECK(mathml("\\frac{1}{3}") ==
        "<math><mrow><mfrac><mrow><mn>1</mn></mrow><mrow><mn>3</mn></mrow></mfrac></mrow></math>");
  CHECK(mathml("W_{1}^{\\top}") ==
        "<math><mrow><msubsup><mi>W</mi><mrow><mn>1</mn></mrow><mrow><mi>⊤</mi></mrow></msubsup>"
        "</mrow></math>");
}

TEST_CASE("derivation refuses what it cannot differentiate, by name") {
  const ExampleGraph example = notebook();
  const Value Z1 = example.graph->find("X");
  CHECK_THROWS_WITH_AS(
      derive(matmul(Z1, transpose(Z1)).named("S"), {Z1}),
      "the loss must be a scalar, S has shape [3, 3]; reduce it with a sum or a mean", UsageError);
  const Value other = example.graph->parameter("other", f32({2}));
  CHECK_THROWS_AS(derive(example.loss, {other}), UsageError);
}
