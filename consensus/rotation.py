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


def proposer_sequence(weights: Sequence[int]) -> tuple[int, ...]:
    """The indexes of the proposers over one whole period, ``sum(weights)`` turns.

    Cost: period x number of validators, once per validator set.
    """
    total = sum(weights)
    indexes = range(len(weights))
    priorities = [0] * len(weights)
    turns = []
    for _ in range(total):
        for index in indexes:
            priorities[index] += weights[index]
        chosen = max(indexes, key=priorities.__getitem__)  # the first of equals
        priorities[chosen] -= total
        turns.append(chosen)
    return tuple(turns)
