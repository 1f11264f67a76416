# hackbench: processes that send messages to each other over sockets, and threads over pipes.
messages=$(about 100)
hackbench -g 1 -f 4 -l $messages -s $messages >/dev/null
check sockets 0 $?
hackbench -p -T -g 1 -f 4 -l $messages -s $messages >/dev/null
check pipes 0 $?
