"""The parts of a message proof (docs/proofs.md). Values only; nothing is checked here."""

from dataclasses import dataclass, field

from consensus.types import Certificate
from node.beacon.block import BeaconHeader
from node.primitives.basics import Hash32
from node.primitives.header import Header
from node.primitives.message import Message

Nodes = tuple[bytes, ...]
"""Bodies of trie nodes by ascending hash (`node.execution.trie.witness.Witness`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BeaconStep:
    """A beacon header with its certificate, and the nodes of the entries that are read from the state after it.

    Always read is the beacon committee; where a shard block is shown to be crosslinked here, also the
    shard's tip, its terms and its committee. `era` is how often the network had been taken back when the
    block was decided: what it is signed for. Its shard blocks are of the same era.
    """

    header: BeaconHeader
    certificate: Certificate
    nodes: Nodes = field(repr=False)
    era: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CrosslinkedBlock:
    """A shard block that the beacon block at height `beacon` includes.

    `headers` are its header and those after it up to the parent of the shard's tip in that beacon state, none
    if the block is the tip itself. `certificate` is that of the tip.
    """

    beacon: int
    headers: tuple[Header, ...]
    certificate: Certificate


@dataclass(frozen=True, slots=True, kw_only=True)
class SentProof:
    """The message is on its lane at the end of `block`, and item `index` of the block sent it.

    `before` is the head of the lane before the message, `after` the hashes of the messages behind it
    up to the end of the block; `state` proves the position that MESSENGER's storage has for the lane,
    `receipts` the receipt of the item.
    """

    block: CrosslinkedBlock
    before: Hash32
    after: tuple[Hash32, ...]
    state: Nodes = field(repr=False)
    index: int
    receipts: Nodes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveredProof:
    """Item `index` of `block` is the arrival of the message; `items` proves that, `receipts` proves its
    receipt and that of the item before it, from which the gas of the arrival follows."""

    block: CrosslinkedBlock
    index: int
    items: Nodes = field(repr=False)
    receipts: Nodes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageProof:
    """All that a verifier needs besides the genesis.

    `genesis` is the hash of the genesis of the network it is about; `beacon` ascends by height. Without
    `delivered` the proof says nothing about whether the message has arrived.
    """

    genesis: Hash32
    message: Message
    beacon: tuple[BeaconStep, ...]
    sent: SentProof
    delivered: DeliveredProof | None = None
