"""The schemes of docs/schemes.md, simulated over a record: what each would have moved, trapped and written there.

Written from that document and docs/replay.md, not from the code of the hypervisor or the lab. `forecast` is missing: its
document says what it does, not which numbers its generator draws.
"""

from collections import Counter

from records import Record

HOST = -1
NOBODY = -2

PREDICTING = {"last-trap", "counter", "credit"}
NOT_PREDICTING = {"eager", "per-entry", "until-put", "eager-until-put", "kvm", "owner", "eager-owner"}
ALL = ["none", "eager", "per-entry", "last-trap", "until-put", "eager-until-put", "kvm", "counter", "credit", "owner",
       "eager-owner"]

# Who gives the registers back when; the rest is `owner` and `eager-owner`, which keep them.
AT_EXIT = {"eager", "per-entry", "last-trap"}
AT_PUT = {"until-put", "eager-until-put", "kvm", "counter", "credit"}


class Core:
    """Whose registers a core holds, and how its gate stands. Each begins with the host's and a closed gate."""

    __slots__ = ("open", "owner")

    def __init__(self) -> None:
        self.owner = HOST
        self.open = False


class Vcpu:
    """What a scheme remembers of a vCPU, and what happened in its window so far."""

    __slots__ = ("core", "count", "credit", "mark", "decided", "loaded_early", "trapped", "used", "asked")

    def __init__(self) -> None:
        self.core = None  # the core on which it ran last
        self.mark = False  # last-trap
        self.count = 0  # counter
        self.credit = 0  # credit
        self.decided = False  # whether a load window's first entry decided to load
        self.loaded_early = False
        self.trapped = False
        self.used = False
        self.asked = False


def simulate(scheme: str, record: Record, counted: range) -> Counter:
    """Runs a scheme over all of a record, and counts what it does in the rows of `counted`."""
    cores: dict[int, Core] = {}
    vcpus: dict[int, Vcpu] = {}
    count: Counter = Counter()

    def open_gate(core: Core) -> None:
        if not core.open:
            core.open = True
            count["gate"] += 1
            count["isb"] += 1

    def move(core: Core, to: int) -> None:
        """The core's registers are saved to where their owner keeps them, and those of `to` are loaded."""
        open_gate(core)
        if core.owner != NOBODY:
            count["save"] += 1
        if to != NOBODY:
            count["load"] += 1
        core.owner = to

    for row, (v, c, powered_on, loaded, used, host, put) in enumerate(
        zip(record.vcpu, record.core, record.powered_on, record.loaded, record.used, record.host_uses, record.put)
    ):
        if row == counted.start:
            count.clear()
        elif row == counted.stop:
            break
        core = cores.setdefault(c, Core())
        vcpu = vcpus.setdefault(v, Vcpu())
        if scheme == "none":
            if not core.open:
                core.open = True
                count["gate"] += 1
            count["asked"] += 1
            count["told"] += 1
            continue

        # The vCPU moved, or was turned on anew: its registers leave the core where they may be.
        if vcpu.core is not None and (vcpu.core != c or powered_on) and cores[vcpu.core].owner == v:
            move(cores[vcpu.core], HOST)
            if vcpu.core != c:
                count["fetches"] += 1
        vcpu.core = c

        # Entry.
        mine = core.owner == v
        if loaded:
            vcpu.used = vcpu.trapped = vcpu.loaded_early = False
        if scheme in AT_EXIT:
            load = scheme == "eager" or (scheme == "last-trap" and vcpu.mark)
            vcpu.mark = False
            count["asked"] += 1
        elif scheme in AT_PUT:
            if loaded:
                vcpu.decided = {
                    "eager-until-put": True,
                    "counter": vcpu.count >= 5,
                    "credit": vcpu.credit > 0,
                }.get(scheme, False)
                if scheme == "credit" and vcpu.decided:
                    vcpu.credit -= 1
                count["asked"] += 1
            load = vcpu.decided and not mine
        elif scheme == "owner":
            load = False
            count["asked"] += loaded
        else:
            load = not mine
            count["asked"] += load
        if load:
            move(core, v)
            count["eager_loads"] += 1
            vcpu.loaded_early = True
        if core.open != (core.owner == v):
            core.open = core.owner == v
            count["gate"] += 1

        # Use.
        if used:
            vcpu.used = True
            if core.owner != v:
                count["traps"] += 1
                vcpu.trapped = True
                move(core, v)

        # Exit.
        if scheme in AT_EXIT:
            if core.owner == v:
                move(core, HOST)
                count["give_backs"] += 1
            if scheme == "last-trap" and used and not load:
                vcpu.mark = True
            count["wasted_loads"] += load and not used
            count["told"] += 1

        # The host's own use.
        if host:
            open_gate(core)
            if core.owner != HOST:
                move(core, HOST)
                count["host_evictions"] += 1

        if put:
            count["puts"] += 1
            if scheme in AT_PUT:
                if core.owner == v:
                    move(core, NOBODY if scheme == "kvm" else HOST)
                    count["give_backs"] += 1
                if scheme == "counter":
                    vcpu.count = (vcpu.count + 1) % 256 if vcpu.trapped or vcpu.loaded_early else 0
                elif scheme == "credit" and vcpu.trapped:
                    vcpu.credit = 64
                count["told"] += 1
            if scheme not in AT_EXIT:
                count["wasted_loads"] += vcpu.loaded_early and not vcpu.used
    return count
