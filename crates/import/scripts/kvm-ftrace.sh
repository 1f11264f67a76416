#!/bin/sh
# Records for some seconds what the vCPUs of a KVM/arm64 host do with the FP/SIMD registers.
#
# Needs root, tracefs, and nothing else: Linux 4.18 or later with kprobes (CONFIG_KPROBE_EVENTS). It makes a trace
# instance and four kprobe events of its own, and takes both away at its end.
#
#   sh kvm-ftrace.sh [-s SECONDS] [-b KILOBYTES] [-o FILE]
#
#   -s   how long to record (10)
#   -b   buffer of each CPU (16384); more where events are lost
#   -o   the file to write (kvm-trace.txt)
#
# Then, anywhere: trapcast import kvm-trace.txt -o host.parquet
set -u

seconds=10 buffer=16384 output=kvm-trace.txt
while getopts s:b:o:h option; do
    case $option in
    s) seconds=$OPTARG ;;
    b) buffer=$OPTARG ;;
    o) output=$OPTARG ;;
    *) sed -n '2,/^set/s/^# \{0,1\}//p' "$0"; exit 2 ;;
    esac
done

fail() { echo "kvm-ftrace: error: $*" >&2; exit 1; }

case $seconds$buffer in *[!0-9]*) fail "-s and -b take whole numbers" ;; esac
[ "$(id -u)" = 0 ] || fail "tracefs is root's: run it with sudo"
[ "$(uname -m)" = aarch64 ] || fail "this is $(uname -m), and the functions that it probes are those of arm64"
[ -e /dev/kvm ] || fail "there is no /dev/kvm: no KVM host"

tracing=/sys/kernel/tracing
[ -e $tracing/kprobe_events ] || tracing=/sys/kernel/debug/tracing
[ -e $tracing/kprobe_events ] || mount -t tracefs none /sys/kernel/tracing 2>/dev/null && tracing=/sys/kernel/tracing
[ -e $tracing/kprobe_events ] || fail "no kprobe_events in tracefs: the kernel has no kprobes"
[ -e $tracing/events/kvm/kvm_exit ] || fail "tracefs has no event kvm:kvm_exit"

# VHE, nVHE or protected: KVM says so once, at boot.
mode=unknown
said=$(dmesg 2>/dev/null | grep -i 'kvm.*mode initialized' | head -n 1)
case $said in
*Protected*) mode=protected ;;
*Hyp* | *nVHE* | *hVHE*) mode=nvhe ;;
*VHE*) mode=vhe ;;
esac
grep -q kvm-arm.mode=protected /proc/cmdline && mode=protected
[ $mode != protected ] || fail "this is protected KVM: the host's kernel does not see who uses the registers"

instance=$tracing/instances/trapcast.$$
cat_pid= sleep_pid= began=

# Leaves tracefs as it was.
clean() {
    trap '' EXIT INT TERM HUP
    [ -z "$sleep_pid" ] || kill "$sleep_pid" 2>/dev/null
    if [ -d "$instance" ]; then
        echo 0 >"$instance/tracing_on"
        echo 0 >"$instance/events/enable"
        [ -z "$cat_pid" ] || { kill "$cat_pid" 2>/dev/null; wait "$cat_pid" 2>/dev/null; }
        rmdir "$instance"
    fi
    for probe in load_fp put_fp ctxsync_fp bind neon; do
        echo "-:trapcast$$/$probe" >>$tracing/kprobe_events 2>/dev/null
    done
    [ -z "$began" ] || rm -f "$output.part"
}
trap 'clean' EXIT
# Once it records, Ctrl-C ends that, and what was recorded is kept.
trap '[ -n "$sleep_pid" ] && kill "$sleep_pid" 2>/dev/null || exit 130' INT
trap '[ -n "$sleep_pid" ] && kill "$sleep_pid" 2>/dev/null || exit 143' TERM
trap 'exit 129' HUP

probe() {
    echo "p:trapcast$$/$*" >>$tracing/kprobe_events 2>/dev/null || fail "the kernel does not let $2 be probed"
}
probe load_fp kvm_arch_vcpu_load_fp 'vcpu=%x0:x64' 'vm=+0(%x0):x64'
probe put_fp kvm_arch_vcpu_put_fp
probe ctxsync_fp kvm_arch_vcpu_ctxsync_fp
probe bind fpsimd_bind_state_to_cpu
probe neon kernel_neon_begin

mkdir "$instance" || fail "cannot make a trace instance"
echo 0 >"$instance/tracing_on"
echo "$buffer" >"$instance/buffer_size_kb" || fail "no memory for $buffer kB a CPU: take a smaller -b"
clock=mono
echo $clock >"$instance/trace_clock" 2>/dev/null || clock=local
echo 1 >"$instance/options/record-tgid" 2>/dev/null
echo 1 >"$instance/events/kvm/kvm_entry/enable"
echo 1 >"$instance/events/kvm/kvm_exit/enable"
echo 1 >"$instance/events/trapcast$$/enable"

: >"$output.part" || fail "cannot write $output"
began=yes
{
    echo "# trapcast recorder ftrace 1"
    echo "# trapcast kernel $(uname -r) $(uname -v)"
    echo "# trapcast mode $mode"
    echo "# trapcast cpu $(cat /sys/devices/system/cpu/cpu0/regs/identification/midr_el1 2>/dev/null)"
    echo "# trapcast cpus $(getconf _NPROCESSORS_ONLN 2>/dev/null || grep -c ^processor /proc/cpuinfo)"
    echo "# trapcast clock $clock"
    echo "# trapcast seconds $seconds"
} >>"$output.part"
cat "$instance/trace_pipe" >>"$output.part" &
cat_pid=$!
echo 1 >"$instance/tracing_on"
sleep "$seconds" &
sleep_pid=$!
wait "$sleep_pid" 2>/dev/null
sleep_pid=
echo 0 >"$instance/tracing_on"
# What is left in the buffers: until the file no longer grows.
size=-1
while now=$(wc -c <"$output.part") && [ "$now" != "$size" ]; do
    size=$now
    sleep 1
done
kill "$cat_pid"
wait "$cat_pid" 2>/dev/null
cat_pid=
lost=0
for cpu in "$instance"/per_cpu/cpu*; do
    for count in $(sed -n 's/^\(overrun\|dropped events\): //p' "$cpu/stats"); do
        lost=$((lost + count))
    done
done
echo "# trapcast lost $lost" >>"$output.part"
mv "$output.part" "$output"
began=
echo "kvm-ftrace: $output: $(wc -l <"$output") lines, $lost events lost$([ $lost = 0 ] || echo ': take a larger -b')" >&2
