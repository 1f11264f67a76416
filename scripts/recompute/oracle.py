"""The oracle of docs/replay.md: what the cheapest sequence of decisions over a record costs, under many profiles at once.

A shortest path per core, over whose registers it holds and whether its gate is open. All profiles are computed side by side:
a cost is a row of numbers, one for each.
"""

import numpy

from profiles import Profile
from records import Record

HOST = 0
NOBODY = 1
CLOSED = 0
OPEN = 1
NEVER = numpy.int64(1) << 60


class Path:
    """The cheapest ways of one core to each of its states: whose registers it holds, and whether the gate is open."""

    def __init__(self, guests: list[int], costs: "Costs", free: set[int] | None) -> None:
        # An owner's place in the table: the host, nobody, then the guests that run on this core.
        self.place = {guest: number for number, guest in enumerate(guests, start=2)}
        self.costs = costs
        shape = (len(guests) + 2, 2, len(costs.gate))
        self.cheapest = numpy.full(shape, NEVER)
        if free is None:
            self.cheapest[HOST, CLOSED] = 0
        else:
            for owner in [HOST, NOBODY, *(self.place[guest] for guest in free)]:
                self.cheapest[owner] = 0

    def opened(self) -> numpy.ndarray:
        """The cheapest ways to each owner with the gate open, opened by EL2 where it was closed."""
        return numpy.minimum(self.cheapest[:, OPEN], self.cheapest[:, CLOSED] + self.costs.opening)

    def leave(self, guest: int) -> None:
        """A guest's registers have to leave the core, if they are there: the host's are loaded for them."""
        owner = self.place.get(guest)
        if owner is None:
            return
        way = self.opened()[owner] + self.costs.save + self.costs.load
        self.cheapest[owner] = NEVER
        self.cheapest[HOST, OPEN] = numpy.minimum(self.cheapest[HOST, OPEN], way)

    def window(self, guest: int, used: bool, host: bool) -> None:
        """One entry window of a guest, with all that can be decided in it."""
        costs, cheapest, owner = self.costs, self.cheapest, self.place[guest]
        # Entry: load the guest's registers, or leave those that are there.
        fetched = self.fetched(owner)
        cheapest[owner, OPEN] = numpy.minimum(cheapest[owner, OPEN], fetched)
        # The gate: open only if the registers are the guest's.
        mine = cheapest[owner].copy()
        cheapest[:, CLOSED] = numpy.minimum(cheapest[:, CLOSED], cheapest[:, OPEN] + costs.gate)
        cheapest[:, OPEN] = NEVER
        cheapest[owner, OPEN] = numpy.minimum(mine[OPEN], mine[CLOSED] + costs.gate)
        # Use: behind the closed gate it traps.
        if used:
            probed = cheapest[owner, CLOSED] + costs.probe + costs.gate
            cheapest[owner, CLOSED] = NEVER
            trapped = self.fetched(owner) + costs.trap
            best = numpy.minimum(numpy.minimum(probed, trapped), cheapest[owner, OPEN])
            cheapest[:] = NEVER
            cheapest[owner, OPEN] = best
        # Exit: keep the registers, or save them and load nobody's.
        saved = self.opened()[owner] + costs.save
        cheapest[NOBODY, OPEN] = numpy.minimum(cheapest[NOBODY, OPEN], saved)
        if host:
            open_ = self.opened()
            ways = open_ + costs.save + costs.load
            ways[HOST] = open_[HOST]
            ways[NOBODY] = open_[NOBODY] + costs.load
            cheapest[:] = NEVER
            cheapest[HOST, OPEN] = ways.min(axis=0)

    def fetched(self, owner: int) -> numpy.ndarray:
        """The cheapest way to load an owner's registers over somebody else's."""
        ways = self.opened() + self.costs.save + self.costs.load
        ways[NOBODY] -= self.costs.save
        ways[owner] = NEVER
        return ways.min(axis=0)

    def total(self) -> numpy.ndarray:
        """What the cheapest way of all costs."""
        return self.cheapest.min(axis=(0, 1))


class Costs:
    """Each cost as a row, one number for each profile."""

    def __init__(self, profiles: list[Profile]) -> None:
        for name in ["trap", "probe", "save", "load", "gate", "isb"]:
            setattr(self, name, numpy.array([getattr(profile, name) for profile in profiles], dtype=numpy.int64))
        self.opening = self.gate + self.isb


def cheapest(record: Record, profiles: list[Profile], counted: range) -> list[int]:
    """What the oracle pays for the rows of `counted`, under each profile. Where these do not begin with the record, it
    begins in whichever state is best for it: each core with the host's registers, nobody's, or those of a vCPU that ran there
    last, its gate open or closed."""
    costs = Costs(profiles)
    ran_on = dict(zip(record.vcpu[: counted.start], record.core[: counted.start]))
    guests: dict[int, list[int]] = {}
    for vcpu, core in sorted(set(zip(record.vcpu[counted.start : counted.stop], record.core[counted.start : counted.stop]))):
        guests.setdefault(core, []).append(vcpu)
    paths = {}
    for core, on_it in guests.items():
        held = {guest for guest in on_it if ran_on.get(guest) == core} if counted.start else None
        paths[core] = Path(on_it, costs, held)
    for row in counted:
        vcpu, core = record.vcpu[row], record.core[row]
        before = ran_on.get(vcpu, core)
        if (before != core or record.powered_on[row]) and before in paths:
            paths[before].leave(vcpu)
        ran_on[vcpu] = core
        paths[core].window(vcpu, record.used[row], record.host_uses[row] > 0)
    return [int(cost) for cost in sum(path.total() for path in paths.values())]
