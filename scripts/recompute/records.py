"""Records of windows (docs/records.md): what of one the rest needs, as plain lists, and which rows are the work."""

import json
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as parquet

COLUMNS = ["vm", "vcpu", "core", "loaded", "put", "powered_on", "mark", "fp_used", "host_uses"]


@dataclass
class Record:
    """One record, row by row in the file's order."""

    path: Path
    workload: str
    scheme: str
    vm: list[int]
    vcpu: list[int]
    core: list[int]
    loaded: list[bool]
    put: list[bool]
    powered_on: list[bool]
    mark: list[bool]
    used: list[bool]
    host_uses: list[int]

    def __len__(self) -> int:
        return len(self.vm)

    def work_phase(self) -> range:
        """The rows in which all VMs are at work: from behind the last VM's first mark, or the first row of one that never
        marks, to the last row of the VM that ends first. All of them where none marks."""
        rows: dict[int, list[int]] = {}
        marks: dict[int, int] = {}
        for row, (vm, mark) in enumerate(zip(self.vm, self.mark)):
            rows.setdefault(vm, []).append(row)
            if mark:
                marks.setdefault(vm, row)
        if not marks:
            return range(len(self))
        begin = max(marks[vm] + 1 if vm in marks else of_vm[0] for vm, of_vm in rows.items())
        return range(begin, min(of_vm[-1] for of_vm in rows.values()) + 1)

    def sharing(self) -> str:
        """How the vCPUs of the record share cores, in the report's words."""
        if len(set(self.core)) > 1:
            return "several cores"
        return "shared core" if len(set(self.vcpu)) > 1 else "a core of its own"


def read(path: Path) -> Record:
    """Reads a record of a hypervisor's own windows. One with windows whose use was not seen is refused: what is computed
    here needs to know it."""
    table = parquet.read_table(path, columns=COLUMNS)
    meta = {key.decode(): value.decode() for key, value in parquet.read_metadata(path).metadata.items()}
    if table["fp_used"].null_count:
        raise ValueError(f"{path}: {table['fp_used'].null_count} windows do not say whether they used the registers")
    columns = {name: table[name].to_pylist() for name in COLUMNS}
    columns["used"] = columns.pop("fp_used")
    columns["mark"] = [bool(mark) for mark in columns["mark"]]
    return Record(
        path=path,
        workload=json.loads(meta["trapcast.workload"]),
        scheme=json.loads(meta["trapcast.scheme"]),
        **columns,
    )
