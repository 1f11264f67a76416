"""Compares the tables of a study's report (docs/report.md) with what is computed here."""

import csv
from pathlib import Path

import use
from comparison import Comparison
from profiles import Profile
from replays import Costs


def rows(study: Path, table: str) -> list[dict[str, str]]:
    """The rows of one of the report's tables."""
    with (study / "report" / f"{table}.csv").open() as file:
        return list(csv.DictReader(file))


def number(text: str) -> float | None:
    """A cell. What is not known is empty."""
    return float(text) if text else None


def compare_use(comparison: Comparison, study: Path, costs: dict[str, Costs]) -> None:
    """Compares the tables of questions 1 and 2."""
    for table, names in [
        ("use", ["windows", "used"]),
        ("chances", ["use_after_use", "use_after_none", "accuracy", "majority"]),
    ]:
        for row in rows(study, table):
            workload, kind = row["workload"], row["windows_of"]
            if workload not in costs:
                continue
            record = costs[workload].record
            ours = use.shares(record.path, kind, range(len(record)), together=row.get("phase") == "all")
            for name in names:
                comparison.same(f"{table}.csv: {workload}, {kind} windows, {name}", ours[name], number(row[name]))


def per_thousand(
    costs: Costs, scheme: str, machine: Profile, decisions: dict[str, tuple[int, int]]
) -> float:
    """What a scheme, or the oracle, costs for a thousand entries, decisions included."""
    if scheme == "oracle":
        cost = costs.oracle[machine.name]
    else:
        counts = costs.counts[scheme]
        deciding = machine.decisions(counts["asked"], counts["told"], *decisions[scheme])
        cost = machine.cost(counts) + deciding
    return cost / len(costs.rows) * 1000


def compare_costs(
    comparison: Comparison,
    study: Path,
    costs: dict[str, Costs],
    machines: dict[str, Profile],
    decisions: dict[str, tuple[int, int]],
) -> None:
    """Compares the table of costs by workload; of `forecast`, that it is not cheaper than the oracle."""
    for row in rows(study, "costs_by_workload"):
        workload, scheme, machine = row["workload"], row["scheme"], machines[row["machine"]]
        if workload not in costs:
            continue
        ours, theirs = costs[workload], float(row["per_thousand"])
        where = f"costs_by_workload.csv: {workload}, {machine.name}, {scheme}"
        comparison.same(f"{where}: sharing", ours.record.sharing(), row["sharing"])
        if scheme in ours.counts or scheme == "oracle":
            comparison.same(where, per_thousand(ours, scheme, machine, decisions), theirs)
        else:
            best = per_thousand(ours, "oracle", machine, decisions)
            comparison.holds(f"{where}: no less than the oracle's {best}", theirs >= best)
