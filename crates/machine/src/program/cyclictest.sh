# cyclictest: two threads of real-time priority that wake by their timers, every 300 and 500 microseconds.
mkdir -p /dev/shm
cycles=$(about 300)
check cycles "C: $cycles" \
    "$(cyclictest -q -t 2 -p 80 -i 300 -d 200 -l $cycles 2>/dev/null | grep -o "C: *$cycles" | head -n 1 | tr -s ' ')"
