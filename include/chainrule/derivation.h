// The chain rule applied to a graph, step by step, for a person to read.
#pragma once

#include <string>
#include <vector>

#include "chainrule/graph.h"

namespace chainrule {

/// One piece of mathematics: in Unicode for a terminal, and in LaTeX.
struct MathText {
  std::string text;
  std::string latex;
};

/// What one reader of a value sends back to it: the upstream gradient through the local derivative.
struct ChainTerm {
  std::string reader;           // "Z2"
  Shape reader_shape;           // [3, 2]
  MathText formula;             // "A1·W2 + b2": the reader, computed from named values
  std::string upstream;         // "dZ2"; empty when the reader is the loss
  bool elementwise = false;     // element i of the reader depends on element i of the value
  std::vector<MathText> local;  // "∂Z2[m,n]/∂A1[m,k] = W2[k,n]", from the reader inwards
  MathText chain;               // "∂loss/∂A1 = Σₘₙ ∂loss/∂Z2[m,n] · ∂Z2[m,n]/∂A1"
  MathText contribution;        // "dZ2·W2ᵀ"
  std::vector<std::string> products;  // "[3, 2]·[2, 3] → [3, 3]", of the matrix products in it
  std::vector<std::string> reasons;   // sentences; mathematics stands between backquotes
};

/// The gradient of one value.
struct DerivationStep {
  std::string value;             // "A1"
  std::string gradient;          // "dA1"
  Shape shape;                   // of both
  bool wanted = false;           // asked for, not only passed through
  bool needed = true;            // read by the finished backward pass; dA2 may cancel out
  std::vector<ChainTerm> terms;  // one a reader; their sum is the gradient
  MathText sum;                  // the contributions, joined
  MathText result;               // simplified with the whole backward pass in view
  bool cancels = false;          // `result` differs from `sum`: upstream gradients were put in
  std::string numpy;             // "dZ2 @ W2.T", as NumPy code
};

/// A value of the forward pass, or a line of the finished backward pass.
struct DerivationLine {
  std::string name;
  MathText formula;
  std::string numpy;
  Shape shape;
};

/// How the gradients of a loss come about.
struct Derivation {
  std::string loss;                      // its name
  std::vector<std::string> wrt;          // the values whose gradients were asked for
  std::vector<DerivationLine> forward;   // what the loss is computed from, in order
  std::vector<DerivationStep> steps;     // in backward order: readers before what they read
  std::vector<DerivationLine> backward;  // the backward pass as it would be programmed
};

/// Derives the gradient of `loss` for each of `wrt` and for all named values in between, by the
/// chain rule: every local derivative comes from the rule of the op that it belongs to.
///
/// loss: []    wrt: sources or named values of the loss's graph, which stays as it is
/// throws  UsageError when the loss is no scalar, has no name, or does not depend on a value of
///         `wrt`.
///
/// Example:  std::cout << to_text(derive(loss, {W1, b1, W2, b2}));
Derivation derive(Value loss, const std::vector<Value>& wrt);

/// The graph's parameters on which the loss depends, or its inputs when there are none.
std::vector<Value> derivation_targets(Value loss);

/// For a terminal: Unicode, aligned, lines of at most 100 columns where the formulas allow it.
std::string to_text(const Derivation& derivation);
/// A complete document for pdflatex, with amsmath.
std::string to_latex(const Derivation& derivation);
/// One page that needs nothing else, with MathML.
std::string to_html(const Derivation& derivation);

}  // namespace chainrule
