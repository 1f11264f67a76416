#!/usr/bin/env bash
# Fuzzes what reads bytes that others wrote: each target of fuzz/ for some seconds.
#
# Needs a nightly toolchain and cargo-fuzz; says what to install where they are missing. What is found on the
# way is kept in target/fuzz/corpus, and what fails in fuzz/artifacts.
#
# usage: scripts/fuzz.sh [SECONDS | --tools]
#   --tools   only looks whether they are there
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
seconds=${1:-60}
target=${CARGO_TARGET_DIR:-target}/fuzz

need() {
    local command=$1
    shift
    "$@" >/dev/null 2>&1 || missing+=("$command")
}

missing=()
need 'rustup toolchain install nightly --profile minimal' cargo +nightly --version
need 'cargo install cargo-fuzz --locked' cargo fuzz --version
need 'apt-get install g++' c++ --version
if [ ${#missing[@]} != 0 ]; then
    echo 'fuzz: error: something is missing; install it by:' >&2
    printf '  %s\n' "${missing[@]}" >&2
    exit 2
fi
if [ "$seconds" = --tools ]; then
    exit
fi

for name in $(cargo +nightly fuzz list --fuzz-dir fuzz); do
    mkdir -p "$target/corpus/$name"
    printf '\n==> %s, %s s\n' "$name" "$seconds"
    # What is new goes to the first directory.
    cargo +nightly fuzz run --fuzz-dir fuzz --target-dir "$target" "$name" \
        "$target/corpus/$name" "fuzz/corpus/$name" -- -max_total_time="$seconds" -print_final_stats=1
done
