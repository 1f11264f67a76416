"""Computes a study's numbers a second time, from its Parquet records and the documents alone, and says each that differs.

Shares no code with the lab: use and forecasts are SQL in DuckDB (use.py), schemes are written from docs/schemes.md
(schemes.py), the oracle is a shortest path in NumPy (oracle.py). docs/report.md says what is compared.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import profiles as machines
import records
import replays
import report
from comparison import Comparison

ROOT = Path(__file__).resolve().parents[2]


def compare_lab(comparison: Comparison, trapcast: Path, ours: replays.Costs, profiles: dict, decisions: dict) -> None:
    """Compares with what the lab's replay says of the same rows of the record."""
    path = ours.record.path
    replayed = replays.lab(trapcast, path, len(ours.rows) < len(ours.record))
    comparison.holds(f"{path} is a record to the lab", replayed is not None)
    if replayed:
        replays.compare(comparison, ours, replayed, profiles, decisions)


def main() -> int:
    parser = argparse.ArgumentParser(prog="recompute", description=__doc__.splitlines()[0])
    parser.add_argument("study", nargs="?", type=Path, default=ROOT / "target/study", help="a study's directory [target/study]")
    parser.add_argument("--trapcast", type=Path, default=ROOT / "target/debug/trapcast", help="the lab's command")
    parser.add_argument("--workload", action="append", help="only this one; may be repeated")
    arguments = parser.parse_args()

    began = time.monotonic()
    profiles = machines.read(ROOT / "crates/profile/profiles")
    all_machines = machines.machines(profiles)
    decisions = machines.read_decisions(ROOT / "docs/profiles.md")
    results = json.loads((arguments.study / "results.json").read_text())
    comparison = Comparison()
    costs = {}
    for replay in results["replays"]:
        workload = replay["workload"]
        if arguments.workload and workload not in arguments.workload:
            continue
        directory = arguments.study / "records"
        record = records.read(directory / f"{workload}.{replay['record']}.parquet")
        costs[workload] = replays.compute(record, all_machines, range(len(record)))
        replays.compare_kept(comparison, costs[workload], replay, profiles, decisions)
        compare_lab(comparison, arguments.trapcast, costs[workload], profiles, decisions)
        further = [directory / f"{workload}.{replay['record']}.course-{n}.parquet" for n in range(1, results["courses"])]
        # A course that failed has left no record.
        for course in [record, *(records.read(path) for path in further if path.exists())]:
            work = course.work_phase()
            if work and (len(work) < len(course) or course is not record):
                ours = replays.compute(course, all_machines, work)
                compare_lab(comparison, arguments.trapcast, ours, profiles, decisions)
    report.compare_use(comparison, arguments.study, costs)
    report.compare_costs(comparison, arguments.study, costs, all_machines, decisions)

    for difference in comparison.differences:
        print(difference)
    differing = len(comparison.differences)
    print(
        f"recompute: {len(costs)} workloads, {comparison.same_so_far} numbers the same, {differing} differ; "
        f"{time.monotonic() - began:.0f} s"
    )
    if not costs:
        print("recompute: error: nothing to compare", file=sys.stderr)
    return 1 if differing or not costs else 0


try:
    sys.exit(main())
except (OSError, ValueError, KeyError) as error:
    sys.exit(f"recompute: error: {type(error).__name__}: {error}")
