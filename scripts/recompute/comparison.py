"""Numbers of two makes, side by side: counts what is the same, and says each that is not."""

import math


class Comparison:
    """What was compared so far, and each difference as a line for people."""

    def __init__(self) -> None:
        self.same_so_far = 0
        self.differences: list[str] = []

    def same(self, what: str, ours, theirs) -> None:
        """Compares two numbers, of which either may be None. Floating-point ones have to agree in nine digits."""
        if ours is None or theirs is None:
            alike = ours is None and theirs is None
        elif isinstance(ours, float) or isinstance(theirs, float):
            alike = math.isclose(ours, theirs, rel_tol=1e-9, abs_tol=1e-12)
        else:
            alike = ours == theirs
        self.tell(alike, f"{what}: recomputed {show(ours)}, the lab says {show(theirs)}")

    def holds(self, what: str, does: bool) -> None:
        """Notes whether a statement about the numbers holds."""
        self.tell(does, f"{what}: does not hold")

    def tell(self, alike: bool, line: str) -> None:
        if alike:
            self.same_so_far += 1
        else:
            self.differences.append(line)


def show(number) -> str:
    return "none" if number is None else f"{float(number):.9g}" if isinstance(number, float) else str(number)
