#!/usr/bin/env bash
# Checks what the tests of the release build cannot see. Without arguments every part runs, also after
# one has failed; arguments name the parts:
#
#   ./check.sh [format] [layers] [tidy] [clang] [asan] [tsan]
#
# The last line is "N passed, N failed", counted in parts; the exit code is non-zero when one failed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

parts=(format layers tidy clang asan tsan)

# clang-format agrees with every source file.
check_format() {
  git ls-files -z '*.cpp' '*.h' | xargs -0 clang-format --dry-run -Werror
}

# No include climbs a floor.
check_layers() { tools/check_layers; }

# clang-tidy finds nothing in what is compiled, the tests left out: doctest's macros are not ours.
check_tidy() {
  cmake --preset clang >/dev/null
  # On stderr it counts what it found in the system's headers and did not report.
  git ls-files -z 'src/*.cpp' 'examples/*.cpp' 'bench/*.cpp' |
    xargs -0 -n 1 -P "$(nproc)" clang-tidy --quiet -p build/clang \
      2> >(grep -vE '^[0-9]+ warnings? generated\.$' >&2)
}

# clang compiles everything without a warning.
check_clang() {
  cmake --preset clang >/dev/null
  cmake --build --preset clang
}

# Every test, with the address and undefined-behaviour sanitizers.
check_asan() {
  cmake --preset asan >/dev/null
  cmake --build --preset asan
  ASAN_OPTIONS=detect_stack_use_after_return=1 UBSAN_OPTIONS=print_stacktrace=1 \
    tools/run_tests build/asan
}

# Every test case, with the thread sanitizer.
check_tsan() {
  cmake --preset tsan >/dev/null
  cmake --build --preset tsan --target chainrule_tests
  TSAN_OPTIONS=halt_on_error=1 tools/run_tests build/tsan --tests-regex '^chainrule_tests$'
}

if [[ $# -gt 0 ]]; then
  for part in "$@"; do
    if ! declare -F "check_$part" >/dev/null; then
      echo "check.sh: unknown part \"$part\"; the parts are: ${parts[*]}" >&2
      exit 2
    fi
  done
  parts=("$@")
fi

tools/install_packages.sh
mkdir -p build
passed=() failed=()
for part in "${parts[@]}"; do
  echo "── $part ──"
  SECONDS=0
  # A shell of its own: within an `if` bash would go on after a failed command.
  set +e
  (set -e; "check_$part")
  code=$?
  set -e
  if [[ $code -eq 0 ]]; then
    passed+=("$part")
    echo "$part: passed (${SECONDS} s)"
  else
    failed+=("$part")
    echo "$part: FAILED (${SECONDS} s)"
  fi
done

[[ ${#failed[@]} -eq 0 ]] || echo "failed: ${failed[*]}"
echo "${#passed[@]} passed, ${#failed[@]} failed"
[[ ${#failed[@]} -eq 0 ]]
