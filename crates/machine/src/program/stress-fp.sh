# stress-ng: a Fourier transform, loops in floating point, and vectors.
export TMPDIR=/tmp
stress() {
    stress-ng --quiet --verify --seed $seed --timeout 0 "$@"
    check "$1" 0 $?
}
stress --cpu 1 --cpu-method fft --cpu-ops 1
stress --vecmath 1 --vecmath-ops 10
