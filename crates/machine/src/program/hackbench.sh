# hackbench: processes that send messages to each other over sockets, and threads over pipes.
hackbench -g 1 -f 4 -l 100 -s 100 >/dev/null
check sockets 0 $?
hackbench -p -T -g 1 -f 4 -l 100 -s 100 >/dev/null
check pipes 0 $?
