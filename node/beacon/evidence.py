"""The evidence that a beacon block can hold against validators, and its codec (docs/protocol.md, "Evidence").

    double signing   [1, chain, evidence]              chain: shard id, or 0xFFFFFFFF for the beacon
    shard fork       [2, shard, certificate, certificate]

Evidence and certificates are strings in the form of `consensus.codec`. The certificates are in the
order of (round, block id). Decoding checks the form only; the rules are in node.beacon.offences.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final, TypeAlias

from consensus.codec import (
    MAX_CERTIFICATE_SIZE,
    MAX_EVIDENCE_SIZE,
    decode_certificate,
    decode_evidence,
    encode_certificate,
    encode_evidence,
)
from consensus.evidence import Evidence, Offence
from consensus.types import Certificate
from node.primitives import rlp
from node.primitives.basics import ShardId
from node.primitives.crosslink import Crosslink
from node.primitives.decoding import decoder
from node.primitives.errors import DecodeError

MAX_EVIDENCE_ITEMS: Final = 64
"""The limit for both kinds together in one beacon block."""
MAX_EVIDENCE_BYTES: Final = 256 * 1024
"""The limit of one block's encoded items: more than enough for a fork between the largest committees."""
MAX_ITEM_BYTES: Final = 2 * MAX_CERTIFICATE_SIZE + MAX_EVIDENCE_SIZE

_DOUBLE_SIGNING, _SHARD_FORK = 1, 2

Order: TypeAlias = tuple[int, int, int, int, int, bytes]


@dataclass(frozen=True, kw_only=True)
class DoubleSigning:
    """A key signed two things for one (height, round, type) of a chain."""

    chain: int
    evidence: Evidence

    @property
    def offence(self) -> Offence:
        return self.evidence.offence

    @property
    def height(self) -> int:
        """The height on the chain of the offence."""
        return self.offence.height

    @cached_property
    def order(self) -> Order:
        """Its place in a block. Two with the same order are about one offence."""
        offence = self.offence
        return 1, self.chain, offence.height, offence.round, offence.kind, offence.validator

    @cached_property
    def encoded(self) -> bytes:
        return rlp.encode(
            [
                rlp.int_to_bytes(_DOUBLE_SIGNING),
                rlp.int_to_bytes(self.chain),
                encode_evidence(self.evidence),
            ]
        )


@dataclass(frozen=True, kw_only=True)
class ShardFork:
    """A shard's committee decided two blocks of one height.

    Raises ValueError if the certificates are not of one height, for two blocks, in order.
    """

    shard: ShardId
    first: Certificate
    second: Certificate

    def __post_init__(self) -> None:
        first, second = self.first, self.second
        if first.height != second.height:
            raise ValueError("the certificates are of different heights")
        if first.block_id == second.block_id:
            raise ValueError("both certificates are for one block")
        if (first.round, first.block_id) > (second.round, second.block_id):
            raise ValueError("the certificates are not in the order of (round, block id)")

    @classmethod
    def of(cls, one: Crosslink, other: Crosslink) -> "ShardFork | None":
        """The fork that two crosslinks prove, if their certificates are valid; None if they do not conflict."""
        if one.shard != other.shard or one.height != other.height:
            return None
        if one.certificate.block_id == other.certificate.block_id:
            return None
        certificates = (one.certificate, other.certificate)
        if any(certificate.height != one.height for certificate in certificates):
            return None  # any peer can put a certificate beside a header
        first, second = sorted(certificates, key=lambda c: (c.round, c.block_id))
        return cls(shard=one.shard, first=first, second=second)

    @property
    def chain(self) -> int:
        return self.shard

    @property
    def height(self) -> int:
        """The height on the shard."""
        return self.first.height

    @cached_property
    def order(self) -> Order:
        """Its place in a block: forks come first, one per shard."""
        return 0, self.shard, 0, 0, 0, b""

    @cached_property
    def encoded(self) -> bytes:
        return rlp.encode(
            [
                rlp.int_to_bytes(_SHARD_FORK),
                rlp.int_to_bytes(self.shard),
                encode_certificate(self.first),
                encode_certificate(self.second),
            ]
        )


EvidenceItem: TypeAlias = DoubleSigning | ShardFork


@decoder("evidence")
def item_from_items(decoded: rlp.Decoded) -> EvidenceItem:
    """From the decoded RLP list. Raises DecodeError."""
    row = rlp.as_list(decoded)
    kind = rlp.as_int(row[0], 8) if row else 0
    if kind == _DOUBLE_SIGNING:
        _, chain, evidence = rlp.as_list(row, 3)
        return DoubleSigning(
            chain=rlp.as_int(chain, 32), evidence=decode_evidence(rlp.as_bytes(evidence))
        )
    if kind == _SHARD_FORK:
        _, shard, first, second = rlp.as_list(row, 4)
        return ShardFork(
            shard=ShardId(rlp.as_int(shard, 16)),
            first=decode_certificate(rlp.as_bytes(first)),
            second=decode_certificate(rlp.as_bytes(second)),
        )
    raise DecodeError(f"evidence: there is no kind {kind}")


@decoder("evidence")
def decode_item(data: bytes) -> EvidenceItem:
    """Decode evidence from the network. Raises DecodeError for anything but the encoding of an item within the
    limit.
    """
    if len(data) > MAX_ITEM_BYTES:
        raise DecodeError(f"evidence: {len(data)} bytes, at most {MAX_ITEM_BYTES}")
    return item_from_items(rlp.decode(data))


def items_from_items(decoded: rlp.Decoded) -> tuple[EvidenceItem, ...]:
    """The evidence of a block, from its decoded list. Raises DecodeError, for too many too.

    Order and size are rules of the chain, as for crosslinks.
    """
    rows = rlp.as_list(decoded)
    if len(rows) > MAX_EVIDENCE_ITEMS:
        raise DecodeError(f"{len(rows)} pieces of evidence, at most {MAX_EVIDENCE_ITEMS}")
    return tuple(item_from_items(row) for row in rows)
