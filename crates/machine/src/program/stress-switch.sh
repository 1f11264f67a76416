# stress-ng: two processes that hand a byte to and fro, and a pipe that is filled and emptied.
export TMPDIR=/tmp
stress() {
    stress-ng --quiet --verify --seed $seed --timeout 0 "$@"
    check "$1" 0 $?
}
stress --switch 1 --switch-ops $(about 2000)
stress --pipe 1 --pipe-ops $(about 2000)
