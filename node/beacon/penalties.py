"""The stake that an offence costs. Integer arithmetic on wei; pure.

The *correlation penalty* of Ethereum's proof of stake (consensus-specs, phase0, `process_slashings`):
a key loses three times the share of stake that misbehaves together with it. Keys that could break a
chain's safety together, a third of its stake, lose everything; a single mistake in a large committee
costs the least penalty.

Two things differ. The share is taken of the committee of the chain on which the offence was made and
not of the whole network: to break one of many shards takes a third of one small committee, which is a
small part of the network. And the penalty is not put off to the end of a window: it is charged at
once, and raised when more stake is found to have misbehaved in the window. So in the end it does not
depend on the order in which evidence comes.
"""

from typing import Final

CORRELATION_FACTOR: Final = 3
LEAST_PENALTY_QUOTIENT: Final = 32
"""Each punished offence costs at least this part of the stake."""
SLASHING_WINDOW: Final = 8192
"""Beacon blocks within which offences count as made together."""


def penalty(base: int, *, offences: int, at_fault: int, total: int) -> int:
    """The sum that a key owes, in wei, never more than `base`.

    Args:
        base: its stake before it was charged anything, in wei.
        offences: how many it is punished for, at least 1.
        at_fault: stake of all keys, this one included, that are punished in the window for offences
            on the same chain.
        total: stake of that chain's committee, punished or not; at least `at_fault`.
    """
    least = offences * -(-base // LEAST_PENALTY_QUOTIENT)
    correlated = base * min(CORRELATION_FACTOR * at_fault, total) // total
    return min(base, max(least, correlated))


def is_open(opened_at: int, height: int) -> bool:
    """True if offences punished at `opened_at` count together with offences punished at `height`."""
    return height - opened_at < SLASHING_WINDOW
