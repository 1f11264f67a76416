#!/usr/bin/env bash
# Downloads the packages of the Linux guests: Debian's kernels for arm64 (cloud) and armhf (armmp-lpae),
# a static busybox for each, and the arm64 programs that the study runs.
#
# scripts/packages.sh says how. A second call finds everything there and does nothing.
#
# Leaves in target/guest:
#   arm64   Image, busybox, versions.json
#   armhf   zImage, busybox-armhf, versions-armhf.json
#   arm64   userland, a tree of the programs and their libraries; versions-userland.json
#
# usage: scripts/guest.sh
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
guest=$root/target/guest
self=guest
store=$guest
. "$root/scripts/packages.sh"

# Names what one architecture's guest consists of: its meta package, and its files.
choose() {
    arch=$1
    case $arch in
    arm64) meta=linux-image-cloud-arm64 kernel=Image busybox=busybox versions=versions.json ;;
    armhf) meta=linux-image-armmp-lpae kernel=zImage busybox=busybox-armhf versions=versions-armhf.json ;;
    esac
}

# The programs of the study, and the libraries that these need. The lab takes from them what each image
# needs, and names a library that is not there.
userland_packages=(
    rt-tests libnuma1
    openssl libssl3
    zstd xz-utils gzip libzstd1 liblz4-1 liblzma5 zlib1g
    sqlite3 libsqlite3-0 libreadline8 libtinfo6
    python3.11-minimal libpython3.11-minimal libexpat1
    perl-base libcrypt1
    redis-server redis-tools libatomic1 liblzf1 libjemalloc2 libsystemd0 libcap2 libgcrypt20 libgpg-error0
    cpp-12 libisl23 libmpc3 libmpfr6 libgmp10
    stress-ng libapparmor1 libbsd0 libmd0 libegl1 libgles2 libglvnd0 libgbm1 libdrm2 libwayland-server0
    libffi8 libjudydebian1 libjpeg62-turbo libkmod2 libsctp1 libxxhash0
    libc6 libgcc-s1 libstdc++6
)

have() { [ -s "$guest/$kernel" ] && [ -s "$guest/$busybox" ] && [ -s "$guest/$versions" ]; }

# Whether a kernel has its architecture's magic number: in the header of an arm64 Image or a zImage.
is_kernel() {
    case $arch in
    arm64) [ "$(dd if="$1" bs=1 skip=56 count=4 status=none)" = "ARMd" ] ;;
    armhf) [ "$(dd if="$1" bs=1 skip=36 count=4 status=none | od -An -tx4 --endian=little | tr -d ' ')" = 016f2818 ] ;;
    esac
}

# Downloads the kernel and the busybox of $arch.
download() {
    local package image program
    prepare_apt "$sources"

    package=$(field Depends $meta | grep -o 'linux-image-[^ ,]*' | head -n 1)
    [ -n "$package" ] || fail "the lists that apt could read have no $meta; its message stands above"
    fetch "$package"
    fetch busybox-static

    image=$(find "$work/$package/boot" -name 'vmlinuz-*' | head -n 1)
    program=$(find "$work/busybox-static" -path '*bin/busybox' -type f | head -n 1)
    [ -n "$image" ] || fail "$package holds no boot/vmlinuz-*"
    [ -n "$program" ] || fail "busybox-static holds no bin/busybox"
    is_kernel "$image" || fail "$package's vmlinuz is no $kernel"

    cat >"$work/$versions" <<JSON
{
  "kernel_package": "$package",
  "kernel_version": "$(field Version "$package")",
  "busybox_version": "$(field Version busybox-static)"
}
JSON
    # Each rename is atomic, and the versions, without which nothing counts as there, come last.
    mv -f "$image" "$guest/$kernel"
    mv -f "$program" "$guest/$busybox"
    mv -f "$work/$versions" "$guest/$versions"
    end_download
    say "ready: $(tr -d '\n' <"$guest/$versions")"
}

# Whether the tree is there and of all these packages.
have_userland() {
    local package
    [ -d "$guest/userland/usr" ] || return
    for package in "${userland_packages[@]}"; do
        grep -qs "^  \"$package\": " "$guest/versions-userland.json" || return
    done
}

# Downloads the programs, all at once, and unpacks them into one tree.
download_userland() {
    local package
    arch=arm64
    prepare_apt "$sources"
    say "downloading ${#userland_packages[@]} packages of programs for $arch"
    (cd "$work/debs" && apt_here apt-get download "${userland_packages[@]}" >/dev/null) ||
        fail "apt could not download the programs; its message stands above"
    say "unpacking $(du -sh "$work/debs" | cut -f 1)"
    for package in "$work"/debs/*.deb; do
        dpkg-deb -x "$package" "$work/userland"
    done
    # What no program reads.
    rm -rf "$work/userland/usr/share" "$work/userland/var"
    versions_of_debs >"$work/versions-userland.json"
    rm -rf "$guest/userland"
    mv "$work/userland" "$guest/userland"
    mv -f "$work/versions-userland.json" "$guest/versions-userland.json"
    end_download
    say "ready: $guest/userland"
}

missing=()
for name in arm64 armhf; do
    choose $name
    if have; then
        say "already there: $(tr -d '\n' <"$guest/$versions")"
    else
        missing+=($name)
    fi
done
if have_userland; then
    say "already there: $guest/userland"
else
    missing+=(userland)
fi
[ ${#missing[@]} != 0 ] || exit 0

begin_downloads
for name in "${missing[@]}"; do
    # Another call may have been faster.
    if [ "$name" = userland ]; then
        have_userland || download_userland
    else
        choose "$name"
        have || download
    fi
done
