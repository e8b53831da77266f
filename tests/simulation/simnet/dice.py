"""Randomness by name: whether a fault happens depends on the seed and on what it would happen to.

A sequential generator would deal everything after a fault new cards when that fault is taken away.
Here each decision is a hash of the seed and a name such as ``lose 0>2 #1 prevote 3/0 1f2e of 1``, so
a schedule keeps its shape while single faults are removed from it, which is what shrinking does; and
the names of the faults that happened *are* the schedule, in words.
"""

from collections.abc import Collection, Sequence
from copy import copy
from hashlib import blake2b
from struct import Struct
from typing import TypeVar

T = TypeVar("T")
_UNIT = 2.0**-32
_FOUR = Struct(">4I")


class Dice:
    """Decisions of one run. ``happened`` lists the faults in the order in which they happened.

    Args:
        seed: decides everything.
        only: faults of other names do not happen; None allows all.
    """

    def __init__(self, seed: int, only: Collection[str] | None = None) -> None:
        self._hasher = blake2b(key=seed.to_bytes(16, "big", signed=True), digest_size=16)
        self._only = only
        self._prefix = ""
        self.happened: list[str] = []

    def named(self, prefix: str) -> "Dice":
        """The same, with a prefix to all names; what happens is listed here, too."""
        same = copy(self)
        same._prefix = self._prefix + prefix
        return same

    def roll(self, name: str) -> tuple[float, float, float, float]:
        """Four independent numbers in [0, 1)."""
        hasher = self._hasher.copy()
        hasher.update((self._prefix + name).encode())
        fourth, third, second, first = _FOUR.unpack(hasher.digest())
        return first * _UNIT, second * _UNIT, third * _UNIT, fourth * _UNIT

    def unit(self, name: str) -> float:
        """A number in [0, 1): the first of `roll`."""
        hasher = self._hasher.copy()
        hasher.update((self._prefix + name).encode())
        return int.from_bytes(hasher.digest()[12:], "big") * _UNIT

    def choice(self, name: str, options: Sequence[T]) -> T:
        """One of the options."""
        return options[int(self.unit(name) * len(options))]

    def happens(self, fault: str, chance: float, roll: float | None = None) -> bool:
        """Whether a fault happens; if it does, it is recorded.

        Args:
            fault: names it, unique in the run.
            roll: a number already rolled for it; without one it is rolled by the name.
        """
        if chance <= 0.0 or (self.unit(fault) if roll is None else roll) >= chance:
            return False
        full = self._prefix + fault
        if self._only is not None and full not in self._only:
            return False
        self.happened.append(full)
        return True
