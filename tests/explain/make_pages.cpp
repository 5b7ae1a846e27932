// Writes the pages that page_test.py opens in a browser, into the folder that is its argument.
#include <fstream>
#include <iostream>
#include <string>

#include "chainrule/data.h"
#include "chainrule/trace.h"

using namespace chainrule;

namespace {

Dataset some_rows(const std::string& name, std::int64_t count) {
  const Table table = builtin(name);
  const Encoder encoder =
      Encoder::fit(table, all_rows(table.rows()), {.target = table.columns.back().name});
  std::vector<std::int64_t> rows;
  for (std::int64_t i = 0; i < count; ++i) rows.push_back((i * table.rows() + 40) / count);
  return encoder.encode(table, rows);
}

void write_page(const std::string& path, const std::string& network, const Dataset& batch,
                const TraceOptions& options = {}) {
  const Sequential model = Sequential::parse(network);
  const Shape example(batch.x.shape().begin() + 1, batch.x.shape().end());
  const TensorMap weights = initialize(model, example, 1);
  std::ofstream(path) << explain_page(trace(model, weights, batch, options));
}

// Digits as sequences: the rows of the image, one a time step.
Dataset as_sequences(Dataset digits) {
  const std::span<const float> pixels = digits.x.values<float>();
  digits.x = Tensor::of<float>({digits.x.shape()[0], 8, 8}, pixels);
  return digits;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) {
    std::cerr << "usage: make_pages FOLDER\n";
    return 2;
  }
  const std::string folder = arguments[1];
  write_page(folder + "/iris.html", "linear 4, tanh, linear 3", some_rows("iris", 6));
  write_page(folder + "/digits.html", "linear 16, relu, linear 10", some_rows("digits", 8));
  write_page(folder + "/adam.html", "linear 6, gelu, dropout 0.3, linear 3, softmax",
             some_rows("iris", 4), {.optimizer = Optimizer::parse("adam")});
  write_page(folder + "/recurrent.html", "rnn 6, linear 10", as_sequences(some_rows("digits", 4)));
  write_page(folder + "/lstm.html", "lstm 4, linear 10", as_sequences(some_rows("digits", 3)));
  write_page(folder + "/deep.html",
             "linear 8, tanh, linear 8, tanh, linear 8, tanh, linear 8, tanh, linear 3",
             some_rows("iris", 1));
  Dataset regression = some_rows("iris", 5);
  regression.classes.clear();
  regression.y = Tensor::of<float>({5, 1}, {1.5F, -1, 0.5F, 0, 2});
  write_page(folder + "/regression.html", "linear 32, relu, linear 1", regression);
}
