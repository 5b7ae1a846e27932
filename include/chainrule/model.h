// A model file: everything that is needed to use a trained network on raw rows.
#pragma once

#include <map>
#include <string>

#include "chainrule/data.h"
#include "chainrule/nn.h"
#include "chainrule/reference.h"

namespace chainrule {

/// A trained network, how raw rows become its input, and how it came about.
struct Model {
  Sequential network;
  Shape input;  // of one example: {F}, or {H, W, C} for images
  Encoder encoder;
  TensorMap parameters;                         // f32, as network.parameters(input) lists them
  std::map<std::string, std::string> training;  // options and results, for people to read
};

/// Writes `model` as a safetensors file, whole or not at all: the tensors are the parameters, the
/// metadata hold the format's version, the network's text, the input's shape, the encoder, the
/// labels and the training options.
///
/// throws  FileError naming the path when it cannot be written.
void save_model(const std::string& path, const Model& model);

/// Reads what save_model wrote.
///
/// throws  FileError naming the path and what is wrong: no safetensors file, a safetensors file of
///         another program, another version, metadata or tensors that do not fit together, a weight
///         that is not finite.
Model load_model(const std::string& path);

}  // namespace chainrule
