#!/usr/bin/env bash
# Makes target/python, a virtual environment with the Python packages that scripts/python.txt pins by hash.
#
# What recomputes the study's numbers runs there (`make recompute`), and the test of what docs/hosts.md says of many hosts. Safe to run again: it does nothing if the environment
# is of that very list and still starts. The packages come from where this machine's pip gets its own.
#
# usage: scripts/python.sh
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
list=$root/scripts/python.txt
place=$root/target/python

say() { printf 'python: %s\n' "$*"; }
fail() { printf 'python: error: %s\n' "$*" >&2; exit 1; }

# An environment counts as made if the list that it was made of is in it, which is put there last.
is_made() {
    cmp -s "$list" "$place/made-of.txt" && "$place/bin/python" -c 'import distributed, duckdb, numpy, pyarrow' 2>/dev/null
}
! is_made || exit 0

command -v python3 >/dev/null || fail "no python3 here: scripts/setup.sh --tests installs it"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$(python3 --version) is too old: 3.11 or later is needed"
python3 -c 'import ensurepip, venv' 2>/dev/null || fail "no module venv here: scripts/setup.sh --tests installs it"

mkdir -p "$root/target"
# Two tests may want it at once.
exec 9>"$root/target/.python.lock"
flock 9
! is_made || exit 0
say "installing Dask, DuckDB, NumPy and pyarrow into target/python"
rm -rf "$place"
python3 -m venv "$place" || fail "python3 could not make target/python; its message stands above"
"$place/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes -r "$list" ||
    fail "pip could not install what scripts/python.txt names; its message stands above"
cp "$list" "$place/made-of.txt"
say "ready: target/python"
