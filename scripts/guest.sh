#!/usr/bin/env bash
# Downloads the packages of the Linux guest: Debian's arm64 cloud kernel and a static busybox.
#
# apt does it in a state of its own under target/guest/apt, so that the machine's architectures,
# sources and installed packages stay as they are; apt checks the signatures. Mirror and suite are
# the machine's own. A second call finds everything there and does nothing.
#
# Leaves target/guest/Image, target/guest/busybox and target/guest/versions.json.
#
# usage: scripts/guest.sh
# environment:
#   TRAPCAST_DEBIAN   use this instead of the machine's sources: "URI SUITE", such as
#                     "http://deb.debian.org/debian bookworm"
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
guest=$root/target/guest
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

say() { printf 'guest: %s\n' "$*"; }
fail() { printf 'guest: error: %s\n' "$*" >&2; exit 1; }

have_all() { [ -s "$guest/Image" ] && [ -s "$guest/busybox" ] && [ -s "$guest/versions.json" ]; }

# The machine's own Debian archives, one "URI SUITE" per line.
archives() {
    if [ -n "${TRAPCAST_DEBIAN:-}" ]; then
        printf '%s\n' "$TRAPCAST_DEBIAN"
        return
    fi
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
        awk '$3 == "main" && $1 ~ /\/debian(-security)?\/?$/ { print $1, $2 }' | sort -u
}

# apt with a state of its own: nothing installed, arm64 only, our sources only.
apt_here() {
    local tool=$1
    shift
    "$tool" -q \
        -o Dir::State="$guest/apt/state" -o Dir::State::status="$guest/apt/state/status" \
        -o Dir::Cache="$guest/apt/cache" \
        -o Dir::Etc::sourcelist="$guest/apt/sources.list" -o Dir::Etc::sourceparts="$guest/apt/none" \
        -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts="$guest/apt/none" \
        -o APT::Architecture=arm64 -o APT::Architectures::=arm64 \
        -o APT::Update::Post-Invoke::= -o APT::Update::Post-Invoke-Success::= \
        -o APT::Sandbox::User=root -o Acquire::Languages=none \
        -o Acquire::Retries=3 -o Acquire::http::Timeout=60 \
        "$@"
}

# A field of the newest version of a package, such as: field Version busybox-static
field() { apt_here apt-cache show --no-all-versions "$2" | sed -n "s/^$1: //p" | head -n 1; }

# Fetches one package into $work/debs and unpacks it into $work/PACKAGE.
fetch() {
    say "downloading $1 $(field Version "$1")"
    (cd "$work/debs" && apt_here apt-get download "$1" >/dev/null) ||
        fail "apt could not download $1; its message stands above"
    dpkg-deb -x "$work/debs/$1"_*.deb "$work/$1"
}

have_all && { say "already there: $(tr -d '\n' <"$guest/versions.json")"; exit 0; }

for tool in apt-get apt-cache dpkg-deb flock; do
    command -v "$tool" >/dev/null || fail "$tool is missing: this script needs Debian's apt and dpkg"
done
[ -r "$keyring" ] || fail "$keyring is missing: apt-get install debian-archive-keyring"

mkdir -p "$guest"
exec 9>"$guest/.lock"
flock 9
have_all && { say "already there"; exit 0; }

sources=$(archives)
[ -n "$sources" ] || fail "no Debian archive among apt's sources; name one, for example:" \
    "TRAPCAST_DEBIAN='http://deb.debian.org/debian bookworm' scripts/guest.sh"

work=$(mktemp -d "$guest/.work.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/debs" "$guest/apt/none" "$guest/apt/state/lists/partial" "$guest/apt/cache/archives/partial"
: >"$guest/apt/state/status"
while read -r uri suite; do
    printf 'deb [arch=arm64 signed-by=%s] %s %s main\n' "$keyring" "$uri" "$suite"
done <<<"$sources" >"$guest/apt/sources.list"

say "reading the package lists of: $(paste -sd, <<<"$sources")"
apt_here apt-get update >/dev/null || fail "apt could not read the package lists; its message stands above"

kernel=$(field Depends linux-image-cloud-arm64 | grep -o 'linux-image-[^ ,]*' | head -n 1)
[ -n "$kernel" ] || fail "linux-image-cloud-arm64 names no kernel package"
fetch "$kernel"
fetch busybox-static

image=$(find "$work/$kernel/boot" -name 'vmlinuz-*' | head -n 1)
busybox=$(find "$work/busybox-static" -path '*bin/busybox' -type f | head -n 1)
[ -n "$image" ] || fail "$kernel holds no boot/vmlinuz-*"
[ -n "$busybox" ] || fail "busybox-static holds no bin/busybox"
[ "$(dd if="$image" bs=1 skip=56 count=4 status=none)" = "ARMd" ] ||
    fail "$kernel's vmlinuz is not a plain arm64 Image"

cat >"$work/versions.json" <<JSON
{
  "kernel_package": "$kernel",
  "kernel_version": "$(field Version "$kernel")",
  "busybox_version": "$(field Version busybox-static)"
}
JSON
# Each rename is atomic, and versions.json, without which nothing counts as there, comes last.
mv -f "$image" "$guest/Image"
mv -f "$busybox" "$guest/busybox"
mv -f "$work/versions.json" "$guest/versions.json"
rm -rf "$guest/apt"
say "ready: $(tr -d '\n' <"$guest/versions.json")"
