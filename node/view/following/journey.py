"""The way of one message: sent, finalised by the beacon, delivered, and what it caused there.

    {<the message>, data, status, outcome, legs: [leg, ...]}
    leg       = {id, src, dst, seq, status, sent, finalised, delivered}
    sent      = {shard, block, blockHash, index, item}
    finalised = {networkBlock} | null
    delivered = {shard, block, blockHash, index, networkBlock, outcome, gasUsed, value, receipt,
                 caused: [{relation, id, kind, dst, to, value}, ...], truncated} | null

A message whose recipient had moved on is `forwarded`: it goes on as a message of its own, and the next leg
is of that one. `status` is that of the last leg: `sent` (in a decided block of its source), `finalised` (the
beacon has that block), `delivered`. `item` is the hash of what sent it: a transaction, a message, or the
beacon operations of a block. A leg whose destination cannot be asked has a member `unavailable` that says why.
"""

from collections.abc import Callable
from typing import Any

from node.primitives.message import MessageKind
from node.query.questions import ItemQuestion
from node.query.reader import brief
from node.query.records import ItemRecord, LogRecord, MessageBrief
from node.view.following import documents
from node.view.following.links import Arrival, Consumed, arrival_of, outcome, sent_message
from node.view.shards import Shards
from rpc.encoding import data
from rpc.errors import ResourceUnavailable

MAX_LEGS = 16
"""The most legs of one message that are followed; it may have been forwarded more often."""


class Journeys:
    """`network_block` gives the network block that shows a shard block, None while there is none."""

    def __init__(
        self,
        shards: Shards,
        network_block: Callable[[int, int], int | None],
        consumed: Consumed,
    ) -> None:
        self._shards = shards
        self._network_block = network_block
        self._consumed = consumed

    async def follow(self, message_id: bytes) -> dict[str, Any] | None:
        """None where no shard knows the id."""
        found = await sent_message(self._shards, message_id)
        if found is None:
            return None
        whole = found.message
        message = first = brief(whole)
        sender = await self._shards.ask(
            whole.src, ItemQuestion(height=found.height, index=found.index)
        )
        if sender is None:
            raise ResourceUnavailable(f"shard {whole.src} is unavailable: it is behind")
        legs: list[dict[str, Any]] = []
        while True:
            arrival = await arrival_of(self._shards, self._consumed, message, logs=True)
            item = arrival.item
            legs.append(self._leg(message, sender, arrival))
            onward = None if item is None else _onward(message, item)
            if item is None or onward is None or len(legs) == MAX_LEGS:
                break
            message, sender = onward, item
        return {
            **documents.message(first),
            "data": data(whole.data),
            "status": legs[-1]["status"],
            "outcome": legs[-1]["delivered"] and legs[-1]["delivered"]["outcome"],
            "legs": legs,
        }

    def _leg(self, message: MessageBrief, sender: ItemRecord, arrival: Arrival) -> dict[str, Any]:
        item = arrival.item
        number = self._network_block(message.src, sender.height)
        status = "sent" if number is None else "finalised"
        return {
            "id": data(message.id),
            "src": message.src,
            "dst": message.dst,
            "seq": message.seq,
            "status": status if item is None else "delivered",
            "sent": {
                **_place(message.src, sender),
                "item": data(sender.hash),
            },
            "finalised": None if number is None else {"networkBlock": number},
            "delivered": None if item is None else self._delivered(message, item),
            **arrival.members,
        }

    def _delivered(self, message: MessageBrief, item: ItemRecord) -> dict[str, Any]:
        return {
            **_place(message.dst, item),
            "networkBlock": self._network_block(message.dst, item.height),
            "outcome": outcome(item),
            "gasUsed": item.gas_used,
            "value": documents.amount(message.value),
            "receipt": {
                "status": int(item.success),
                "gasUsed": item.gas_used,
                "logs": [_log(log) for log in item.logs],
                "logsTruncated": item.log_count - len(item.logs),
            },
            "caused": [_caused(message, item, sent) for sent in item.sent],
            "truncated": item.sent_count - len(item.sent),
        }


def relation(cause: MessageBrief, item: ItemRecord, sent: MessageBrief) -> str:
    """The relation of a message to the one whose delivery sent it: `forward`, `reply`, `credit` or `call`."""
    if item.forwarded:
        return "forward"
    if sent.kind == MessageKind.REPLY and sent.in_reply_to == cause.id:
        return "reply"
    return "credit" if sent.kind == MessageKind.CREDIT else "call"


def _onward(message: MessageBrief, item: ItemRecord) -> MessageBrief | None:
    """The message that a forwarded message became: a delivery that forwards sends nothing else."""
    if not item.forwarded or not item.sent or item.sent[0].src != message.dst:
        return None
    return item.sent[0]


def _place(shard: int, item: ItemRecord) -> dict[str, Any]:
    return {
        "shard": shard,
        "block": item.height,
        "blockHash": data(item.block_hash),
        "index": item.index,
    }


def _log(log: LogRecord) -> dict[str, Any]:
    return {
        "address": data(log.address),
        "topics": [data(topic) for topic in log.topics],
        "data": data(log.data),
    }


def _caused(cause: MessageBrief, item: ItemRecord, sent: MessageBrief) -> dict[str, Any]:
    return {
        "relation": relation(cause, item, sent),
        "id": data(sent.id),
        "kind": documents.kind_name(sent.kind),
        "dst": sent.dst,
        "to": data(sent.to),
        "value": documents.amount(sent.value),
    }
