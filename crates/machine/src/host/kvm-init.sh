#!/bin/busybox sh
# The init of a KVM host: runs /vm/N/run for each VM, tags what the VMs print, and powers off when all have ended.
# $patience is a word of the kernel's command line: a VM that runs for so many seconds is ended.
/bin/busybox mkdir -p /proc /sys /dev /tmp
/bin/busybox --install -s /bin
export PATH=/bin:/usr/bin HOME=/tmp LC_ALL=C
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
dmesg | sed -n 's/.*\(kvm \[1\]: .*\)/host: \1/p'
if [ ! -c /dev/kvm ]; then
    echo "host: error: the kernel $(uname -r) has no /dev/kvm: it was started below EL2, or without KVM"
    poweroff -f
fi
echo "host: up"
for directory in /vm/*; do
    vm=${directory#/vm/}
    (
        {
            timeout -s KILL "$patience" sh "$directory/run" </dev/null 2>&1
            echo $? >"/tmp/status$vm"
        } | while IFS= read -r line || [ -n "$line" ]; do
            printf '[vm%s] %s\n' "$vm" "$line"
        done
        echo "host: vm$vm: status $(cat "/tmp/status$vm")"
    ) &
done
wait
poweroff -f
