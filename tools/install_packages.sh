#!/usr/bin/env bash
# Installs what is missing of packages.txt with apt, as root or through sudo. When nothing is missing
# it asks dpkg once and is done.
#
#   tools/install_packages.sh SECTION…
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The packages of the sections named.
mapfile -t wanted < <(awk -v sections="$*" '
  BEGIN { count = split(sections, names); for (i = 1; i <= count; ++i) chosen["[" names[i] "]"] = 1 }
  { sub(/#.*/, ""); gsub(/[[:space:]]/, "") }
  /^\[/ { inside = $0 in chosen; next }
  /./ && inside' packages.txt)
[[ ${#wanted[@]} -gt 0 ]] || { echo "install_packages.sh: packages.txt has no section $*" >&2; exit 2; }

if ! command -v dpkg-query >/dev/null; then
  echo "chainrule: this is not a Debian system, so nothing is installed for you; needed are: ${wanted[*]}" >&2
  exit 0
fi

# dpkg-query fails when it does not know one of the names; what it says of the others still counts.
installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "${wanted[@]}" 2>/dev/null || true)
missing=()
for package in "${wanted[@]}"; do
  grep -qxF "$package installed" <<<"$installed" || missing+=("$package")
done
[[ ${#missing[@]} -eq 0 ]] && exit 0

as_root=()
if [[ $(id -u) -ne 0 ]]; then
  if ! command -v sudo >/dev/null; then
    echo "chainrule: packages are missing and there is neither root nor sudo; as root, run: apt-get install ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi

apt() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 \
    -o Dpkg::Use-Pty=0 "$@" </dev/null
}
echo "Installing ${missing[*]}"
apt update
apt install -y --no-install-recommends "${missing[@]}" >/dev/null
