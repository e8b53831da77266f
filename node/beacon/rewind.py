"""A rewind: the decision that the network goes back to an earlier beacon block (protocol.md, section 18)."""

from dataclasses import dataclass

from node.primitives import rlp
from node.primitives.basics import Hash32
from node.primitives.decoding import decoder
from node.primitives.errors import DecodeError

SALT_BYTES = 16
MAX_ERA = (1 << 24) - 1
"""Journals and last-signed records count heights of eras in 64 bits (`node.engine.signer`)."""
MAX_REWIND_BYTES = 16 * 1024
"""Of the encoding: as many heights as a network has shards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewind:
    """Everything after beacon block `height`, whose hash is `block_hash`, is undone on all chains. That begins
    era `era`, and can be decided in the one before it only.

    `tips` are the heights of all shards there, by shard. `taken` orders the snapshots of one block: those
    taken then or later are gone (microseconds; by the clock of the node that took it). `salt` makes each
    rewind another one.
    """

    era: int
    height: int
    block_hash: Hash32
    taken: int
    salt: bytes
    tips: tuple[int, ...]

    def row(self) -> list[rlp.Item]:
        return [
            rlp.int_to_bytes(self.era),
            rlp.int_to_bytes(self.height),
            self.block_hash,
            rlp.int_to_bytes(self.taken),
            self.salt,
            [rlp.int_to_bytes(tip) for tip in self.tips],
        ]

    @property
    def encoded(self) -> bytes:
        return rlp.encode(self.row())

    @classmethod
    def from_row(cls, decoded: rlp.Decoded) -> "Rewind":
        """Raises DecodeError."""
        era, height, block_hash, taken, salt, tips = rlp.as_list(decoded, 6)
        return cls(
            era=rlp.as_int(era, 24),
            height=rlp.as_int(height, 64),
            block_hash=Hash32(rlp.as_bytes(block_hash, 32)),
            taken=rlp.as_int(taken, 64),
            salt=rlp.as_bytes(salt, SALT_BYTES),
            tips=tuple(rlp.as_int(tip, 64) for tip in rlp.as_list(tips)),
        )

    @classmethod
    @decoder("rewind")
    def decode(cls, data: bytes) -> "Rewind":
        """Raises DecodeError."""
        if len(data) > MAX_REWIND_BYTES:
            raise DecodeError(f"rewind: {len(data)} bytes, at most {MAX_REWIND_BYTES}")
        return cls.from_row(rlp.decode(data))
