"""Compares what `trapcast replay --json` says of a record with what is computed here from its rows."""

import json
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import oracle
import schemes
import use
from comparison import Comparison
from profiles import Profile
from records import Record


@dataclass
class Costs:
    """What a record costs: by profile the oracle's cost, and by profile and scheme what it moves and what it decides."""

    record: Record
    rows: range
    counts: dict[str, Counter]
    oracle: dict[str, int]

    @property
    def name(self) -> str:
        """The record, and whether only a part of it is meant."""
        part = "" if len(self.rows) == len(self.record) else ", the work alone"
        return self.record.path.stem + part


def compute(record: Record, profiles: dict[str, Profile], counted: range) -> Costs:
    """Every scheme that docs/schemes.md defines to the last count, and the oracle, over the rows of `counted`."""
    return Costs(
        record,
        counted,
        {scheme: schemes.simulate(scheme, record, counted) for scheme in schemes.ALL},
        dict(zip(profiles, oracle.cheapest(record, list(profiles.values()), counted))),
    )


def lab(trapcast: Path, record: Path, work: bool) -> dict | None:
    """What the lab's replay says of a record, or of its work alone, under every profile; None if it refuses it, and says why."""
    command = [trapcast, "replay", "--json", "--profile", "all", record, *(["--work"] if work else [])]
    output = subprocess.run(command, stdout=subprocess.PIPE)
    return json.loads(output.stdout)[0] if output.returncode == 0 else None


def compare(
    comparison: Comparison,
    ours: Costs,
    theirs: dict,
    profiles: dict[str, Profile],
    decisions: dict[str, tuple[int, int]],
) -> None:
    """Compares counts, costs and the oracle. Of `forecast`, whose decisions are not computed here, what its counts cost, and
    that they are not cheaper than the oracle."""
    name = ours.name
    for kind in ["entry", "load"]:
        whole = use.shares(ours.record.path, kind, ours.rows)
        windows = theirs[f"{kind}_windows"]
        comparison.same(f"{name}: {kind} windows", whole["windows"], windows["windows"])
        comparison.same(f"{name}: used {kind} windows", whole["used"], windows["used"])
        for before, row in enumerate(windows["pairs"]):
            share = whole["use_after_use" if before else "use_after_none"]
            comparison.same(
                f"{name}: use after {'use' if before else 'none'}, {kind} windows",
                share,
                row[1] / sum(row) if sum(row) else None,  # None: nothing went before
            )

    forecasts = {}
    for scheme in theirs["schemes"]:
        counted = lab_counts(scheme["counts"])
        if scheme["scheme"] == "forecast":
            forecasts[scheme["profile"]] = counted
            continue
        mine = ours.counts[scheme["scheme"]]
        for count in ["traps", "eager_loads", "save", "load", "gate", "isb", "fetches", "wasted_loads", "asked"]:
            comparison.same(f"{name}: {count} of {scheme['scheme']}", mine[count], counted[count])

    for under in theirs["profiles"]:
        profile = profiles[under["profile"]]
        where = f"{name} under {profile.name}"
        best = ours.oracle[profile.name]
        comparison.same(f"{where}: the oracle", best, under["oracle"])
        fixed = min(profile.cost(ours.counts[scheme]) for scheme in ["eager", "per-entry"])
        for row in under["schemes"]:
            scheme = row["scheme"]
            counts = forecasts[profile.name] if scheme == "forecast" else ours.counts[scheme]
            cost = profile.cost(counts)
            comparison.same(f"{where}: cost of {scheme}", cost, row["cost"])
            if scheme == "none":
                continue
            deciding = profile.decisions(counts["asked"], counts["told"], *decisions[scheme])
            comparison.same(f"{where}: decisions of {scheme}", deciding, row["decisions"])
            comparison.same(f"{where}: what {scheme} could save", cost - best, row["avoidable"])
            comparison.same(f"{where}: {scheme} over the oracle", quotient(cost, best), row["over_oracle"])
            comparison.same(f"{where}: {scheme} over the better fixed one", quotient(cost, fixed), row["over_fixed"])
            comparison.holds(f"{where}: {scheme} costs {cost}, and the oracle {best}, no more", best <= cost)


def compare_kept(
    comparison: Comparison, ours: Costs, kept: dict, profiles: dict[str, Profile], decisions: dict[str, tuple[int, int]]
) -> None:
    """Compares what a study's results.json keeps of the replay of a record."""
    for under in kept["profiles"]:
        profile = profiles[under["profile"]]
        where = f"results.json: {ours.record.workload} under {profile.name}"
        comparison.same(f"{where}: the oracle", ours.oracle[profile.name], under["oracle"])
        for scheme, counts in ours.counts.items():
            comparison.same(f"{where}: cost of {scheme}", profile.cost(counts), under["schemes"][scheme])
            deciding = profile.decisions(counts["asked"], counts["told"], *decisions[scheme])
            comparison.same(f"{where}: decisions of {scheme}", deciding, under["decisions"][scheme])


def quotient(cost: float, base: float) -> float | None:
    """A cost over another. Where neither costs anything they are alike."""
    return cost / base if base else None if cost else 1.0


def lab_counts(counts: dict) -> Counter:
    """The lab's counts in the words used here: exchanges as saves and loads."""
    moves = ["traps", "eager_loads", "give_backs", "host_evictions", "fetches"]
    exchanges = sum(counts[move] for move in moves)
    return Counter(
        **{name: counts[name] for name in [*moves, "probes", "wasted_loads", "asked", "told"]},
        save=exchanges - counts["without_save"],
        load=exchanges - counts["without_load"],
        gate=counts["gate_writes"],
        isb=counts["isbs"],
    )
