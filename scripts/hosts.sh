#!/usr/bin/env bash
# Downloads what `trapcast observe kvm` and `trapcast observe xen` run beside the Linux guests: Debian's newest
# kernel for this release, a VMM for arm64, and the Xen hypervisor.
#
# scripts/packages.sh says how. A second call finds everything there and does nothing.
#
# Leaves in target/hosts:
#   Image-backports, versions-kernel.json   the cloud kernel of backports; the release's own is in target/guest
#   vmm, versions-vmm.json                  a tree of qemu-system-arm for arm64 and its libraries
#   xen, versions-xen.json                  the hypervisor, as a flat image
#
# usage: scripts/hosts.sh
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
self=hosts
store=$root/target/hosts
. "$root/scripts/packages.sh"

arch=arm64

# What there is to have: its name, and its file or directory.
things=(kernel vmm xen)
file_of() {
    case $1 in
    kernel) echo Image-backports ;;
    *) echo "$1" ;;
    esac
}

have() { [ -s "$store/versions-$1.json" ] && [ -e "$store/$(file_of "$1")" ]; }

# Whether a file has the magic number of an arm64 Image in its header.
is_image() { [ "$(dd if="$1" bs=1 skip=56 count=4 status=none)" = "ARMd" ]; }

# Fetches one package and takes a file of it: fetch_file PACKAGE PATTERN NAME
fetch_file() {
    local file
    fetch "$1"
    file=$(find "$work/$1/boot" -name "$2" | head -n 1)
    [ -n "$file" ] || fail "$1 holds no boot/$2"
    is_image "$file" || fail "$1's $(basename "$file") is no arm64 Image"
    mv "$file" "$work/$3"
}

download_kernel() {
    local package
    prepare_apt "$(backports_archive)"
    package=$(field Depends linux-image-cloud-arm64 | grep -o 'linux-image-[^ ,]*' | head -n 1)
    [ -n "$package" ] || fail "the lists that apt could read have no linux-image-cloud-arm64; its message stands above"
    fetch_file "$package" 'vmlinuz-*' Image-backports
}

download_vmm() {
    local package
    prepare_apt "$sources"
    say "downloading qemu-system-arm $(field Version qemu-system-arm) and what it needs for $arch"
    fetch_with_dependencies qemu-system-arm
    for package in "$work"/debs/*.deb; do
        dpkg-deb -x "$package" "$work/all"
    done
    # Programs need no more than their libraries here.
    mkdir -p "$work/vmm/usr/bin" "$work/vmm/usr/lib"
    mv "$work/all/usr/bin/qemu-system-aarch64" "$work/vmm/usr/bin"
    mv "$work/all/lib" "$work/vmm"
    mv "$work/all/usr/lib/aarch64-linux-gnu" "$work/vmm/usr/lib"
}

download_xen() {
    local package
    prepare_apt "$sources"
    # The package's name has its version in it: the newest.
    package=$(apt_here apt-cache search --names-only '^xen-hypervisor-[0-9.]*-arm64$' | cut -d ' ' -f 1 |
        sort -V | tail -n 1)
    [ -n "$package" ] || fail "the lists that apt could read have no xen-hypervisor-*-arm64; its message stands above"
    fetch_file "$package" 'xen-*-arm64' xen
}

download() {
    local file
    file=$(file_of "$1")
    "download_$1"
    versions_of_debs >"$work/versions-$1.json"
    # Each rename is atomic, and the versions, without which nothing counts as there, come last.
    rm -rf "$store/versions-$1.json" "${store:?}/$file"
    mv "$work/$file" "$store/$file"
    mv -f "$work/versions-$1.json" "$store/versions-$1.json"
    end_download
    say "ready: $store/$file"
}

missing=()
for thing in "${things[@]}"; do
    if have "$thing"; then
        say "already there: $store/$(file_of "$thing")"
    else
        missing+=("$thing")
    fi
done
[ ${#missing[@]} != 0 ] || exit 0

begin_downloads
for thing in "${missing[@]}"; do
    # Another call may have been faster.
    have "$thing" || download "$thing"
done
