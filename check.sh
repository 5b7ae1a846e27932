#!/usr/bin/env bash
# Checks what the tests of the release build cannot see. Without arguments every usual part runs, also
# after one has failed; arguments name the parts:
#
#   ./check.sh [--changed] [format] [layers] [tidy] [clang] [tsan]     the usual parts
#   ./check.sh [fresh] [arm]                                           only by name: half an hour each
#
# --changed keeps tidy to what changed since the last release, or else lately, and of much to what changed
# most (tools/changed_sources), and its analyser to fewer paths.
# The last line is "N passed, N failed", counted in parts; the exit code is non-zero when one failed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

parts=(format layers tidy clang tsan)
changed=

# clang-format agrees with every source file.
check_format() {
  git ls-files -z '*.cpp' '*.h' | xargs -0 clang-format --dry-run -Werror
}

# No include climbs a floor.
check_layers() { tools/check_layers; }

# clang-tidy finds nothing in what is compiled, the tests left out: doctest's macros are not ours.
check_tidy() {
  local files options=()
  # A folder of its own without precompiled headers: nothing has to be built for it. It reads the code of
  # AVX-512, the sanitizers' build that of AVX2.
  cmake --preset clang -B build/tidy -D CMAKE_DISABLE_PRECOMPILE_HEADERS=ON \
    -D "CHAINRULE_SIMD_OFF=|HWY_AVX2|HWY_SSE4" -D CHAINRULE_KERNEL_OPTIONS= >/dev/null
  mapfile -t files < <(git ls-files 'src/*.cpp' 'examples/*.cpp' 'bench/*.cpp')
  # Of the 20 s that a file takes half goes into the last paths through the largest functions. Without
  # them fifty files keep within five minutes of two cores.
  if [[ -n $changed ]]; then
    mapfile -t files < <(tools/changed_sources --most 50 "${files[@]}")
    options=(--extra-arg=-Xclang --extra-arg=-analyzer-config --extra-arg=-Xclang --extra-arg=max-nodes=30000)
  fi
  [[ ${#files[@]} -gt 0 ]] || return 0
  # On stderr it counts what it found in the system's headers and did not report.
  printf '%s\0' "${files[@]}" | xargs -0 -n 1 -P "$(nproc)" clang-tidy --quiet -p build/tidy "${options[@]}" \
    2> >(grep -vE '^[0-9]+ warnings? generated\.$' >&2)
}

# clang compiles everything without a warning, and every test passes with its address and
# undefined-behaviour sanitizers.
check_clang() {
  tools/build.sh clang
  # Debian's clang comes without llvm-symbolizer; binutils can name the lines too. The search for leaks
  # reads thread-local storage of loaded libraries by a layout that glibc gave up, and now and then
  # crashes (github.com/google/sanitizers/issues/1322).
  ASAN_OPTIONS=detect_stack_use_after_return=1:allow_addr2line=1:intercept_tls_get_addr=0 \
    UBSAN_OPTIONS=print_stacktrace=1:allow_addr2line=1 tools/run_tests build/clang
}

# Every test case, with the thread sanitizer.
check_tsan() {
  tools/build.sh tsan chainrule_tests
  TSAN_OPTIONS=halt_on_error=1 tools/run_tests build/tsan --tests-regex '^tests_'
}

# The README's commands on a bare Debian 12, as root and as a user with sudo; the package on another.
check_fresh() {
  tools/fresh_machine.sh
  tools/fresh_machine.sh --as user --only deb
}

# The kernels' tests on AArch64: cross-compiled in a bare Debian, run by qemu.
check_arm() { tools/fresh_machine.sh --as root --only arm; }

names=()
for argument in "$@"; do
  if [[ $argument == --changed ]]; then
    changed=1
  elif declare -F "check_$argument" >/dev/null; then
    names+=("$argument")
  else
    echo "check.sh: unknown part \"$argument\"; the parts are: ${parts[*]} fresh arm" >&2
    exit 2
  fi
done
[[ ${#names[@]} -eq 0 ]] || parts=("${names[@]}")

tools/install_packages.sh build test check
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
