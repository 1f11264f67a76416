#!/usr/bin/env bash
# Every test of the project, the fast ones first: style, lints, documents, units, end to end.
#
# What fails keeps neither the other steps nor the tests beside it from being run. The last lines say how long each step took and
# sum up all tests in cargo's words; the exit status is 0 only if every step passed.
#
# usage: scripts/test.sh [--check]
#   --check   only what needs no QEMU and no guest: style, lints, documents, units
set -uo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=()
times=()
check=
case ${1:-} in
--check) check=yes ;;
'') ;;
*) echo "test.sh: unknown argument $1; usage: scripts/test.sh [--check]" >&2; exit 2 ;;
esac

step() {
    local name=$1 began=$SECONDS result=ok
    shift
    printf '\n==> %s: %s\n' "$name" "$*"
    if ! "$@" 2>&1 | tee -a "$log"; then
        result=FAILED
        failed+=("$name")
    fi
    times+=("$(printf '%6s s  %-6s  %s' $((SECONDS - began)) "$result" "$name")")
    printf '==> %s: %s, %s s\n' "$name" "$result" $((SECONDS - began))
}

# Adds up a number of all of cargo's summaries: sum passed
sum() { sed -n "s/^test result:.* \([0-9]*\) $1;.*/\1/p" "$log" | awk '{ n += $1 } END { print n + 0 }'; }

# rustup's smallest profile comes without these.
tools() {
    local tool
    for tool in rustfmt clippy; do
        cargo "${tool/rust/}" --version || rustup component add "$tool" || {
            echo "cargo ${tool/rust/} is missing: rustup component add $tool"
            return 1
        }
    done
}

el2_clippy() {
    # One at a time: together they would be built with the union of their features.
    target/el2-cargo clippy --release --target-dir target/el2 -p trapcast-hypervisor -- -D warnings || return
    target/el2-cargo clippy --release --target-dir target/el2 -p trapcast-guests --features bare -- -D warnings || return
    target/aarch32-cargo clippy --release --target-dir target/aarch32 -p trapcast-guests --features aarch32 \
        --bin checker32 --bin timers32 --bin features32 --bin scan32 -- -D warnings || return
    # The example is what other hypervisors start from.
    target/el2-cargo clippy --release --target-dir target/el2 -p trapcast-fpsimd --lib --examples \
        -- -D warnings
}

# What runs on this machine alone: crates with their documentation's examples, and the lab's own units.
units() {
    local result=0
    cargo test --no-fail-fast --workspace --exclude trapcast --exclude xtask --exclude trapcast-fpsimd || result=1
    cargo test --no-fail-fast -p trapcast-fpsimd --lib || result=1
    cargo test --no-fail-fast -p trapcast-fpsimd --doc || result=1
    cargo test --no-fail-fast -p trapcast -p xtask --lib || result=1
    return $result
}

step tools tools
step style cargo fmt --all --check
step style-fuzz cargo fmt --manifest-path fuzz/Cargo.toml --check
# A workspace of its own, which is not built here.
step lock-fuzz cargo update --workspace --locked --manifest-path fuzz/Cargo.toml
if [ -n "$check" ]; then
    step lint cargo clippy --workspace --all-targets -- -D warnings
    step documents env RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --document-private-items
    step units units
else
    step setup scripts/setup.sh --tests
    step python scripts/python.sh
    step guest make --no-print-directory hosts
    step lint cargo clippy --workspace --all-targets -- -D warnings
    step documents env RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --document-private-items
    step units cargo test --no-fail-fast --workspace --exclude trapcast --exclude xtask
    step build make --no-print-directory build
    step lint-el2 el2_clippy
    step packages scripts/publish-check.sh
    step end-to-end cargo test --no-fail-fast -p trapcast -p xtask
fi

passed=$(sum passed)
failures=$(sum failed)
printf '\nWhere the time went:\n'
printf '%s\n' "${times[@]}"
echo
if [ ${#failed[@]} = 0 ]; then
    echo "test result: ok. $passed passed; $failures failed; all steps passed; finished in $SECONDS s"
else
    echo "steps that failed: ${failed[*]}"
    echo "test result: FAILED. $passed passed; $failures failed; finished in $SECONDS s"
    exit 1
fi
