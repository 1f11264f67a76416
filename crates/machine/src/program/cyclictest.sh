# cyclictest: two threads of real-time priority that wake by their timers, every 300 and 500 microseconds.
mkdir -p /dev/shm
check cycles 'C: 300' \
    "$(cyclictest -q -t 2 -p 80 -i 300 -d 200 -l 300 2>/dev/null | grep -o 'C: *300' | head -n 1 | tr -s ' ')"
