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
  // Whether it was loaded from a file that carries a digest, which matched. False for a file of a
  // chainrule before there were digests, whose damages nobody sees, and for what was not loaded.
  bool verified = false;
};

/// Writes `model` as a safetensors file, whole or not at all: the tensors are the parameters, the
/// metadata hold the format's version, the network's text, the input's shape, the encoder, the
/// labels, the training options and a digest of all that.
///
/// throws  UsageError naming what load_model would refuse: a parameter that is absent, of another
///         shape or not finite, a network that does not give what the encoder's target needs, a
///         text that is not UTF-8; FileError naming the path when it cannot be written. What stood
///         at the path is still there then.
void save_model(const std::string& path, const Model& model);

/// Throws what save_model would throw for this path and model, a disk that is full included, and
/// leaves no trace: for whoever trains long before there is something to save.
void check_saving(const std::string& path, const Model& model);

/// Reads what save_model wrote.
///
/// throws  FileError naming the path and what is wrong: no safetensors file, a safetensors file of
///         another program, another version, contents that do not match their digest, metadata or
///         tensors that do not fit together, a weight that is not finite.
Model load_model(const std::string& path);

}  // namespace chainrule
