# Redis: a server, a benchmark of four clients over the loopback interface, and one client that takes its time.
ifconfig lo 127.0.0.1 up
port=$((6379 + worker)) requests=$(about 60) turns=$(about 30)
redis-server --save "" --bind 127.0.0.1 --port $port --logfile /dev/null &
server=$!
until [ "$(redis-cli -p $port ping 2>/dev/null)" = PONG ]; do usleep 2000; done
redis-benchmark -p $port -q -n $requests -c 4 -t set,lpush >/dev/null
check set VXK "$(redis-cli -p $port get key:__rand_int__)"
check lpush $requests "$(redis-cli -p $port llen mylist)"
check incr $turns "$(redis-cli -p $port -r $turns -i 0.002 incr counter | tail -n 1)"
redis-cli -p $port shutdown nosave
wait $server
