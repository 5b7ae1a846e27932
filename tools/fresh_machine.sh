#!/usr/bin/env bash
# Plays a new user on a fresh machine: a bare Debian root under build/roots/, the committed HEAD cloned
# into it, the README's commands typed there, each one's time and result printed. Needs root or sudo, and
# debootstrap; nothing outside build/ is touched.
#
#   tools/fresh_machine.sh [--suite NAME] [--as root|user] [--only demo|test|deb|arm|COMMAND] [--keep]
#
#   --suite   the Debian release: bookworm (the default), trixie, …
#   --as      one kind of user only: root, or a user with sudo; without it both, each on a machine of its own
#   --only    one step only: demo, test, deb (packs and installs the package), arm (tools/arm_tests.sh), or
#             a command typed in the clone; without it ./demo.sh and ./test.sh
#   --keep    leave the roots where they are, to look at
#
# The bare root is made once and kept as build/roots/SUITE-ARCHITECTURE.tar, downloaded packages beside it.
# The mirror is the host's (its apt sources), or $CHAINRULE_DEBIAN_MIRROR, or debootstrap's own default.
# The last line is "N passed, N failed", counted in steps.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() { echo "fresh_machine.sh: $*" >&2; exit 2; }

suite=bookworm users=(root user) steps=(demo test) keep=
while [[ $# -gt 0 ]]; do
  case $1 in
    --keep) keep=1; shift; continue ;;
    --suite | --as | --only) [[ $# -ge 2 ]] || fail "$1 needs a value" ;;
    *) fail "unknown option \"$1\"; the options are --suite, --as, --only and --keep" ;;
  esac
  case $1 in
    --suite) suite=$2 ;;
    --as) [[ $2 == root || $2 == user ]] || fail "--as is root or user, not \"$2\""; users=("$2") ;;
    --only) steps=("$2") ;;
  esac
  shift 2
done

# Mounts and foreign roots need the real root; a namespace of its own takes all mounts and processes
# along when this script ends, however it ends.
if [[ -z ${CHAINRULE_IN_NAMESPACE:-} ]]; then
  as_root=()
  if [[ $(id -u) -ne 0 ]]; then
    command -v sudo >/dev/null || fail "making a root needs root or sudo"
    as_root=(sudo --preserve-env=CHAINRULE_DEBIAN_MIRROR)
  fi
  command -v debootstrap >/dev/null || fail "debootstrap is missing; install it: apt-get install debootstrap"
  arguments=(--suite "$suite")
  [[ ${#users[@]} -eq 1 ]] && arguments+=(--as "${users[0]}")
  [[ ${#steps[@]} -eq 1 ]] && arguments+=(--only "${steps[0]}")
  [[ -n $keep ]] && arguments+=(--keep)
  exec "${as_root[@]}" unshare --mount --pid --fork --kill-child --propagation private \
    env CHAINRULE_IN_NAMESPACE=1 "$PWD/tools/fresh_machine.sh" "${arguments[@]}"
fi

roots=$PWD/build/roots
architecture=$(dpkg --print-architecture)
base=$roots/$suite-$architecture.tar
archives=$roots/$suite-$architecture-packages
mkdir -p "$archives"
work=$(mktemp -d "$roots/run-XXXXXX")
finish() {
  mount --make-rprivate / 2>/dev/null || true
  awk -v under="$work/" 'index($2, under) == 1 { print $2 }' /proc/self/mounts | sort -r |
    xargs -r -n 1 umount -l
  if [[ -n $keep ]]; then echo "kept: $work"; else rm -rf --one-file-system "$work"; fi
}
trap finish EXIT

# The first repository of Debian proper among the host's apt sources, or nothing.
host_mirror() {
  apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' 'Origin: Debian' 2>/dev/null |
    awk '$2 !~ /security|updates|backports/ { print $1; exit }'
}

make_base() {
  local mirror=${CHAINRULE_DEBIAN_MIRROR:-$(host_mirror)} proxy include=git
  proxy=$(apt-config dump Acquire::http::Proxy --format '%v%n')
  [[ -n $proxy && $proxy != DIRECT ]] && export http_proxy=$proxy
  [[ $mirror == https:* ]] && include=git,ca-certificates
  echo "Making a bare $suite root (once)"
  if ! debootstrap --variant=minbase --include="$include" "$suite" "$work/base" ${mirror:+"$mirror"} \
    >"$roots/debootstrap.log" 2>&1; then
    tail -n 20 "$roots/debootstrap.log" >&2
    fail "debootstrap failed; its log is $roots/debootstrap.log"
  fi
  # How the host reaches its mirror, credentials left out.
  apt-config dump | grep -E '^Acquire::(https?::Proxy|Check-Date|Check-Valid-Until) ' \
    >"$work/base/etc/apt/apt.conf.d/90host" || true
  rm -f "$work/base"/var/cache/apt/archives/*.deb
  tar -C "$work/base" -cf "$base.new" .
  mv "$base.new" "$base"
  rm -rf --one-file-system "$work/base"
}

# Unpacks a machine of its own for $1 (root or user), the clone's bundle in it.
make_machine() {
  root=$work/$1
  mkdir "$root"
  tar -C "$root" -xpf "$base"
  cp /etc/resolv.conf "$root/etc/resolv.conf"
  printf '127.0.0.1 localhost %s\n' "$(hostname)" >"$root/etc/hosts"
  git -c safe.directory='*' bundle create -q "$root/chainrule.bundle" HEAD
  mount --bind "$archives" "$root/var/cache/apt/archives"
  mount -t proc proc "$root/proc"
  mount --rbind /dev "$root/dev"
  if [[ $1 == user ]]; then
    in_root root / "apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends sudo" \
      >"$work/sudo.log" 2>&1 || { cat "$work/sudo.log" >&2; fail "sudo cannot be installed in the root"; }
    in_root root / "useradd --create-home --shell /bin/bash user"
    echo 'user ALL=(ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/user"
  fi
}

# Types $3 as $1 in the folder $2 of the root: with the environment of a first login, and no keyboard.
in_root() {
  local home=/root enter=()
  if [[ $1 != root ]]; then
    home=/home/$1
    enter=(setpriv --reuid "$1" --regid "$1" --init-groups)
  fi
  chroot "$root" env -i HOME="$home" USER="$1" TERM=dumb \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    "${enter[@]}" bash -c "cd \"\$1\" && $3" bash "$2" </dev/null
}

# What a step types. The package must train, and serve another project, without the clone.
typed() {
  case $1 in
    demo) echo ./demo.sh ;;
    test) echo ./test.sh ;;
    arm) echo tools/arm_tests.sh ;;
    deb) cat <<'END'
tools/make_deb.sh && cp -r build/chainrule_*.deb tests/consumer /tmp/ && cd / && rm -rf "$OLDPWD" &&
$(test "$(id -u)" = 0 || echo sudo) apt-get -qq install -y --no-install-recommends /tmp/chainrule_*.deb &&
dpkg -s chainrule && dpkg -L chainrule | grep -E 'bin/|man1|\.a$|\.cmake$|chainrule.h$' &&
cd && chainrule train digits -o digits.safetensors && chainrule evaluate digits.safetensors digits &&
cmake -S /tmp/consumer -B consumer >/dev/null && cmake --build consumer && consumer/consumer
END
      ;;
    *) echo "$1" ;;
  esac
}

[[ -f $base ]] || make_base
passed=0 failed=0 summary=()
for user in "${users[@]}"; do
  make_machine "$user"
  home=$([[ $user == root ]] && echo /root || echo /home/user)
  in_root "$user" "$home" "git -c init.defaultBranch=main clone -q -c advice.detachedHead=false /chainrule.bundle chainrule"
  for step in "${steps[@]}"; do
    echo "── $suite, $user: $step ──"
    SECONDS=0 code=0
    in_root "$user" "$home/chainrule" "$(typed "$step")" || code=$?
    if [[ $code -eq 0 ]]; then
      passed=$((passed + 1)) result=passed
    else
      failed=$((failed + 1)) result="FAILED (exit $code)"
    fi
    summary+=("$suite, $user: $step $result, $((SECONDS / 60)) min $((SECONDS % 60)) s")
  done
done
echo
printf '%s\n' "${summary[@]}"
echo "$passed passed, $failed failed"
[[ $failed -eq 0 ]]
