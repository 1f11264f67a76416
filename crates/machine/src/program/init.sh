#!/bin/busybox sh
# The init of guests that run Debian's programs: runs /script, which is one round, as often as $rounds says.
# $rounds, $seed and $patience are words of the kernel's command line.
export PATH=/bin:/usr/bin HOME=/tmp LC_ALL=C PYTHONHASHSEED=$seed PERL_HASH_SEED=$seed
mount -t proc proc /proc
mount -t sysfs sysfs /sys
linux-seed || echo "program: the kernel does not take its seed"
cd /tmp
mismatches=0
check() {
    [ "$3" = "$2" ] && return
    echo "program: MISMATCH in $1: expected '$2', found '$3'"
    mismatches=$((mismatches + 1))
}
# The MD5 sum of standard input.
md5() {
    set -- $(md5sum)
    echo $1
}
# A guest that lost its registers may wait for what never comes.
(usleep ${patience}000; echo "program: did not end within $patience ms"; poweroff -f) &
# To the hypervisor: the boot is over, and the work begins.
printf '\002'
round=0
while [ $round -lt $rounds ]; do
    . /script
    round=$((round + 1))
done
echo "program: done rounds=$round mismatches=$mismatches"
echo TRAPCAST-LINUX-DONE
poweroff -f
