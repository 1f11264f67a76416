#!/usr/bin/env bash
# Installs what Trapcast needs on Debian 12: QEMU, a C linker, and Rust for EL2.
#
# Rust for EL2 means the target aarch64-unknown-none-softfloat. Where rustup has it or can add it,
# rustup's toolchain builds it; else Debian's rustc-web does, with the core library from
# rust-web-src. The decision is written to target/el2-cargo, a small script that runs cargo for EL2.
# Safe to run again: it installs only what is missing.
#
# usage: scripts/setup.sh
# environment:
#   TRAPCAST_EL2_RUST   "rustup" or "debian": take this way and no other
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
triple=aarch64-unknown-none-softfloat
way=${TRAPCAST_EL2_RUST:-}
apt_updated=

say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: error: %s\n' "$*" >&2; exit 1; }
installed() { dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed; }

# Installs the named packages, as root or through sudo.
install_packages() {
    local become=() command="apt-get install -y --no-install-recommends $*"
    command -v apt-get >/dev/null ||
        fail "this machine has no apt; install the equivalents of: $*"
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null ||
            fail "not root and no sudo here. Run this as root, then try again: $command"
        become=(sudo)
    fi
    say "installing by apt: $*"
    if [ -z "$apt_updated" ]; then
        "${become[@]}" apt-get -q update >/dev/null
        apt_updated=yes
    fi
    "${become[@]}" env DEBIAN_FRONTEND=noninteractive $command >/dev/null ||
        fail "apt could not install: $*; its message stands above"
}

# Adds to `missing` the package that a command comes from, if the command is not there.
need() { command -v "$1" >/dev/null || missing+=("$2"); }

# The version of a tool as one number: 1095 for 1.95.
number() { "$1" --version | sed -n '1s/[^0-9]*\([0-9]*\)\.\([0-9]*\).*/\1 \2/p' | awk '{ print $1 * 1000 + $2 }'; }

missing=()
need qemu-system-aarch64 qemu-system-arm
need cc gcc
need make make
need flock util-linux
[ -e /usr/include/stdlib.h ] || missing+=(libc6-dev)
[ -r /usr/share/keyrings/debian-archive-keyring.gpg ] || missing+=(debian-archive-keyring)
[ ${#missing[@]} = 0 ] || install_packages "${missing[@]}"

[ "$(number qemu-system-aarch64)" -ge 7002 ] ||
    fail "$(qemu-system-aarch64 --version | head -n 1) is too old: 7.2 or later is needed"
say "$(qemu-system-aarch64 --version | head -n 1)"

command -v cargo >/dev/null || fail "no cargo: install Rust from https://rustup.rs"
[ "$(number cargo)" -ge 1095 ] || fail "$(cargo --version) is too old: rustup update stable"
say "$(cargo --version) for this machine"

# Whether rustup has the target, or can add it. The limit is for machines that cannot reach its
# server.
rustup_serves() {
    command -v rustup >/dev/null || return 1
    rustup target list --installed 2>/dev/null | grep -qx "$triple" && return
    say "asking rustup for the target $triple"
    timeout 120 rustup target add "$triple" >/dev/null 2>&1
}

# A machine that cannot reach rustup's server would wait for it at every call: keep to Debian's way
# once it was taken.
if [ -z "$way" ] && grep -qs '^# debian:' "$root/target/el2-cargo"; then
    way=debian
fi
if [ -z "$way" ]; then
    if rustup_serves; then way=rustup; else way=debian; fi
fi

mkdir -p "$root/target"
script=$(mktemp "$root/target/.el2-cargo.XXXXXX")
trap 'rm -f "$script"' EXIT
case $way in
rustup)
    rustup_serves || fail "rustup cannot add $triple here; try TRAPCAST_EL2_RUST=debian"
    say "EL2: rustup's $(rustc --version), target $triple"
    cat >"$script" <<CARGO
#!/bin/sh
# rustup: runs cargo for EL2. Written by scripts/setup.sh.
subcommand=\$1
shift
exec cargo "\$subcommand" --target $triple "\$@"
CARGO
    ;;
debian)
    missing=()
    for package in rustc-web cargo-web rust-web-src rust-web-clippy lld; do
        installed "$package" || missing+=("$package")
    done
    [ ${#missing[@]} = 0 ] || install_packages "${missing[@]}"
    say "EL2: Debian's $(/usr/bin/rustc --version), core library built from rust-web-src"
    cat >"$script" <<CARGO
#!/bin/sh
# debian: runs cargo for EL2. Written by scripts/setup.sh.
# RUSTC_BOOTSTRAP lets a stable compiler take -Zbuild-std; no prebuilt core is packaged for EL2.
export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO=/usr/bin/cargo
export RUSTFLAGS="-Clinker=ld.lld"
subcommand=\$1
shift
tool=/usr/bin/cargo
[ "\$subcommand" = clippy ] && tool=/usr/bin/cargo-clippy
exec "\$tool" "\$subcommand" --target $triple -Zbuild-std=core,alloc,compiler_builtins \\
    -Zbuild-std-features=compiler-builtins-mem "\$@"
CARGO
    ;;
*) fail "TRAPCAST_EL2_RUST is '$way': it must be 'rustup' or 'debian'" ;;
esac
chmod 755 "$script"
# A rewrite with the same content would only make things look newer than they are.
cmp -s "$script" "$root/target/el2-cargo" || mv -f "$script" "$root/target/el2-cargo"
say "ready: target/el2-cargo"
