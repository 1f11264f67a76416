# Redis: a server, a benchmark of four clients over the loopback interface, and one client that takes its time.
ifconfig lo 127.0.0.1 up
redis-server --save "" --bind 127.0.0.1 --logfile /dev/null &
server=$!
until [ "$(redis-cli ping 2>/dev/null)" = PONG ]; do usleep 2000; done
redis-benchmark -q -n 60 -c 4 -t set,lpush >/dev/null
check set VXK "$(redis-cli get key:__rand_int__)"
check lpush 60 "$(redis-cli llen mylist)"
check incr 30 "$(redis-cli -r 30 -i 0.002 incr counter | tail -n 1)"
redis-cli shutdown nosave
wait $server
