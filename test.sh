#!/usr/bin/env bash
# Installs what is missing, builds everything and runs every test. The last line is
# "N passed, N failed, N skipped"; the exit code is non-zero when anything failed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

tools/install_packages.sh build test
tools/build.sh release
tools/run_tests build/release
