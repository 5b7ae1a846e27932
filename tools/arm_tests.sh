#!/usr/bin/env bash
# Builds for AArch64 and runs the kernels' tests, a training and the notebook under qemu. It adds an
# architecture to the machine's packages, so it is run as root on a machine made for it:
#
#   tools/fresh_machine.sh --as root --only arm
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

apt() {
  DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 "$@" </dev/null
}

dpkg --add-architecture arm64
apt update
packages=(cmake ninja-build python3 g++-aarch64-linux-gnu qemu-user-static)
for library in $(sed -n '/^\[build\]/,/^\[test\]/p' packages.txt | grep -- '-dev$'); do
  # A library of headers may exist for no architecture or for this one alone; it serves both.
  if apt-cache show "$library:arm64" >/dev/null 2>&1; then
    packages+=("$library:arm64")
  else
    packages+=("$library")
  fi
done
echo "Installing ${packages[*]}"
apt install -y --no-install-recommends "${packages[@]}" >/dev/null

tools/build.sh arm chainrule_tests chainrule_cli notebook
echo "The kernels' tests"
qemu-aarch64-static build/arm/chainrule_tests --source-file='*tests/backend/*,*tests/ops/*'
echo "The notebook, digit for digit"
qemu-aarch64-static build/arm/notebook | diff - tests/golden/notebook.txt
qemu-aarch64-static build/arm/chainrule train iris
