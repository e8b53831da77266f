"""All that a transaction or a message caused: what ran and what is under way on all shards, as a tree.

    node = {kind, id, src, from, to, value, gas, status, outcome, shard, block, index, networkBlock,
            gasUsed, children: [node, ...], truncated}

The root is the transaction (kind TRANSACTION or CREATE) or the message that was asked for; every other node
is a message (CALL, REPLY, CREDIT) below the item that sent it. `shard` is where it runs; `block` and `index`
there, `outcome` and `gasUsed` are null until it has; where its shard cannot be asked, a member `unavailable`
says why. The tree is made from links alone: an item leads to the
messages it sent, a message to the item that delivered it. All of them are in decided blocks, so what is told
once stays: the tree only grows, until it is `complete`.

It is walked level by level, so what does not fit is what is deepest. `truncated` of a node counts children
that are not shown; each has a tree of its own, by its id.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from node.concurrency.gather import gather
from node.primitives.errors import DecodeError, InvalidTransaction
from node.primitives.transaction import decode_transaction
from node.query.questions import ItemQuestion, LegQuestion, PooledQuestion
from node.query.reader import brief
from node.query.records import ItemRecord, MessageBrief
from node.view.following import documents
from node.view.following.links import Arrival, Consumed, arrival_of, outcome, sent_message
from node.view.shards import Shards
from rpc.encoding import data
from rpc.errors import ResourceUnavailable

MAX_NODES = 512
"""Messages of one tree."""
MAX_DEPTH = 48
"""Levels below the root: JSON parsers bound the nesting, and each level takes two of theirs."""

NetworkBlock = Callable[[int, int], int | None]
"""The network block that shows a block of a shard, None while there is none."""
Node = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Branch:
    """A message that becomes a child of `parent`, and the block of its source that sent it."""

    parent: Node
    message: MessageBrief
    height: int


class TreeBuilder:
    """Makes the trees."""

    def __init__(self, shards: Shards, network_block: NetworkBlock, consumed: Consumed) -> None:
        self._shards = shards
        self._network_block = network_block
        self._consumed = consumed

    async def trace(self, name: bytes) -> dict[str, Any] | None:
        """The tree of a transaction hash or a message id, None where no shard knows it."""
        return await self._included(name) or await self._message(name) or await self._pooled(name)

    async def _included(self, name: bytes) -> dict[str, Any] | None:
        found = await self._shards.find(LegQuestion(tx_hash=name))
        if found is None:
            return None
        shard, leg = found
        item = await self._shards.ask(shard, ItemQuestion(height=leg.height, index=leg.index))
        if item is None or item.hash != name:
            raise ResourceUnavailable(f"shard {shard} is unavailable: it named another transaction")
        number = self._network_block(shard, item.height)
        root: Node = {
            "kind": "TRANSACTION" if item.to else "CREATE",
            "id": data(name),
            "src": shard,
            "from": data(item.sender),
            "to": data(item.to) if item.to else None,
            "value": documents.amount(item.value),
            "gas": item.gas,
            "status": "included" if number is None else "finalised",
            **self._run(shard, item),
        }
        walk = self._walk()
        await walk.grow(walk.branches(root, item, 0))
        return _document(name, root, walk)

    async def _message(self, name: bytes) -> dict[str, Any] | None:
        found = await sent_message(self._shards, name)
        if found is None:
            return None
        above: Node = {"children": []}  # the root is the only branch of nothing
        walk = self._walk()
        await walk.grow([_Branch(above, brief(found.message), found.height)])
        return _document(name, above["children"][0], walk)

    async def _pooled(self, name: bytes) -> dict[str, Any] | None:
        found = await self._shards.find(PooledQuestion(tx_hash=name))
        if found is None:
            return None
        shard, raw = found
        try:
            tx = decode_transaction(raw)
        except (DecodeError, InvalidTransaction):
            tx = None
        if tx is None or tx.hash != name:
            raise ResourceUnavailable(f"shard {shard} is unavailable: it named another transaction")
        root: Node = {
            "kind": "CREATE" if tx.to is None else "TRANSACTION",
            "id": data(name),
            "src": shard,
            "from": data(tx.sender),
            "to": None if tx.to is None else data(tx.to),
            "value": hex(tx.value),
            "gas": tx.gas,
            "status": "pending",
            **self._run(shard, None),
        }
        return _document(name, root, self._walk())

    def _walk(self) -> "_Walk":
        return _Walk(self._shards, self._network_block, self._consumed, self._run)

    def _run(self, shard: int, item: ItemRecord | None) -> Node:
        """The members that say where and how a node ran."""
        if item is None:
            place = {"block": None, "index": None, "networkBlock": None, "gasUsed": None}
            return {"outcome": None, "shard": shard, **place, "children": [], "truncated": 0}
        return {
            "outcome": outcome(item),
            "shard": shard,
            "block": item.height,
            "index": item.index,
            "networkBlock": self._network_block(shard, item.height),
            "gasUsed": item.gas_used,
            "children": [],
            "truncated": 0,
        }


def _document(name: bytes, root: Node, walk: "_Walk") -> dict[str, Any]:
    done = root["block"] is not None and not walk.under_way and not walk.truncated
    return {
        "hash": data(name),
        "complete": done,
        "messages": walk.count,
        "underWay": walk.under_way,
        "truncated": walk.truncated > 0,
        "root": root,
    }


class _Walk:
    """One walk down a tree. `count` messages are in it, `under_way` of them have not been delivered,
    `truncated` were left out."""

    def __init__(
        self,
        shards: Shards,
        network_block: NetworkBlock,
        consumed: Consumed,
        run: Callable[[int, ItemRecord | None], Node],
    ) -> None:
        self._shards = shards
        self._network_block = network_block
        self._consumed = consumed
        self._run = run
        self.count = 0
        self.under_way = 0
        self.truncated = 0

    def branches(self, parent: Node, item: ItemRecord, depth: int) -> list[_Branch]:
        """The messages that `item` sent, as many as there is room for."""
        room = MAX_NODES - self.count if depth < MAX_DEPTH else 0
        taken = item.sent[:room]
        self.count += len(taken)
        parent["truncated"] = item.sent_count - len(taken)
        self.truncated += parent["truncated"]
        return [_Branch(parent, message, item.height) for message in taken]

    async def grow(self, level: list[_Branch]) -> None:
        depth = 0
        while level:
            depth += 1
            arrivals = await gather(
                [partial(arrival_of, self._shards, self._consumed, b.message) for b in level]
            )
            below: list[_Branch] = []
            for branch, arrival in zip(level, arrivals, strict=True):
                node = self._node(branch, arrival)
                branch.parent["children"].append(node)
                if arrival.item is None:
                    self.under_way += 1
                else:
                    below += self.branches(node, arrival.item, depth)
            level = below

    def _node(self, branch: _Branch, arrival: Arrival) -> Node:
        message = branch.message
        status = "sent"
        if arrival.item is not None:
            status = "delivered"
        elif self._network_block(message.src, branch.height) is not None:
            status = "finalised"
        return {
            "kind": documents.kind_name(message.kind),
            "id": data(message.id),
            "src": message.src,
            "from": data(message.sender),
            "to": data(message.to),
            "value": documents.amount(message.value),
            "gas": message.gas,
            "status": status,
            **self._run(message.dst, arrival.item),
            **arrival.members,
        }
