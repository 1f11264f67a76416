# A shell that counts, in integers.
i=0 sum=0
while [ $i -lt 2000 ]; do sum=$((sum + i * i)) i=$((i + 1)); done
check shell 2664667000 $sum
