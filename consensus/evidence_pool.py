"""Evidence that waits to be punished: one chain's, in bounded memory.

Only validators get evidence into the pool, against themselves, since it is verified before; so the
number of offenders is bounded by the validator sets of the heights kept. Per offender a few places
are enough: it is punished for one, and leaves the committee.
"""

from typing import Final

from consensus.evidence import Evidence, Offence
from consensus.types import Address, Height

MAX_PER_VALIDATOR: Final = 4
"""Offences kept of one key: the first it was caught at."""
MAX_OFFENCES: Final = 4096
"""Offences kept altogether, pending and settled."""


class EvidencePool:
    """Verified evidence of one chain, pending until it is settled, forgotten once it is too old.

    A settled offence (punished, or found to have been) is remembered, so that evidence of it which
    is still going around is not taken for new.
    """

    def __init__(self, *, per_validator: int = MAX_PER_VALIDATOR, limit: int = MAX_OFFENCES):
        self._per_validator = per_validator
        self._limit = limit
        self._pending: dict[Offence, Evidence] = {}
        self._settled: set[Offence] = set()
        self._count: dict[Address, int] = {}
        self._oldest = Height(0)

    def add(self, evidence: Evidence) -> bool:
        """Keep verified evidence; True if it is new and so worth telling to others."""
        offence = evidence.offence
        if (
            offence in self
            or offence.height < self._oldest
            or self._count.get(offence.validator, 0) >= self._per_validator
            or len(self) >= self._limit
        ):
            return False
        self._pending[offence] = evidence
        self._count[offence.validator] = self._count.get(offence.validator, 0) + 1
        return True

    def settle(self, offence: Offence) -> None:
        """The offence has been dealt with: no longer pending, and not to be taken again.

        Unlike ``add`` this keeps no bound per key: what a chain has settled it has bounded itself.
        """
        known = self._pending.pop(offence, None) is not None or offence in self._settled
        if offence.height < self._oldest:
            return
        if not known:
            self._count[offence.validator] = self._count.get(offence.validator, 0) + 1
        self._settled.add(offence)

    def prune(self, oldest: Height) -> None:
        """Forget everything below a height: it is too old to be punished. Never goes back."""
        if oldest <= self._oldest:
            return
        self._oldest = oldest
        for offence in [o for o in (*self._pending, *self._settled) if o.height < oldest]:
            self._pending.pop(offence, None)
            self._settled.discard(offence)
            self._count[offence.validator] -= 1
            if not self._count[offence.validator]:
                del self._count[offence.validator]

    def pending(self, limit: int | None = None) -> tuple[Evidence, ...]:
        """What waits, in the order of its offences: the same on nodes that know the same."""
        return tuple(self._pending[offence] for offence in sorted(self._pending)[:limit])

    def __contains__(self, offence: object) -> bool:
        return offence in self._pending or offence in self._settled

    def __len__(self) -> int:
        return len(self._pending) + len(self._settled)
