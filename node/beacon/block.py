"""Beacon blocks and their codec (docs/protocol.md, "Beacon chain").

header = [height, parent, timestamp, proposer, randao, body_root, state_root]
body   = [[crosslink, ...], [evidence, ...], [rewind]]        or without one
block  = [header, body]          body_root = keccak256(rlp(body))
"""

from dataclasses import dataclass
from functools import cached_property

from node.beacon.evidence import EvidenceItem, items_from_items
from node.beacon.rewind import Rewind
from node.primitives import rlp
from node.primitives.basics import Address, Hash32, keccak256
from node.primitives.crosslink import Crosslink
from node.primitives.decoding import decoder
from node.primitives.errors import DecodeError

MAX_BEACON_BLOCK_BYTES = 1024 * 1024
MAX_BEACON_HEADER_BYTES = 256
BODY_OVERHEAD_BYTES = 32
"""Bytes that the lists around the crosslinks and the evidence of a block can cost, besides the header."""


@dataclass(frozen=True, kw_only=True)
class BeaconHeader:
    """A beacon header; the beacon committee signs its hash. `timestamp` in seconds since the epoch.

    `proposer` is the validator that built the block; a later round may propose it again unchanged.
    `state_root` is the state after the block.
    """

    height: int
    parent: Hash32
    timestamp: int
    proposer: Address
    randao: Hash32
    body_root: Hash32
    state_root: Hash32

    @cached_property
    def encoded(self) -> bytes:
        return rlp.encode(
            [
                rlp.int_to_bytes(self.height),
                self.parent,
                rlp.int_to_bytes(self.timestamp),
                self.proposer,
                self.randao,
                self.body_root,
                self.state_root,
            ]
        )

    @cached_property
    def hash(self) -> Hash32:
        return keccak256(self.encoded)

    @classmethod
    def from_items(cls, decoded: rlp.Decoded) -> "BeaconHeader":
        """From the decoded RLP list. Raises DecodeError."""
        height, parent, timestamp, proposer, randao, body_root, state_root = rlp.as_list(decoded, 7)
        return cls(
            height=rlp.as_int(height, 64),
            parent=Hash32(rlp.as_bytes(parent, 32)),
            timestamp=rlp.as_int(timestamp, 64),
            proposer=Address(rlp.as_bytes(proposer, 20)),
            randao=Hash32(rlp.as_bytes(randao, 32)),
            body_root=Hash32(rlp.as_bytes(body_root, 32)),
            state_root=Hash32(rlp.as_bytes(state_root, 32)),
        )

    @classmethod
    @decoder("beacon header")
    def decode(cls, data: bytes) -> "BeaconHeader":
        """Raises DecodeError."""
        if len(data) > MAX_BEACON_HEADER_BYTES:
            raise DecodeError(
                f"beacon header: {len(data)} bytes, at most {MAX_BEACON_HEADER_BYTES}"
            )
        return cls.from_items(rlp.decode(data))


@dataclass(frozen=True, kw_only=True)
class BeaconBody:
    """Crosslinks by (shard, height), evidence by its `order`; or, alone, a rewind."""

    crosslinks: tuple[Crosslink, ...] = ()
    evidence: tuple[EvidenceItem, ...] = ()
    rewind: Rewind | None = None

    @cached_property
    def encoded(self) -> bytes:
        crosslinks = rlp.encode_list(b"".join([c.encoded for c in self.crosslinks]))
        evidence = rlp.encode_list(b"".join([item.encoded for item in self.evidence]))
        rewinds = rlp.encode([] if self.rewind is None else [self.rewind.row()])
        return rlp.encode_list(crosslinks + evidence + rewinds)

    @cached_property
    def root(self) -> Hash32:
        return keccak256(self.encoded)

    @classmethod
    def from_items(cls, decoded: rlp.Decoded) -> "BeaconBody":
        """From the decoded RLP list. Raises DecodeError."""
        crosslinks, evidence, rewinds = rlp.as_list(decoded, 3)
        rows = rlp.as_list(rewinds)
        if len(rows) > 1:
            raise DecodeError("beacon body: more than one rewind")
        return cls(
            crosslinks=tuple(Crosslink.from_items(c) for c in rlp.as_list(crosslinks)),
            evidence=items_from_items(evidence),
            rewind=Rewind.from_row(rows[0]) if rows else None,
        )


@dataclass(frozen=True, kw_only=True)
class BeaconBlock:
    """A header and its body. Decoding does not compare `body_root`: that is a rule of the chain."""

    header: BeaconHeader
    body: BeaconBody

    @property
    def hash(self) -> Hash32:
        return self.header.hash

    @property
    def height(self) -> int:
        return self.header.height

    @cached_property
    def encoded(self) -> bytes:
        return rlp.encode_list(self.header.encoded + self.body.encoded)

    @classmethod
    @decoder("beacon block")
    def decode(cls, data: bytes) -> "BeaconBlock":
        """Raises DecodeError for anything but the encoding of a block within the size limit."""
        if len(data) > MAX_BEACON_BLOCK_BYTES:
            raise DecodeError(f"beacon block: {len(data)} bytes, at most {MAX_BEACON_BLOCK_BYTES}")
        header, body = rlp.decode_list(data, 2)
        return cls(header=BeaconHeader.from_items(header), body=BeaconBody.from_items(body))


def next_randao(parent: Hash32, proposer: Address, height: int) -> Hash32:
    """The randao of a block: keccak256(parent's randao || proposer || height as 8 bytes).

    It differs from block to block and every node agrees on it, but it is predictable: anyone can compute it for
    every proposer ahead of time, so it must not decide anything of value. Unpredictable randomness needs the
    validators' commitments and reveals, which come with staking.
    """
    return keccak256(parent + proposer + height.to_bytes(8, "big"))
