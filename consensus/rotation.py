"""Proposer rotation: stake-weighted round-robin by priority.

Source: CometBFT, ``spec/consensus/proposer-selection.md``. In every turn each validator's priority
grows by its power; the one with the highest priority proposes and pays the total power. Ties go to
the lower index (the lower address).

CometBFT keeps the priorities as state and carries them from height to height. Here the rotation is a
pure function of the set and the turn, so that it needs no state, cannot diverge after a sync, and a
light client can compute it: priorities start at zero, and the sequence then repeats with a period
equal to the sum of the weights, in which a validator of weight w has exactly w turns.
"""

from collections.abc import Sequence
from math import gcd

MAX_PERIOD = 4096
"""Longest sequence computed. Sets whose reduced powers add up to more are rounded to this sum."""


def rotation_weights(powers: Sequence[int]) -> tuple[int, ...]:
    """Small integer weights in the proportions of ``powers`` (positive, not empty).

    The powers are divided by their greatest common divisor: exact. If their sum is still above
    ``MAX_PERIOD``, they are scaled to it and rounded down, but never below one: every validator
    keeps a turn, and the share of each differs from its stake by less than ``len / MAX_PERIOD``.
    Only the turns are rounded; quorums always count the exact stake.
    """
    divisor = gcd(*powers)
    reduced = tuple(power // divisor for power in powers)
    total = sum(reduced)
    if total <= MAX_PERIOD:
        return reduced
    scaled = tuple(max(1, power * MAX_PERIOD // total) for power in reduced)
    divisor = gcd(*scaled)
    return tuple(weight // divisor for weight in scaled)


def proposer_sequence(weights: Sequence[int], turns: int | None = None) -> tuple[int, ...]:
    """The indexes of the proposers in the first turns of a period, or in all ``sum(weights)`` of it.

    Cost: turns x number of validators.
    """
    total = sum(weights)
    priorities = [0] * len(weights)
    sequence = []
    for _ in range(total if turns is None else min(turns, total)):
        priorities = [p + weight for p, weight in zip(priorities, weights, strict=True)]
        chosen = priorities.index(max(priorities))  # the first of equals
        priorities[chosen] -= total
        sequence.append(chosen)
    return tuple(sequence)
