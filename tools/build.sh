#!/usr/bin/env bash
# Configures and builds a preset, all of it or the targets named. Progress is one line that changes in
# place on a terminal, and a few lines elsewhere; what a compiler says is printed in full.
#
#   tools/build.sh PRESET [TARGET…]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

preset=$1
shift
targets=()
[[ $# -gt 0 ]] && targets=(--target "$@")

# Of ninja's lines "[12/205] Building CXX object …" only the count is shown; all others pass.
show_progress() {
  local line shown=-1 clear=
  while IFS= read -r line; do
    if [[ $line =~ ^\[([0-9]+)/([0-9]+)\]\  ]]; then
      local step=${BASH_REMATCH[1]} steps=${BASH_REMATCH[2]}
      local text="Building: $step of $steps steps, $((SECONDS / 60)) min $((SECONDS % 60)) s"
      if [[ -t 1 ]]; then
        printf '\r\033[K%s' "$text"
        clear=$'\n'
      elif ((step * 5 / steps > shown)); then
        echo "$text"
        shown=$((step * 5 / steps))
      fi
    elif [[ $line != "ninja: no work to do." ]]; then
      printf '%s%s\n' "$clear" "$line"
      clear=
    fi
  done
  printf '%s' "$clear"
}

mkdir -p build
log=build/configure-$preset.log
cmake --preset "$preset" >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
SECONDS=0
cmake --build --preset "$preset" "${targets[@]}" 2>&1 | show_progress
