"""Eras: a network that was taken back makes the heights after that block again, in another era.

What is decided is signed for its era. Era 0 lasts until the first rewind; the n-th rewind begins era n. The
heights of a chain so belong to ascending eras, and a rewind forgets those that began at or after its block.
"""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

from consensus.codec import decode_certificate, encode_certificate
from consensus.types import Certificate
from node.beacon.block import MAX_BEACON_BLOCK_BYTES, BeaconBlock
from node.beacon.rewind import Rewind
from node.primitives import rlp
from node.primitives.basics import ShardId
from node.primitives.decoding import decoder
from node.primitives.errors import DecodeError

MAX_RECORD_BYTES = MAX_BEACON_BLOCK_BYTES // 8


@dataclass(frozen=True, kw_only=True)
class EraRecord:
    """The beginning of an era: the block of the era before that holds the rewind, and its certificate.

    The block undoes itself: no chain has it.
    """

    block: BeaconBlock
    certificate: Certificate

    @property
    def rewind(self) -> Rewind:
        rewind = self.block.body.rewind
        assert rewind is not None, "checked where a record is made"
        return rewind

    @property
    def era(self) -> int:
        """The era that begins."""
        return self.rewind.era

    @property
    def encoded(self) -> bytes:
        return rlp.encode([self.block.encoded, encode_certificate(self.certificate)])

    @classmethod
    @decoder("era")
    def decode(cls, data: bytes) -> "EraRecord":
        """Raises DecodeError."""
        if len(data) > MAX_RECORD_BYTES:
            raise DecodeError(f"era: {len(data)} bytes, at most {MAX_RECORD_BYTES}")
        block, certificate = rlp.decode_list(data, 2)
        record = cls(
            block=BeaconBlock.decode(rlp.as_bytes(block)),
            certificate=decode_certificate(rlp.as_bytes(certificate)),
        )
        if record.block.body.rewind is None:
            raise DecodeError("era: there is no rewind in it")
        return record


class Eras:
    """The eras that the heights of a network belong to, as the rewinds that began them. Immutable.

    Ascending by era, and by (height, taken): a later rewind to an earlier snapshot forgets.
    """

    def __init__(self, rewinds: tuple[Rewind, ...] = ()) -> None:
        self._all = rewinds
        self._heights = [rewind.height for rewind in rewinds]

    def __iter__(self) -> Iterator[Rewind]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    @property
    def current(self) -> int:
        """The newest era; 0 if the network was never taken back."""
        return self._all[-1].era if self._all else 0

    @property
    def newest(self) -> Rewind | None:
        """The rewind that began the current era."""
        return self._all[-1] if self._all else None

    def at(self, height: int) -> int:
        """The era in which the beacon block of that height is decided."""
        index = bisect_left(self._heights, height)
        return self._all[index - 1].era if index else 0

    def at_shard(self, shard: ShardId, height: int) -> int:
        """The era in which the block of that shard and height is decided."""
        index = bisect_left(self._all, height, key=lambda rewind: rewind.tips[shard])
        return self._all[index - 1].era if index else 0

    def upto(self, era: int) -> "Eras":
        """The eras as a node of that era knew them."""
        if era >= self.current:
            return self
        return Eras(tuple(rewind for rewind in self._all if rewind.era <= era))

    def after(self, era: int) -> Rewind | None:
        """The first era, later than `era`, that a node that knows all up to `era` can go on with: the block it
        goes back to is common to all later ones. None if there is none.
        """
        later = [rewind for rewind in self._all if rewind.era > era]
        same = [rewind for rewind in later if rewind.height == later[0].height]
        return same[-1] if same else None

    def begun(self, rewind: Rewind) -> "Eras":
        """The eras with one more."""
        return Eras((*self._kept(rewind), rewind))

    def _kept(self, new: Rewind) -> tuple[Rewind, ...]:
        return tuple(r for r in self._all if (r.height, r.taken) < (new.height, new.taken))

    def forgotten(self, rewind: Rewind) -> list[int]:
        """The eras of which `begun` leaves nothing."""
        return [r.era for r in self._all[len(self._kept(rewind)) :]]

    def undone(self, era: int, height: int, taken: int) -> bool:
        """True if a later rewind removed a snapshot: it was taken at that beacon height, then, in that era, and
        a rewind went to it or to one before it.
        """
        return any(
            rewind.era > era and (rewind.height, rewind.taken) <= (height, taken)
            for rewind in self._all
        )
