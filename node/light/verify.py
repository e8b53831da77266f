"""Verification of a message proof: was the message sent, and was it delivered? Pure; raises only
InvalidProof.
"""

from dataclasses import dataclass
from enum import Enum

from consensus.signing import SignatureChecker
from consensus.types import Address as ValidatorAddress
from node.execution.state.account import decode_account, decode_slot
from node.execution.state.receipts import Receipt, decode_receipt
from node.execution.trie.errors import BadProof
from node.execution.trie.trie import ordered_key
from node.execution.trie.witness import Witness
from node.light.beacon import BeaconTrust
from node.light.errors import InvalidProof, part
from node.light.proof import DeliveredProof, MessageProof, SentProof
from node.light.receipts import announced, is_onward
from node.primitives.basics import ZERO_HASH, Hash32, ShardId, keccak_fast
from node.primitives.genesis import Genesis
from node.primitives.header import Header
from node.primitives.keys import KeccakSecp256k1
from node.primitives.message import Message, extend_head
from node.primitives.messenger import MESSENGER, outbox_slots
from node.shard.block import ARRIVAL_TYPE, MAX_BLOCK_BYTES, encode_arrival

MAX_RECEIPT_BYTES = MAX_BLOCK_BYTES
"""Bytes of a receipt or a body item in a node of its trie. Logs cost 8 gas a byte."""


class Outcome(Enum):
    """The outcome of a delivery. FORWARDED: the recipient had moved, and the message was sent after it."""

    OK = "ok"
    FAILED = "failed"
    FORWARDED = "forwarded"


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalisedPlace:
    """An item of a shard block, and the height of a beacon block that finalises it."""

    shard: ShardId
    block: int
    block_hash: Hash32
    index: int
    beacon: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """The delivery of a message: its place, its outcome, and the gas that its execution used."""

    place: FinalisedPlace
    outcome: Outcome
    gas_used: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenMessage:
    """The facts that a proof proves. If `delivered` is None, it says nothing about the arrival."""

    message: Message
    sent: FinalisedPlace
    delivered: Delivered | None


class _Checker:
    """Recovers signatures, one by one."""

    def recover(self, preimage: bytes, signature: bytes) -> ValidatorAddress | None:
        address = KeccakSecp256k1().recover(preimage, signature)
        return None if address is None else ValidatorAddress(address)


def verify(
    genesis: Genesis, proof: MessageProof, *, checker: SignatureChecker | None = None
) -> ProvenMessage:
    """Check a proof against the genesis. Raises InvalidProof with the part that is wrong.

    It relies on this: more than two thirds of the stake of each committee that signed was honest at that time,
    and no two networks share chain id and keys (docs/proofs.md, "Trust").
    """
    if proof.genesis != genesis.hash:
        raise InvalidProof(
            "genesis",
            f"the proof is of the network 0x{proof.genesis.hex()}, "
            f"the genesis given is of 0x{genesis.hash.hex()}",
        )
    message = proof.message
    trust = BeaconTrust(genesis, proof.beacon, checker or _Checker())
    header = trust.crosslinked("sent.block", message.src, proof.sent.block)
    _check_lane(message, header, proof.sent)
    _check_announced(message, header, proof.sent)
    sent = _place(message.src, header, proof.sent.index, proof.sent.block.beacon)
    delivered = None
    if proof.delivered is not None:
        arrived_in = trust.crosslinked("delivered.block", message.dst, proof.delivered.block)
        delivered = _delivery(message, arrived_in, proof.delivered)
    trust.finish()
    return ProvenMessage(message=message, sent=sent, delivered=delivered)


def _place(shard: ShardId, header: Header, index: int, beacon: int) -> FinalisedPlace:
    return FinalisedPlace(
        shard=shard, block=header.number, block_hash=header.hash, index=index, beacon=beacon
    )


def _check_lane(message: Message, header: Header, sent: SentProof) -> None:
    """The lane in MESSENGER's storage after the block holds the message as number `seq`."""
    with part("sent.state"):
        witness = Witness(sent.state)
        leaf = witness.get(header.state_root, keccak_fast(MESSENGER))
        if leaf is None:
            raise BadProof("the state has no MESSENGER")
        root = decode_account(leaf).storage_root
        slots = outbox_slots(message.dst)
        count, head = (_slot(witness, root, slot) for slot in (slots.count, slots.head))
        witness.finish()
    if count != message.seq + 1 + len(sent.after):
        raise InvalidProof(
            "sent.after",
            f"the lane {message.src}->{message.dst} has {count} messages: "
            f"{count - message.seq - 1} hashes must follow number {message.seq}, "
            f"not {len(sent.after)}",
        )
    if message.seq == 0 and sent.before != ZERO_HASH:
        raise InvalidProof("sent.before", "a lane begins with the head 0")
    if int.from_bytes(extend_head(sent.before, [message.hash, *sent.after]), "big") != head:
        raise InvalidProof("sent", "the message and the hashes do not chain to the lane's head")


def _slot(witness: Witness, root: bytes, slot: int) -> int:
    return decode_slot(witness.get(root, keccak_fast(slot.to_bytes(32, "big"))) or b"")


def _check_announced(message: Message, header: Header, sent: SentProof) -> None:
    """The receipt of the item announces the message: the item sent it, in this block."""
    with part("sent.receipts"):
        witness = Witness(sent.receipts, max_node_bytes=MAX_RECEIPT_BYTES)
        receipt = _receipt(witness, header, sent.index)
        witness.finish()
        if all(other.encoded != message.encoded for other in announced(receipt)):
            raise InvalidProof("sent.index", f"item {sent.index} did not send the message")


def _delivery(message: Message, header: Header, delivered: DeliveredProof) -> Delivered:
    index = delivered.index
    with part("delivered.items"):
        items = Witness(delivered.items, max_node_bytes=MAX_RECEIPT_BYTES)
        item = items.get(header.transactions_root, ordered_key(index))
        items.finish()
        if item != encode_arrival(message):
            raise InvalidProof("delivered.index", f"item {index} is not the arrival of the message")
    with part("delivered.receipts"):
        witness = Witness(delivered.receipts, max_node_bytes=MAX_RECEIPT_BYTES)
        receipt = _receipt(witness, header, index)
        before = _receipt(witness, header, index - 1).cumulative_gas_used if index else 0
        witness.finish()
        if receipt.type != ARRIVAL_TYPE or receipt.cumulative_gas_used < before:
            raise BadProof(f"the receipt of item {index} is not that of an arrival")
        onward = any(is_onward(message, other) for other in announced(receipt))
    done = Outcome.OK if receipt.status else Outcome.FAILED
    place = _place(message.dst, header, index, delivered.block.beacon)
    return Delivered(
        place=place,
        outcome=Outcome.FORWARDED if onward else done,
        gas_used=receipt.cumulative_gas_used - before,
    )


def _receipt(witness: Witness, header: Header, index: int) -> Receipt:
    raw = witness.get(header.receipts_root, ordered_key(index))
    if raw is None:
        raise BadProof(f"the block has no item {index}")
    return decode_receipt(raw)
