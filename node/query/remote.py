"""The shard port answered by a node of that shard over the network."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

import trio

from node.primitives.errors import DecodeError
from node.query.codec import (
    INVALID_QUESTION,
    MAX_QUESTION_BYTES,
    OPERATIONS,
    TOO_LARGE,
    decode_answer,
    encode_question,
)
from node.query.port import (
    BUSY,
    Accessed,
    AccountAt,
    BlockReport,
    CallOutcome,
    CallSpec,
    Delivery,
    LaneKey,
    Leg,
    MessageAt,
    PoolCounts,
    PoolDump,
    PoolNews,
    ProvenAccount,
    RawBlock,
    Refused,
    ShardUnavailable,
    SimulationSpec,
    Supply,
    TracedItem,
    TraceSpec,
)
from node.query.question_execution import (
    SimulateQuestion,
    TraceCallQuestion,
    TraceItemsQuestion,
)
from node.query.questions import (
    MAX_LEGS,
    MAX_MESSAGES,
    AccessListQuestion,
    AccountQuestion,
    ArrivalQuestion,
    BlockBriefQuestion,
    BlockQuestion,
    CallQuestion,
    DeliveryQuestion,
    EstimateQuestion,
    FindMessageQuestion,
    HeadQuestion,
    HeightOfQuestion,
    InFlightQuestion,
    ItemQuestion,
    LanesQuestion,
    LegQuestion,
    LegsQuestion,
    PoolContentQuestion,
    PoolCountsQuestion,
    PooledQuestion,
    PoolNewsQuestion,
    PoolNonceQuestion,
    ProveQuestion,
    Question,
    SentQuestion,
    StorageQuestion,
    SubmitQuestion,
    SupplyQuestion,
    TrafficQuestion,
)
from node.query.records import BlockBrief, ItemRecord, ShardLanes, Traffic
from rpc.caller import CALLER
from rpc.errors import LimitExceeded
from rpc.threads import SMALL, Threads
from rpc.turns import Turns

T = TypeVar("T")
Ask = Callable[[bytes, float], Awaitable[bytes]]
"""Sends a question to a healthy node of the shard and waits so many seconds; raises ShardUnavailable or
Refused."""

ATTEMPTS = 2
EXECUTIONS = 16
LONGEST = 26.0
"""Seconds that an execution takes, with its wait for a turn; less than who asks for it waits."""
THREADS = 2
"""Which check what users ask and read long answers."""


class RemoteSource:
    """A `ShardSource` over `ask`, and `execute` (the same if it is left out) for what takes long there: so many
    of these are under way at a time, of users in turn. An answer that is none, or a node that lags behind, is
    asked once more: the next node may do better."""

    def __init__(self, shard: int, ask: Ask, execute: Ask | None = None) -> None:
        self.shard = shard
        self._ask_node = ask
        self._execute_on_node = execute or ask
        self._turns = Turns(EXECUTIONS, CALLER.get)
        self._aside = Threads(THREADS)

    async def _ask(self, question: Question[T]) -> T:
        return await self._put(self._ask_node, question, encode_question(question))

    async def _put(self, ask: Ask, question: Question[T], payload: bytes) -> T:
        if len(payload) > MAX_QUESTION_BYTES:
            raise Refused(f"the request is larger than {MAX_QUESTION_BYTES} bytes", TOO_LARGE)
        timeout = OPERATIONS[type(question)].timeout
        for attempt in range(1, ATTEMPTS + 1):
            answer = await ask(payload, timeout)
            try:
                large = len(answer) > SMALL
                return await self._aside.run_if(large, partial(decode_answer, question, answer))
            except ShardUnavailable:
                if attempt == ATTEMPTS:
                    raise
            except DecodeError as error:
                if attempt == ATTEMPTS:
                    raise ShardUnavailable(
                        f"a node of shard {self.shard} answered nonsense: {error}"
                    ) from error
        raise AssertionError("unreachable")

    async def _execute(self, kind: Callable[..., Question[T]], **arguments: Any) -> T:
        """The same for what users make long. Raises Refused for what no node would take."""

        def make() -> tuple[Question[T], bytes]:
            question = kind(**arguments)
            return question, encode_question(question)

        try:
            question, payload = await self._aside.run(make)
        except ValueError as error:
            raise Refused(str(error), INVALID_QUESTION) from None
        try:
            with trio.fail_after(LONGEST):
                async with self._turns.turn():
                    return await self._put(self._execute_on_node, question, payload)
        except LimitExceeded as error:
            raise Refused(f"shard {self.shard}: {error.message}", error.code) from None
        except trio.TooSlowError:
            raise Refused(
                f"shard {self.shard}: too much to do: it did not come to this in {LONGEST:g} s",
                BUSY,
            ) from None

    async def head(self) -> int:
        return await self._ask(HeadQuestion())

    async def account(self, height: int, address: bytes, code: bool) -> AccountAt:
        return await self._ask(AccountQuestion(height=height, address=address, code=code))

    async def storage(self, height: int, address: bytes, slot: bytes) -> bytes:
        return await self._ask(StorageQuestion(height=height, address=address, slot=slot))

    async def block(self, height: int) -> RawBlock:
        return await self._ask(BlockQuestion(height=height))

    async def height_of(self, block_hash: bytes) -> int | None:
        return await self._ask(HeightOfQuestion(block_hash=block_hash))

    async def leg(self, tx_hash: bytes) -> Leg | None:
        return await self._ask(LegQuestion(tx_hash=tx_hash))

    async def legs(self, tx_hashes: list[bytes]) -> list[Leg | None]:
        out: list[Leg | None] = []
        for start in range(0, len(tx_hashes), MAX_LEGS):
            out += await self._legs(tx_hashes[start : start + MAX_LEGS])
        return out

    async def _legs(self, tx_hashes: list[bytes]) -> list[Leg | None]:
        try:
            legs = await self._ask(LegsQuestion(tx_hashes=tx_hashes))
        except Refused as refusal:
            if refusal.code != TOO_LARGE or len(tx_hashes) == 1:
                raise
            half = len(tx_hashes) // 2
            return await self._legs(tx_hashes[:half]) + await self._legs(tx_hashes[half:])
        if len(legs) != len(tx_hashes):
            raise ShardUnavailable(f"a node of shard {self.shard} answered for other transactions")
        return legs

    async def delivery(self, src: int, seq: int) -> Delivery | None:
        return await self._ask(DeliveryQuestion(src=src, seq=seq))

    async def call(self, height: int, spec: CallSpec) -> CallOutcome:
        return await self._execute(CallQuestion, height=height, spec=spec)

    async def estimate(self, height: int, spec: CallSpec) -> CallOutcome:
        return await self._execute(EstimateQuestion, height=height, spec=spec)

    async def access_list(self, height: int, spec: CallSpec) -> Accessed:
        return await self._execute(AccessListQuestion, height=height, spec=spec)

    async def simulate_blocks(self, height: int, spec: SimulationSpec) -> list[BlockReport]:
        return await self._execute(SimulateQuestion, height=height, spec=spec)

    async def trace_items(self, height: int, items: list[TracedItem], trace: TraceSpec) -> bytes:
        return await self._execute(TraceItemsQuestion, height=height, items=items, trace=trace)

    async def trace_call(self, height: int, spec: CallSpec, trace: TraceSpec) -> bytes:
        return await self._execute(TraceCallQuestion, height=height, spec=spec, trace=trace)

    async def prove(self, height: int, address: bytes, slots: list[bytes]) -> ProvenAccount:
        return await self._ask(ProveQuestion(height=height, address=address, slots=slots))

    async def submit(self, raw: bytes, known: int = 0) -> bytes:
        return await self._ask(SubmitQuestion(raw=raw, known=known))

    async def pool_nonce(self, address: bytes, known: int = 0) -> int:
        return await self._ask(PoolNonceQuestion(address=address, known=known))

    async def pooled(self, tx_hash: bytes) -> bytes | None:
        return await self._ask(PooledQuestion(tx_hash=tx_hash))

    async def pool_counts(self) -> PoolCounts:
        return await self._ask(PoolCountsQuestion())

    async def pool_content(self, sender: bytes | None) -> PoolDump:
        return await self._ask(PoolContentQuestion(sender=sender))

    async def pool_news(self, epoch: int, position: int) -> PoolNews:
        return await self._ask(PoolNewsQuestion(epoch=epoch, position=position))

    async def find_message(self, message_id: bytes) -> LaneKey | None:
        return await self._ask(FindMessageQuestion(message_id=message_id))

    async def sent(self, dst: int, seq: int) -> MessageAt | None:
        return await self._ask(SentQuestion(dst=dst, seq=seq))

    async def item(self, height: int, index: int) -> ItemRecord | None:
        return await self._ask(ItemQuestion(height=height, index=index))

    async def arrival(self, src: int, seq: int, logs: bool) -> ItemRecord | None:
        return await self._ask(ArrivalQuestion(src=src, seq=seq, logs=logs))

    async def block_brief(self, height: int) -> BlockBrief:
        return await self._ask(BlockBriefQuestion(height=height))

    async def traffic(self, height: int) -> Traffic:
        return await self._ask(TrafficQuestion(height=height))

    async def lanes(self) -> ShardLanes:
        return await self._ask(LanesQuestion())

    async def in_flight(self, dst: int, start: int, stop: int) -> bytes:
        total = 0
        for first in range(start, stop, MAX_MESSAGES):
            last = min(first + MAX_MESSAGES, stop)
            part = await self._ask(InFlightQuestion(dst=dst, start=first, stop=last))
            total += int.from_bytes(part, "big")
        return total.to_bytes((total.bit_length() + 7) // 8, "big")

    async def supply(self, height: int) -> Supply:
        return await self._ask(SupplyQuestion(height=height))
