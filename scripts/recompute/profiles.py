"""What trapping, moving and deciding costs on a machine: the profiles' files, and the table of decisions in
docs/profiles.md."""

import re
import tomllib
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True)
class Profile:
    """Costs in `unit`, of FP/SIMD registers."""

    name: str
    unit: str
    trap: int
    probe: int
    save: int
    load: int
    gate: int
    isb: int
    instructions_per_100_cycles: int = 100

    def cost(self, count: Counter) -> int:
        """What the events cost that were counted: products and a sum."""
        return (
            count["traps"] * self.trap
            + count["probes"] * self.probe
            + count["save"] * self.save
            + count["load"] * self.load
            + count["gate"] * self.gate
            + count["isb"] * self.isb
        )

    def decisions(self, asked: int, told: int, per_asked: int, per_told: int) -> int:
        """What deciding costs: instructions, and in cycles as many as the core takes for them, without a part of one."""
        instructions = asked * per_asked + told * per_told
        if self.unit == "instructions":
            return instructions
        return instructions * 100 // self.instructions_per_100_cycles


def read(directory: Path) -> dict[str, Profile]:
    """All profiles of a directory, by name."""
    profiles = {}
    for path in sorted(directory.glob("*.toml")):
        file = tomllib.loads(path.read_text())
        costs = {"probe": file["fp"]["trap"], **file["fp"]}
        rate = {key: file[key] for key in ["instructions_per_100_cycles"] if key in file}
        # What is recalled is never shown without its mark.
        name = file["name"] + (" [?]" if file["certainty"] == "recalled" else "")
        profiles[name] = Profile(name, file["unit"], **costs, **rate)
    return profiles


# Bytes of FP/SIMD: V0 to V31, FPSR and FPCR.
FPSIMD_BYTES = 32 * 16 + 8


def with_larger_registers(profile: Profile, bits: int, matrix: bool) -> Profile:
    """The machine of a profile with SVE's registers of a vector length, and with SME's ZA too: saves and loads cost in
    proportion to the bytes, and fractions of a cycle do not count."""
    vector = bits // 8
    predicate = vector // 8
    bytes_ = 32 * vector + 17 * predicate + 8 + (vector * vector if matrix else 0)
    return replace(
        profile,
        name=f"{profile.name} with {'SME' if matrix else 'SVE'}-{bits}",
        save=profile.save * bytes_ // FPSIMD_BYTES,
        load=profile.load * bytes_ // FPSIMD_BYTES,
    )


def machines(profiles: dict[str, Profile]) -> dict[str, Profile]:
    """The report's machines, by name: the profiles, and larger registers on one with a cheap trap and one with a nested."""
    large = [
        with_larger_registers(profiles[name], bits, matrix)
        for name in ["kvm-neoverse-n1", "nested-nv2"]
        for bits, matrix in [(256, False), (512, False), (1024, False), (512, True), (2048, False), (2048, True)]
    ]
    return profiles | {machine.name: machine for machine in large}


def read_decisions(document: Path) -> dict[str, tuple[int, int]]:
    """What each scheme's decisions take, (asked, told), in instructions."""
    text = document.read_text().split("| scheme | asked | told |")[1].split("\n\n")[0]
    rows = re.findall(r"^\| `([a-z-]+)` \| (\d+) \| (\d+) \|$", text, re.MULTILINE)
    return {scheme: (int(asked), int(told)) for scheme, asked, told in rows}
