# stress-ng: two processes that hand a byte to and fro, and a pipe that is filled and emptied.
export TMPDIR=/tmp
stress() {
    stress-ng --quiet --verify --no-rand-seed --timeout 0 "$@"
    check "$1" 0 $?
}
stress --switch 1 --switch-ops 2000
stress --pipe 1 --pipe-ops 2000
