#!/usr/bin/env bash
# Prepares KVM in KVM for `trapcast observe`: a host (L0) whose guest (L1) is a host too, with our bench as guest (L2).
#
# L0 and L1 run the newest kernel of trixie-backports, and QEMU of there as VMM: nested virtualisation needs both. What
# runs them is the QEMU that `trapcast observe` takes, with FEAT_NV2 (`-cpu max`). scripts/packages.sh says how packages
# are downloaded. Ends with the command line to run.
#
# Leaves in target/nested:
#   Image, vmm    the kernel, and a tree of QEMU for arm64 with its libraries
#   initrd        that of L0, with L1's in it
#
# usage: scripts/nested.sh [VERSION [PROGRAM]]
#   VERSION       of the kernel, such as 7.3.4, or newest [default: newest]
#   PROGRAM       a program of the study, such as openssl, that Linux runs as L2 in place of our bench. It has to have run
#                 on Trapcast before: trapcast record PROGRAM
# environment:
#   TRAPCAST_TRIXIE   where Debian 13 is [default: http://deb.debian.org/debian]
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
self=nested
store=$root/target/nested
export TRAPCAST_DEBIAN="${TRAPCAST_TRIXIE:-http://deb.debian.org/debian} trixie"
. "$root/scripts/packages.sh"

arch=arm64
version=${1:-newest}
[ "$version" != newest ] || version=
program=${2:-}
busybox=$root/target/guest/busybox
bench=$root/target/el2/aarch64-unknown-none-softfloat/release/bench
for file in "$busybox" "$bench"; do
    [ -s "$file" ] || fail "$file is missing: make build guest"
done

download() {
    local package kernel
    prepare_apt "$(printf '%s\n%s\n' "$sources" "$(backports_archive)")"
    package=$(apt_here apt-cache search --names-only "^linux-binary-${version:-[0-9.]*}[+]deb13-cloud-arm64\$" |
        cut -d ' ' -f 1 | sort -V | tail -n 1)
    [ -n "$package" ] || fail "trixie-backports has no linux-binary-${version:-*}+deb13-cloud-arm64"
    fetch "$package"
    kernel=$(find "$work/$package" -type f -name 'vmlinuz*' | head -n 1)
    [ -n "$kernel" ] || fail "$package holds no vmlinuz"
    mv "$kernel" "$work/Image"
    rm -f "$work"/debs/*.deb
    say "downloading qemu-system-arm and what it needs for $arch"
    fetch_with_dependencies qemu-system-{arm,common,data}/trixie-backports
    for package in "$work"/debs/*.deb; do
        dpkg-deb -x "$package" "$work/vmm"
    done
    rm -rf "${store:?}/vmm" "$store/Image" "$store/version"
    mv "$work/vmm" "$work/Image" "$store"
    printf '%s\n' "${version:-newest}" >"$store/version"
    end_download
}

# The names of the libraries that an ELF file needs.
needed() { readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'; }

# Prints QEMU and all libraries that it needs, by their paths in vmm.
closure() {
    local todo=(usr/bin/qemu-system-aarch64 usr/lib/aarch64-linux-gnu/ld-linux-aarch64.so.1) seen=" " file name
    while [ ${#todo[@]} != 0 ]; do
        file=${todo[0]} todo=("${todo[@]:1}")
        case $seen in *" $file "*) continue ;; esac
        seen+="$file "
        printf '%s\n' "$file"
        for name in $(needed "$store/vmm/$file"); do
            name=$(cd "$store/vmm" && find usr/lib/aarch64-linux-gnu -name "$name" | head -n 1)
            [ -z "$name" ] || todo+=("$name")
        done
    done
}

# Adds an entry to an archive of the kind that Linux unpacks (newc): entry NAME MODE [FILE]
inode=0
entry() {
    local size=0
    inode=$((inode + 1))
    [ -z "${3:-}" ] || size=$(stat -Lc %s "$3")
    printf '070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\0' $inode "0$2" 0 0 1 0 "$size" 0 0 \
        0 0 $((${#1} + 1)) 0 "$1"
    head -c $(((4 - (110 + ${#1} + 1) % 4) % 4)) /dev/zero
    [ "$size" = 0 ] || cat "$3"
    head -c $(((4 - size % 4) % 4)) /dev/zero
}

# The archive of one level on standard output: archive LEVEL COMMAND [NAME=FILE]...
archive() {
    local level=$1 command=$2 file directory made=" "
    shift 2
    cat >"$store/init$level" <<INIT
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin:/usr/bin LC_ALL=C
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
dmesg | sed -n 's/.*\(kvm \[1\]: .*\)/L$level: \1/p'
$command </dev/null 2>&1
echo "L$level: done"
poweroff -f
INIT
    for directory in bin dev proc sys tmp; do entry $directory 40755; done
    entry bin/busybox 100755 "$busybox"
    entry init 100755 "$store/init$level"
    entry lib 120777 "$store/lib"
    for file in $(closure); do
        directory=
        for part in $(dirname "$file" | tr / ' '); do
            directory=${directory:+$directory/}$part
            case $made in *" $directory "*) ;; *) entry "$directory" 40755 && made+="$directory " ;; esac
        done
        entry "$file" 100755 "$store/vmm/$file"
    done
    for file in "$@"; do entry "${file%%=*}" 100644 "${file#*=}"; done
    entry 'TRAILER!!!' 0
}

words="console=ttyAMA0 rdinit=/init panic=-1 quiet cma=0 cryptomgr.notests mitigations=off \
initcall_blacklist=trace_eval_init,tracer_init_tracefs,init_blk_tracer,init_kprobe_trace,cubictcp_register"
vmm="qemu-system-aarch64 -accel kvm -cpu host -smp 1 -nographic -nodefaults -no-user-config -no-reboot -nic none \
-serial stdio"
board="virt,gic-version=3,dtb-randomness=off,its=off"

command -v readelf >/dev/null || fail "readelf is missing: apt-get install binutils"
if [ -n "$program" ]; then
    image=$(find "$root/target/guest/images" -name "$program-*.cpio" 2>/dev/null | head -n 1)
    [ -n "$image" ] || fail "no image of $program in target/guest/images: target/debug/trapcast record $program"
    l2="-m 160M -kernel /guest -initrd /program -append 'console=ttyAMA0 rdinit=/init panic=-1 quiet cma=0 \
cryptomgr.notests rounds=1 seed=1 patience=100000 workers=1 begin=0 offset=0'"
    l2_files=(guest="$root/target/guest/Image" program="$image")
else
    l2="-m 16384k -kernel /guest -append 'only=entry-exit-used rounds=100 count=off'"
    l2_files=(guest="$bench")
fi
begin_downloads
[ "$(cat "$store/version" 2>/dev/null)" = "${version:-newest}" ] || download
printf usr/lib/aarch64-linux-gnu >"$store/lib"
say "building the initrds"
archive 1 "$vmm -M $board $l2" "${l2_files[@]}" >"$store/initrd1"
archive 0 "$vmm -M $board,virtualization=on -m 768M -kernel /kernel -initrd /initrd1 -append '$words'" \
    kernel="$store/Image" initrd1="$store/initrd1" >"$store/initrd.part"
mv "$store/initrd.part" "$store/initrd"
rm -f "$store"/init[01] "$store/initrd1" "$store/lib"
cat <<RUN
$self: ready; run

target/debug/trapcast observe -o target/nested/nested.parquet -- qemu-system-aarch64 \\
    -M virt,virtualization=on,gic-version=3,dtb-randomness=off -cpu max,pauth-impdef=on -m 2G -nographic -nodefaults \\
    -no-reboot -serial stdio -rtc base=2026-01-01,clock=vm -icount shift=0,sleep=off -kernel target/nested/Image \\
    -initrd target/nested/initrd -append "$words kvm-arm.mode=nested"
RUN
