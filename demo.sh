#!/usr/bin/env bash
# From a fresh machine to a trained network: installs what is missing, builds, trains on the built-in
# handwritten digits, and prints the derivation of a two-layer network.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

tools/install_packages.sh
mkdir -p build
cmake --preset release >build/demo-configure.log 2>&1 || { cat build/demo-configure.log >&2; exit 1; }
cmake --build --preset release --target chainrule_cli notebook

model=build/digits.safetensors
echo
echo "── Training on the handwritten digits ──"
build/release/chainrule train digits -o "$model"
echo
echo "The model lies in $model"
echo
echo "── A two-layer network: the forward pass as written, the backward pass as derived ──"
build/release/notebook
