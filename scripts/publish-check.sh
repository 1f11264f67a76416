#!/usr/bin/env bash
# Checks the crates that others take as others get them: from the packaged files, in an empty project.
#
# Each is packaged, unpacked, tested on this machine, documented, and built for EL2. What needs a tool that is not
# here is left out, and said: Rust 1.85 (a compiler named by TRAPCAST_RUST_1_85, or rustup's toolchain 1.85), the
# target for EL2 (`make setup`), cargo-semver-checks (and the tag of a release to compare with).
#
# usage: scripts/publish-check.sh
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
crates=(forecast fpsimd switch trace)
project=$root/target/publish
built=$root/target/publish-target
el2=aarch64-unknown-none-softfloat

say() { printf 'publish-check: %s\n' "$*"; }
fail() { say "$*" >&2; exit 1; }

packages=()
for crate in "${crates[@]}"; do packages+=(-p "trapcast-$crate"); done

# In one call: that of `switch` alone would look for `forecast` in the registry.
cargo package --quiet --no-verify --allow-dirty "${packages[@]}"
rm -rf "$project"
mkdir -p "$project"
{
    echo '[workspace]'
    echo 'resolver = "3"'
    echo "members = [$(printf '"%s", ' "${crates[@]}")]"
    echo '[patch.crates-io]'
    for crate in "${crates[@]}"; do echo "trapcast-$crate = { path = \"$crate\" }"; done
} >"$project/Cargo.toml"
# The versions that the other tests run with.
cp Cargo.lock "$project/Cargo.lock"
for crate in "${crates[@]}"; do
    version=$(cargo pkgid -p "trapcast-$crate" | sed 's/.*[@#]//')
    mkdir "$project/$crate"
    # With the time of now: packages give all files the same, by which cargo would see no change.
    tar -xmzf "target/package/trapcast-$crate-$version.crate" --strip-components=1 -C "$project/$crate"
    for file in LICENSE-MIT LICENSE-APACHE README.md CHANGELOG.md; do
        [ -s "$project/$crate/$file" ] || fail "the package of trapcast-$crate has no $file"
    done
    for field in description documentation keywords categories repository license rust-version; do
        grep -q "^$field = " "$project/$crate/Cargo.toml" || fail "trapcast-$crate says no $field"
    done
done

cd "$project"
say "tests on this machine"
cargo test --quiet --target-dir "$built" --workspace
say "documentation"
RUSTDOCFLAGS='-D warnings' cargo doc --quiet --target-dir "$built" --workspace --no-deps
if [ -x "$root/target/el2-cargo" ]; then
    say "build for $el2"
    "$root/target/el2-cargo" build --quiet --target-dir "$built/el2" --workspace
    say "refusal of hard float"
    if "$root/target/el2-cargo" rustc --quiet --target-dir "$built/el2" -p trapcast-fpsimd --lib -- \
        -Ctarget-feature=+neon 2>"$project/refused"; then
        fail "trapcast-fpsimd builds for hard float"
    fi
    grep -q 'build for aarch64-unknown-none-softfloat' "$project/refused" || fail "$(cat "$project/refused")"
else
    say "LEFT OUT: the build for $el2, as there is no target/el2-cargo: make setup"
fi

old=${TRAPCAST_RUST_1_85:-}
if [ -z "$old" ] && command -v rustup >/dev/null; then
    old=$(rustup which --toolchain 1.85 rustc 2>/dev/null || true)
fi
if [ -n "$old" ]; then
    say "libraries with $("$old" --version)"
    RUSTC=$old cargo check --quiet --target-dir "$built/1.85" --workspace --lib
else
    say "LEFT OUT: the build with Rust 1.85, as there is none: TRAPCAST_RUST_1_85=/usr/bin/rustc on Debian 13"
fi

cd "$root"
tag=$(git tag --list 'v[0-9]*' --sort=-version:refname | head -n 1)
if [ -z "$tag" ]; then
    say "LEFT OUT: cargo-semver-checks, as no release is tagged (v*) to compare with"
elif ! cargo semver-checks --version >/dev/null 2>&1; then
    say "LEFT OUT: cargo-semver-checks against $tag, as it is not here: cargo install cargo-semver-checks"
else
    say "cargo-semver-checks against $tag"
    cargo semver-checks --baseline-rev "$tag" "${packages[@]}"
fi
say "all that could be checked here passed"
