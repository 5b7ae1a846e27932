#!/usr/bin/env bash
# From a fresh machine to a trained network: installs what is missing, builds, trains on the built-in
# handwritten digits, prints the derivation of a two-layer network, and proposes what to do next.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

tools/install_packages.sh build
tools/build.sh release chainrule_cli notebook

model=build/digits.safetensors
echo
echo "── Training on the handwritten digits ──"
build/release/chainrule train digits -o "$model"
echo
echo "The model lies in $model"
echo
echo "── A two-layer network: the forward pass as written, the backward pass as derived ──"
build/release/notebook
cat <<'END'

── What next ──
A step of training as a page to play with, in a browser:
  build/release/chainrule explain "linear 4, tanh, linear 3" --data iris --html build/step.html
A backpropagation written by hand, with a mistake that is found and corrected:
  build/release/chainrule check examples/backprop.py
A network of your own on a table of your own (iris is one that is built in), and what can be chosen:
  build/release/chainrule train iris --model "linear 16, tanh, linear 3"
END
