#!/usr/bin/env bash
# Installs what Trapcast needs on Debian 12: QEMU, a C linker, and Rust for EL2 and for AArch32.
#
# Rust for EL2 means the target aarch64-unknown-none-softfloat, and for AArch32 armv7a-none-eabi. Where
# rustup has a target or can add it, rustup's toolchain builds for it; else Debian's rustc-web does,
# with the core library from rust-web-src. The decisions are written to target/el2-cargo and
# target/aarch32-cargo, small scripts that run cargo. Safe to run again: it installs only what is
# missing.
#
# usage: scripts/setup.sh [--tests]
#   --tests   also installs what the tests look at the report with, and what makes Python's environments
# environment:
#   TRAPCAST_EL2_RUST   "rustup" or "debian": take this way and no other, for both
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
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
if [ "${1:-}" = --tests ]; then
    need chromium chromium
    need rsvg-convert librsvg2-bin
    python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
    [ -e /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf ] || missing+=(fonts-dejavu-core)
fi
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
    rustup target list --installed 2>/dev/null | grep -qx "$1" && return
    say "asking rustup for the target $1"
    timeout 120 rustup target add "$1" >/dev/null 2>&1
}

# Writes the script that runs cargo for a target: write_cargo WHAT FILE TRIPLE LIBRARIES
write_cargo() {
    local what=$1 file=$2 triple=$3 libraries=$4 way=${TRAPCAST_EL2_RUST:-}
    # A machine that cannot reach rustup's server would wait for it at every call: keep to Debian's
    # way once it was taken.
    if [ -z "$way" ] && grep -qs '^# debian:' "$root/target/$file"; then
        way=debian
    fi
    if [ -z "$way" ]; then
        if rustup_serves "$triple"; then way=rustup; else way=debian; fi
    fi
    script=$(mktemp "$root/target/.$file.XXXXXX")
    case $way in
    rustup)
        rustup_serves "$triple" || fail "rustup cannot add $triple here; try TRAPCAST_EL2_RUST=debian"
        say "$what: rustup's $(rustc --version), target $triple"
        cat >"$script" <<CARGO
#!/bin/sh
# rustup: runs cargo for $what. Written by scripts/setup.sh.
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
        say "$what: Debian's $(/usr/bin/rustc --version), core library built from rust-web-src"
        cat >"$script" <<CARGO
#!/bin/sh
# debian: runs cargo for $what. Written by scripts/setup.sh.
# RUSTC_BOOTSTRAP lets a stable compiler take -Zbuild-std; no prebuilt core is packaged for $what.
export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO=/usr/bin/cargo
export RUSTFLAGS="-Clinker=ld.lld"
subcommand=\$1
shift
tool=/usr/bin/cargo
[ "\$subcommand" = clippy ] && tool=/usr/bin/cargo-clippy
exec "\$tool" "\$subcommand" --target $triple -Zbuild-std=$libraries \\
    -Zbuild-std-features=compiler-builtins-mem "\$@"
CARGO
        ;;
    *) fail "TRAPCAST_EL2_RUST is '$way': it must be 'rustup' or 'debian'" ;;
    esac
    chmod 755 "$script"
    # A rewrite with the same content would only make things look newer than they are.
    if cmp -s "$script" "$root/target/$file"; then rm -f "$script"; else mv -f "$script" "$root/target/$file"; fi
    say "ready: target/$file"
}

mkdir -p "$root/target"
script=
trap '[ -z "$script" ] || rm -f "$script"' EXIT
write_cargo EL2 el2-cargo aarch64-unknown-none-softfloat core,alloc,compiler_builtins
write_cargo AArch32 aarch32-cargo armv7a-none-eabi core,compiler_builtins
