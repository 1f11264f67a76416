#!/usr/bin/env bash
# What takes longer than `make test` may: all mixtures of the models, torture, scans of registers, other hypervisors,
# fuzzing.
#
# A part that fails does not keep the others from being run. The last lines say how long each part took, and
# which were stopped at their limit or skipped, and why; the exit status is 0 only if none failed.
#
# usage: scripts/soak.sh [SECONDS]
#   SECONDS   how long each part may take, its build aside; without it each comes to its end (hours)
set -uo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
limit=${1:-}
case $limit in
*[!0-9]* | 0*) echo "soak.sh: not a number of seconds: $limit; usage: scripts/soak.sh [SECONDS]" >&2; exit 2 ;;
esac
# What `timeout` and what a part that has to be skipped exit with.
stopped=124
skipped=77
failed=()
lines=()

part() {
    local name=$1 began=$SECONDS result
    shift
    printf '\n==> %s\n' "$name"
    "$@"
    case $? in
    0) result=ok ;;
    "$stopped") result="stopped at its limit of $limit s, with nothing found" ;;
    "$skipped") result="skipped: $reason" ;;
    *)
        result=FAILED
        failed+=("$name")
        ;;
    esac
    lines+=("$(printf '%6s s  %-8s  %s' $((SECONDS - began)) "$name" "$result")")
    printf '==> %s: %s, %s s\n' "$name" "$result" $((SECONDS - began))
}

# Runs a command, up to the limit if there is one.
bounded() {
    if [ -n "$limit" ]; then
        timeout --kill-after=10 "$limit" "$@"
    else
        "$@"
    fi
}

# Every mixture of schemes, observed or not: the tests that are ignored otherwise.
models() {
    local tests=(-p trapcast-switch --test classes --test model)
    cargo test "${tests[@]}" --no-run || return
    bounded cargo test --no-fail-fast "${tests[@]}" -- --ignored --nocapture
}

# A part of `cargo xtask torture`, or all. It takes minutes, and ends by itself.
torture() {
    make --no-print-directory build guest || return
    target/debug/xtask torture "$@" ${limit:+--minutes $(((limit + 59) / 60))}
}

fuzzing() {
    local targets
    if ! reason=$(scripts/fuzz.sh --tools 2>&1); then
        # In one line, and without saying whose words they are.
        reason=$(tr -s '\n ' ' ' <<<"${reason#fuzz: error: }")
        return "$skipped"
    fi
    targets=(fuzz/fuzz_targets/*.rs)
    scripts/fuzz.sh ${limit:+$((limit / ${#targets[@]} + 1))}
}

# Each kind of KVM host, and hosts whose VMs do not end: the trials that are ignored otherwise.
hosts() {
    make --no-print-directory build hosts || return
    cargo test -p trapcast --test hosts --no-run || return
    bounded cargo test --no-fail-fast -p trapcast --test hosts -- --ignored --test-threads 1
}

part models models
part torture torture
# Every register encoding, from VM to VM: again, with the time for itself.
part scan torture --part scan --scans 64 --seed 1000 -o target/torture/scan
part hosts hosts
part fuzz fuzzing

printf '\nWhere the time went:\n'
printf '%s\n' "${lines[@]}"
echo
if [ ${#failed[@]} = 0 ]; then
    echo "soak result: ok; finished in $SECONDS s"
else
    echo "soak result: FAILED: ${failed[*]}; finished in $SECONDS s"
    exit 1
fi
