"""Proofs of messages for outsiders (docs/proofs.md), put together from the chains that have the parts.

The beacon's part comes from this node, a shard's part from a node of the shard. The nodes that give the parts
need no trust: the whole proof is verified before it is shown.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import trio

from consensus.signing import SignatureChecker
from node.beacon.block import BeaconBlock
from node.light.build import (
    BeaconArchive,
    beacon_steps,
    crosslinked_block,
    delivered_proof,
    sent_proof,
)
from node.light.codec import proof_document
from node.light.errors import InvalidProof
from node.light.proof import CrosslinkedBlock, DeliveredProof, MessageProof, SentProof
from node.light.verify import verify
from node.primitives.basics import Hash32, ShardId
from node.primitives.errors import CorruptData, DecodeError
from node.primitives.genesis import Genesis
from node.primitives.messenger import MESSENGER, outbox_slots
from node.query.questions import BlockQuestion, DeliveryQuestion, ProveQuestion, StorageQuestion
from node.shard.block import ShardBlock
from node.view.following.links import SentMessage, sent_message
from node.view.shards import Shards
from rpc.errors import ResourceUnavailable, ServerError


class Archive(BeaconArchive, Protocol):
    """The beacon chain of this node, with the crosslinks that it has included."""

    def crosslinked_in(self, shard: ShardId, shard_height: int) -> int | None: ...


class Prover:
    """Proves messages against `genesis`. `head_height` is that of the network view."""

    def __init__(
        self,
        genesis: Genesis,
        beacon: Archive,
        shards: Shards,
        *,
        head_height: Callable[[], int],
        checker: SignatureChecker,
    ) -> None:
        self._genesis = genesis
        self._beacon = beacon
        self._shards = shards
        self._head_height = head_height
        self._checker = checker

    async def prove(self, message_id: bytes) -> dict[str, Any] | None:
        """The proof of a message, ready for JSON; None if no shard knows it.

        Raises ServerError while no beacon block has taken in the block that sent it, and
        ResourceUnavailable where a shard does not answer or the answer proves nothing.
        """
        sent = await sent_message(self._shards, message_id)
        if sent is None:
            return None
        try:
            proof = await self._proof(sent)
            check = partial(verify, self._genesis, proof, checker=self._checker)
            await trio.to_thread.run_sync(check)
        except (InvalidProof, DecodeError, LookupError) as error:
            raise ResourceUnavailable(f"what the shards answered proves nothing: {error}") from None
        except CorruptData as error:
            raise ResourceUnavailable(f"the state is not here any more: {error}") from None
        return proof_document(proof)

    async def _proof(self, place: SentMessage) -> MessageProof:
        src, dst, seq = place.message.src, place.message.dst, place.message.seq
        taken_in = self._taken_in(src, place.height)
        if taken_in is None:
            raise ServerError(
                f"no beacon block has taken in block {place.height} of shard {src} yet, which sent "
                "the message: there is a proof as soon as one has"
            )
        sent = await self._sent(place, crosslinked_block(taken_in, src, place.height))
        delivered = await self._delivered(src, dst, seq)
        wanted = [(src, sent.block)]
        if delivered is not None:
            wanted.append((dst, delivered.block))
        return MessageProof(
            genesis=self._genesis.hash,
            message=place.message,
            beacon=beacon_steps(self._beacon, wanted),
            sent=sent,
            delivered=delivered,
        )

    async def _sent(self, place: SentMessage, block: CrosslinkedBlock) -> SentProof:
        """The lane's position after the block of `place`, and the receipt that announces the message."""
        message, height = place.message, place.height
        slots = outbox_slots(message.dst)
        keys = [slot.to_bytes(32, "big") for slot in (slots.count, slots.head)]
        raw = await self._shards.ask(message.src, BlockQuestion(height=height))
        lane_before = await self._shards.ask(
            message.src, StorageQuestion(height=height - 1, address=MESSENGER, slot=keys[1])
        )
        proven = await self._shards.ask(
            message.src, ProveQuestion(height=height, address=MESSENGER, slots=keys)
        )
        nodes = [*proven.proof, *(node for slot in proven.slots for node in slot.proof)]
        job = partial(
            sent_proof,
            message,
            block,
            index=place.index,
            receipts=raw.receipts,
            lane_before=Hash32(lane_before),
            state=nodes,
        )
        return await trio.to_thread.run_sync(job)

    async def _delivered(self, src: ShardId, dst: ShardId, seq: int) -> DeliveredProof | None:
        """The arrival of the message; None while it is not finalised."""
        place = await self._shards.ask(dst, DeliveryQuestion(src=src, seq=seq))
        taken_in = self._taken_in(dst, place.height) if place is not None else None
        if place is None or taken_in is None:
            return None
        block = crosslinked_block(taken_in, dst, place.height)
        raw = await self._shards.ask(dst, BlockQuestion(height=place.height))

        def job() -> DeliveredProof:
            items = ShardBlock.decode(raw.block).items
            return delivered_proof(block, index=place.index, items=items, receipts=raw.receipts)

        return await trio.to_thread.run_sync(job)

    def _taken_in(self, shard: ShardId, height: int) -> BeaconBlock | None:
        """The beacon block that has taken in a shard block, None while there is none."""
        number = self._beacon.crosslinked_in(shard, height)
        if number is None or number > self._head_height():
            return None
        return self._beacon.block(number)
