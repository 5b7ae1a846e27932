// What the names of a program say: which are weights, which are data, which are gradients.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "numpy/parse/syntax.h"

namespace chainrule::numpy {

/// What a walk over the syntax tree finds out about names. A string key, as in params["W1"],
/// counts as a name.
struct Names {
  std::set<std::string, std::less<>> all;
  std::set<std::string, std::less<>> assigned;
  std::set<std::string, std::less<>> updated;           // W -= …, W = W - …
  std::set<std::string, std::less<>> looped;            // for W in …
  std::set<std::string, std::less<>> element_assigned;  // dZ[Z <= 0] = 0
  std::set<std::string, std::less<>> differentiated;    // x and L_dx of dL_dx, y of dfdy
};
Names names_of(const Block& program);

/// "dW1", "grad_W1", "W1_grad": a derivative by the way people write it.
bool is_gradient_name(std::string_view name, const Names& names);
/// There is a line that computes the derivative with respect to `name`.
bool has_gradient_line(std::string_view name, const Names& names);
/// "loss", "cost", "total_loss" …
bool is_loss_name(std::string_view name);
/// How willingly a name is taken for the loss: 0 is best, -1 not at all.
int loss_rank(std::string_view name);
/// "X", "y_train", "labels" …
bool is_data_name(std::string_view name);
/// "W1", "b", "gamma", "Wxh" …
bool is_weight_name(std::string_view name);
/// A source that training would change.
bool is_parameter_name(std::string_view name, const Names& names);
/// "lr", "eps", "batch_size" …: a number that is no variable of the mathematics.
bool is_setting_name(std::string_view name);

}  // namespace chainrule::numpy
