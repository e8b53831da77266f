"""The work of a node as spans of OpenTelemetry traces. No OpenTelemetry in here: see `spans_export`.

Nodes pass no context to each other. Ids of traces and spans are derived from hashes that all of them know, so
that what different nodes of different shards export joins into one tree:

    trace of a transaction (its hash, bytes 0 to 15)
        transaction             admission to inclusion, by the node that took it from its user
            message sent        the block that sent it, by that block's proposer
                message delivered       the block that delivered it, by that block's proposer
                    message sent        sent by the delivery, onward or back
    trace of a block (its hash, bytes 0 to 15)
        block                   beginning of the height to commit, by the proposer
            build, judge, commit
            block               the same, by every other node

A span of the first trace links to that of the block.
"""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from consensus.types import Certificate
from node.beacon.block import BeaconBlock
from node.primitives.message import Message
from node.shard.run import ExecutedBlock

MAX_OPEN = 8192
"""Admitted transactions that are remembered until a block has them. With more the oldest leave no span."""
MAX_STEPS = 32
"""Steps of one height; it has more only where very many rounds fail."""

_TRACE_BYTES, _SPAN_BYTES = 16, 8


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanId:
    """A span in its trace: 16 and 8 bytes."""

    trace: bytes
    span: bytes

    @classmethod
    def root(cls, digest: bytes) -> "SpanId":
        """The first span of what has this hash (32 bytes)."""
        return cls(trace=digest[:_TRACE_BYTES], span=digest[_TRACE_BYTES:][:_SPAN_BYTES])

    def other(self, *what: bytes | str | int) -> "SpanId":
        """Another span of the trace, told apart by `what`."""
        digest = hashlib.sha256(repr((self.trace, what)).encode()).digest()
        return SpanId(trace=self.trace, span=digest[:_SPAN_BYTES])


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A finished span. Times in nanoseconds since 1970; `error` is the text of a failure, if any."""

    name: str
    id: SpanId
    parent: SpanId | None
    start: int
    end: int
    attributes: Mapping[str, str | int]
    link: SpanId | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeightStep:
    """A step (build, judge or commit) of the height that is being decided; times as in `Span`."""

    name: str
    start: int
    end: int
    error: str | None = None


@dataclass(slots=True)
class HeightTimes:
    """The times of the next height of one chain. `began` is the time when the last height began here; None if
    it is not known, as for blocks that were synced.
    """

    began: Callable[[], int | None]
    steps: list[HeightStep] = field(default_factory=list)
    committing: int | None = None
    finished: int = 0

    def add(self, step: HeightStep) -> None:
        if len(self.steps) < MAX_STEPS:
            self.steps.append(step)

    def finish(self, now: int) -> tuple[int, list[HeightStep]]:
        """When the height began and its steps, as it is committed `now`; the next one starts with none."""
        steps = list(self.steps)
        if self.committing is not None:
            steps.append(HeightStep(name="commit", start=self.committing, end=now))
        starts = [step.start for step in steps]
        began = self.began()
        if began is not None and began >= self.finished:
            starts.append(began)
        self.steps, self.committing, self.finished = [], None, now
        return min(starts, default=now), steps


class Spans:
    """Listener of both chains and of the admission of transactions. `export` is given every span as it ends.

    `node` is its name, `me` the address that it proposes with, None for a follower. For one thread.
    """

    def __init__(
        self,
        *,
        node: str,
        me: bytes | None,
        export: Callable[[Span], None],
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        self.now = now
        self._node = node
        self._me = me
        self._export = export
        self._times: dict[str, HeightTimes] = {}
        self._admitted: OrderedDict[bytes, int] = OrderedDict()

    def chain(self, name: str, began: Callable[[], int | None]) -> HeightTimes:
        """The chain begins, or begins anew; returns the place for its times."""
        self._times[name] = HeightTimes(began)
        return self._times[name]

    # ------------------------------------------------------------------ events

    def admitted(self, tx_hash: bytes) -> None:
        """A user's transaction was taken into the pool."""
        self._admitted.setdefault(tx_hash, self.now())
        if len(self._admitted) > MAX_OPEN:
            self._admitted.popitem(last=False)

    def shard_block(self, chain: str, executed: ExecutedBlock, certificate: Certificate) -> None:
        header, now = executed.header, self.now()
        where: dict[str, str | int] = {"chain": chain, "height": header.number}
        mine = header.coinbase == self._me
        block, start = self._block(
            chain, header.hash, certificate, now, mine=mine,
            facts=where | {"transactions": len(executed.decoded), "messages": len(executed.sent)},
        )  # fmt: skip
        for index, tx in executed.decoded:
            admitted = self._admitted.pop(tx.hash, None)
            if admitted is None:
                continue
            self._export(
                Span(
                    name="transaction", id=SpanId.root(tx.hash), parent=None, start=admitted, end=now,
                    attributes=where | {"tx": _hex(tx.hash), "index": index}, link=block,
                    error=_failure(executed, index),
                )
            )  # fmt: skip
        if mine:
            self._messages(executed, where, block, start, now)

    def beacon_block(self, block: BeaconBlock, certificate: Certificate) -> None:
        self._block(
            "beacon", block.hash, certificate, self.now(), mine=block.header.proposer == self._me,
            facts={
                "chain": "beacon", "height": block.height, "crosslinks": len(block.body.crosslinks)
            },
        )  # fmt: skip

    # ------------------------------------------------------------------ inside

    def _block(
        self,
        chain: str,
        block_hash: bytes,
        certificate: Certificate,
        now: int,
        *,
        mine: bool,
        facts: Mapping[str, str | int],
    ) -> tuple[SpanId, int]:
        """The block and its steps. Returns the block's span, and when its height began."""
        root = SpanId.root(block_hash)
        here = root if mine else root.other(self._node)
        start, steps = self._times[chain].finish(now)
        attributes = {**facts, "round": certificate.round, "hash": _hex(block_hash)}
        self._export(
            Span(
                name="block", id=here, parent=None if mine else root, start=start, end=now,
                attributes=attributes,
            )
        )  # fmt: skip
        for number, step in enumerate(steps):
            self._export(
                Span(
                    name=step.name, id=root.other(self._node, number), parent=here, start=step.start,
                    end=step.end, attributes={"chain": chain, "height": facts["height"]},
                    error=step.error,
                )
            )  # fmt: skip
        return here, start

    def _messages(
        self,
        executed: ExecutedBlock,
        where: Mapping[str, str | int],
        block: SpanId,
        start: int,
        end: int,
    ) -> None:
        causes: dict[int, SpanId] = {}  # by the index of the item that delivered a message
        for index, message in executed.delivered:
            causes[index] = _leg(message, "delivered")
            self._export(
                Span(
                    name="message delivered", id=causes[index], parent=_leg(message, "sent"),
                    start=start, end=end, attributes={**where, **_facts(message), "index": index},
                    link=block, error=_failure(executed, index),
                )
            )  # fmt: skip
        for sent in executed.sent:
            message = sent.message
            self._export(
                Span(
                    name="message sent", id=_leg(message, "sent"),
                    parent=causes.get(sent.index, SpanId.root(message.origin_tx)),
                    start=start, end=end,
                    attributes={**where, **_facts(message), "index": sent.index}, link=block,
                )
            )  # fmt: skip


def _leg(message: Message, leg: str) -> SpanId:
    return SpanId.root(message.origin_tx).other(message.id, leg)


def _facts(message: Message) -> dict[str, str | int]:
    """Named as in the log."""
    return {
        "message": _hex(message.id),
        "tx": _hex(message.origin_tx),
        "kind": message.kind.name.lower(),
        "src": int(message.src),
        "dst": int(message.dst),
        "seq": message.seq,
    }


def _failure(executed: ExecutedBlock, index: int) -> str | None:
    return None if executed.receipts[index].status else "execution failed"


def _hex(value: bytes) -> str:
    return "0x" + value.hex()
