#!/usr/bin/env bash
# Builds the Debian package build/chainrule_VERSION_ARCHITECTURE.deb: program, library, headers, manual page.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tools/install_packages.sh build package
tools/build.sh release chainrule_cli chainrule_manual
rm -f build/chainrule_*.deb
log=build/pack.log
(cd build/release && cpack -G DEB -B "$PWD/..") >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
rm -rf build/_CPack_Packages
package=$(echo build/chainrule_*.deb)
echo "The package is $package; to install it: sudo apt install ./$package"
