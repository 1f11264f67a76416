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
# What records the host, if something does: it is ended after the VMs, and what it wrote is printed.
if [ -f /host/recorder ]; then
    sh /host/recorder -s 100000 -o /tmp/trace 2>&1 &
    recorder=$!
    while [ ! -e /tmp/trace.part ] && [ -d "/proc/$recorder" ]; do
        sleep 1
    done
    sleep 1
fi
vms=
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
    vms="$vms $!"
done
wait $vms
if [ -f /host/recorder ]; then
    kill -TERM "$recorder" 2>/dev/null
    wait "$recorder"
    echo "host: recorder: status $?"
    ls /sys/kernel/tracing/instances
    cat /sys/kernel/tracing/kprobe_events
    echo "host: trace begins"
    [ ! -f /tmp/trace ] || gzip -c /tmp/trace | base64
    echo "host: trace ends"
fi
poweroff -f
