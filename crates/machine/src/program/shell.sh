# A shell that counts, in integers.
turns=$(about 2000)
i=0 sum=0
while [ $i -lt $turns ]; do sum=$((sum + i * i)) i=$((i + 1)); done
check shell $(((turns - 1) * turns * (2 * turns - 1) / 6)) $sum
