#!/usr/bin/env bash
# Every test of the project, the fast ones first: style, lints, documents, units, end to end.
#
# A step that fails does not keep the others from being run. The last lines sum up all tests in
# cargo's words; the exit status is 0 only if every step passed.
#
# usage: scripts/test.sh
set -uo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=()

step() {
    local name=$1 began=$SECONDS
    shift
    printf '\n==> %s: %s\n' "$name" "$*"
    if "$@" 2>&1 | tee -a "$log"; then
        printf '==> %s: ok, %s s\n' "$name" $((SECONDS - began))
    else
        printf '==> %s: FAILED, %s s\n' "$name" $((SECONDS - began))
        failed+=("$name")
    fi
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
    local package
    # One at a time: together they would be built with the union of their features.
    for package in trapcast-hypervisor trapcast-guests; do
        target/el2-cargo clippy --release --target-dir target/el2 -p $package -- -D warnings || return
    done
    target/aarch32-cargo clippy --release --target-dir target/aarch32 -p trapcast-guests --features aarch32 \
        --bin checker32 -- -D warnings || return
    # The example is what other hypervisors start from.
    target/el2-cargo clippy --release --target-dir target/el2 -p trapcast-fpsimd --lib --examples \
        -- -D warnings
}

step tools tools
step style cargo fmt --all --check
step style-fuzz cargo fmt --manifest-path fuzz/Cargo.toml --check
step setup scripts/setup.sh --tests
step guest make --no-print-directory guest
step lint cargo clippy --workspace --all-targets -- -D warnings
step documents env RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --document-private-items
step units cargo test --workspace --exclude trapcast
step build make --no-print-directory build
step lint-el2 el2_clippy
step end-to-end cargo test -p trapcast

passed=$(sum passed)
failures=$(sum failed)
echo
if [ ${#failed[@]} = 0 ]; then
    echo "test result: ok. $passed passed; $failures failed; all steps passed; finished in $SECONDS s"
else
    echo "steps that failed: ${failed[*]}"
    echo "test result: FAILED. $passed passed; $failures failed; finished in $SECONDS s"
    exit 1
fi
