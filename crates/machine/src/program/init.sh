#!/bin/busybox sh
# The init of guests that run Debian's programs: runs /script, which is one round, as often as $rounds says.
# $rounds, $seed, $patience, $workers, $begin and $offset are words of the kernel's command line.
export PATH=/bin:/usr/bin HOME=/tmp LC_ALL=C PYTHONHASHSEED=$seed PERL_HASH_SEED=$seed
mount -t proc proc /proc
mount -t sysfs sysfs /sys
# Every seed gives the kernel other random numbers.
echo $seed >/dev/urandom
linux-seed || echo "program: the kernel does not take its seed"
# Every seed is another input, and sizes differ by up to 1.5 %: by so many thousandths.
permil=$((1000 + ((seed + 30) % 31 * 7 + 15) % 31 - 15))
about() {
    echo $(($1 * permil / 1000))
}
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
# Guests that boot beside each other begin together.
until read up rest </proc/uptime && [ ${up%.*}${up#*.}0 -ge $begin ]; do usleep 10000; done
# Other guests are further by the time that this one begins.
while [ $offset -gt 0 ]; do offset=$((offset - 1)); done
# To the hypervisor: the boot is over, and the work begins.
printf '\002'
# All rounds of one worker, which has a directory of its own.
work() {
    mkdir -p /tmp/$worker
    cd /tmp/$worker
    round=0
    while [ $round -lt $rounds ]; do
        . /script
        round=$((round + 1))
    done
}
worker=1 others=
while [ $worker -lt $workers ]; do
    (work; exit $((mismatches > 0))) &
    others="$others $!"
    worker=$((worker + 1))
done
worker=0
work
for other in $others; do
    wait $other || mismatches=$((mismatches + 1))
done
echo "program: done rounds=$round mismatches=$mismatches"
echo TRAPCAST-LINUX-DONE
poweroff -f
