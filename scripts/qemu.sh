#!/usr/bin/env bash
# Provides QEMU 10 or later, which `trapcast observe` needs: the plugin interface of earlier versions cannot
# read registers.
#
# Where the machine's own QEMU is older, Debian's backport is unpacked, with the libraries that this machine
# lacks, under target/qemu; nothing is installed. scripts/packages.sh says how. A second call finds
# everything there and does nothing.
#
# Leaves in target/qemu:
#   qemu-system-aarch64   a small script that runs it
#   root, versions.json   the packages' files, and their versions
#
# usage: scripts/qemu.sh
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
self=qemu
store=$root/target/qemu
. "$root/scripts/packages.sh"

oldest=10
packages=(qemu-system-arm qemu-system-common qemu-system-data)

# The first line of a QEMU's --version, if it runs and is new enough.
serves() {
    local line major
    line=$("$1" --version 2>/dev/null | head -n 1) || return
    major=$(sed -n 's/^QEMU emulator version \([0-9]*\)\..*/\1/p' <<<"$line")
    [ -n "$major" ] && [ "$major" -ge $oldest ] && printf '%s\n' "$line"
}

have() { [ -s "$store/versions.json" ] && found=$(serves "$store/qemu-system-aarch64"); }

# Writes the script that runs the QEMU in the directory `root` beside it.
write_script() {
    cat >"$1" <<'SCRIPT'
#!/bin/sh
# Runs the QEMU that lies here, with its own firmware, modules and libraries. Written by scripts/qemu.sh.
here=$(dirname "$(readlink -f "$0")")
for modules in "$here"/root/usr/lib/*/qemu; do
    export QEMU_MODULE_DIR="$modules"
done
for libraries in "$here"/root/lib/*-linux-gnu "$here"/root/usr/lib/*-linux-gnu; do
    ls "$libraries"/lib*.so* >/dev/null 2>&1 || continue
    export LD_LIBRARY_PATH="$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
done
exec "$here/root/usr/bin/qemu-system-aarch64" -L "$here/root/usr/share/qemu" \
    -L "$here/root/usr/lib/ipxe/qemu" "$@"
SCRIPT
    chmod 755 "$1"
}

download() {
    local suite package archive
    archive=$(backports_archive)
    suite=${archive#* }
    arch=$(dpkg --print-architecture)
    prepare_apt "$(printf '%s\n%s\n' "$sources" "$archive")"
    # What this machine has installed need not be downloaded.
    cp /var/lib/dpkg/status "$apt/state/status"
    say "downloading QEMU of $suite for $arch"
    fetch_with_dependencies "${packages[@]/%//$suite}"
    # The ROM of the network card that a board has unless told otherwise. Fetched even where
    # this machine has it: another QEMU's is not looked for.
    fetch ipxe-qemu
    for package in "$work"/debs/*.deb; do
        dpkg-deb -x "$package" "$work/root"
    done
    write_script "$work/qemu-system-aarch64"
    versions_of_debs >"$work/versions.json"
    found=$(serves "$work/qemu-system-aarch64") ||
        fail "the QEMU of $suite does not run here, or is older than $oldest:" \
            "$("$work/qemu-system-aarch64" --version 2>&1 | head -n 1)"

    # Each rename is atomic, and the versions, without which nothing counts as there, come last.
    rm -rf "$store/versions.json" "$store/root"
    mv "$work/root" "$store/root"
    mv -f "$work/qemu-system-aarch64" "$store/qemu-system-aarch64"
    mv -f "$work/versions.json" "$store/versions.json"
    end_download
    say "ready: $found in $store"
}

if found=$(serves qemu-system-aarch64); then
    say "this machine's own: $found"
    exit 0
fi
if have; then
    say "already there: $found"
    exit 0
fi
begin_downloads
# Another call may have been faster.
have || download
