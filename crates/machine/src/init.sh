#!/bin/busybox sh
# The init of the Linux guest: mounts what programs expect, then runs the script or a shell.
/bin/busybox mkdir -p /proc /sys /dev /tmp /bin /sbin /usr/bin /usr/sbin
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev
/bin/busybox --install -s
export PATH=/bin:/sbin:/usr/bin:/usr/sbin HOME=/tmp
hostname trapcast
if [ -e /script ]; then
    # Other guests are further by the time that this one begins: a word of the kernel's command line.
    offset=${offset:-0}
    while [ $offset -gt 0 ]; do offset=$((offset - 1)); done
    # To the hypervisor: the boot is over, and the work begins.
    printf '\002'
    . /script
else
    echo "A busybox shell. 'exit' or 'poweroff -f' powers the VM off."
    setsid cttyhack sh
fi
poweroff -f
