# What the Linux guest of the study runs: programs with and without floating point, each of whose
# results is known. @ROUNDS@ and @SIMD_ROUNDS@ are filled in by the lab.
mismatches=0
# A pause after each program, as of somebody who reads what it printed: the core goes idle.
check() {
    usleep 2000
    [ "$3" = "$2" ] && return
    echo "linux: MISMATCH in $1: expected $2, found $3"
    mismatches=$((mismatches + 1))
}
# Every seed is another size, by up to 1.5 %.
turns=$((500 + ((${seed:-1} + 30) % 31 * 7 + 15) % 31 / 2 - 7))
busy() {
    i=0 sum=0
    while [ $i -lt $turns ]; do sum=$((sum + i * i)) i=$((i + 1)); done
    echo $sum
}
round=0
while [ $round -lt @ROUNDS@ ]; do
    check awk 1.6439345667 "$(awk 'BEGIN { for (i = 1; i <= 1000; i++) s += 1 / (i * i); printf "%.10f", s }')"
    check awk-fractions -400.000000 "$(awk 'BEGIN { for (i = 0; i < 400; i++) { x = i / 7; s += (x * x - 1) / (x + 1) - x }; printf "%.6f", s }')"
    check shell $(((turns - 1) * turns * (2 * turns - 1) / 6)) "$(busy)"
    seq 1 1000 >/tmp/numbers
    check md5sum 53d025127ae99ab79e8502aae2d9bea6 "$(md5sum </tmp/numbers | cut -d' ' -f1)"
    check sort 1000,999,998, "$(sort -rn /tmp/numbers | head -n 3 | tr '\n' ,)"
    gzip -c /tmp/numbers >/tmp/numbers.gz
    check gzip 53d025127ae99ab79e8502aae2d9bea6 "$(gunzip -c /tmp/numbers.gz | md5sum | cut -d' ' -f1)"
    round=$((round + 1))
done
echo "linux: done rounds=$round mismatches=$mismatches"
linux-simd @SIMD_ROUNDS@
echo TRAPCAST-LINUX-DONE
