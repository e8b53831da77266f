"""The shard port as bytes: one request method, a tagged question, an answer in an envelope.

    question   msgpack map {"op": name, ...arguments of the method of `ShardSource`}
    answer     {"type": "ok", "result": ...} | {"type": "refused", "message", "code"}
               | {"type": "unavailable", "message"} | {"type": "failed"}

`OPERATIONS` is the whole language. Sizes and ranges are part of the types, so what has been decoded is
safe to act on; what is larger than its operation can need is not decoded at all.
"""

from dataclasses import dataclass
from functools import cache, partial
from typing import Annotated, Any, TypeVar, Union

import msgspec
import structlog

from node.primitives.decoding import decoder
from node.primitives.errors import DecodeError
from node.primitives.transaction import MAX_TRANSACTION_BYTES
from node.query.port import (
    Accessed,
    AccountAt,
    BlockReport,
    CallOutcome,
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
    ShardSource,
    ShardUnavailable,
    Supply,
)
from node.query.question_execution import (
    SimulateQuestion,
    TraceCallQuestion,
    TraceItemsQuestion,
)
from node.query.questions import (
    AccessListQuestion,
    AccountQuestion,
    Amount,
    ArrivalQuestion,
    BlockBriefQuestion,
    BlockQuestion,
    CallQuestion,
    DeliveryQuestion,
    EstimateQuestion,
    FindMessageQuestion,
    HashBytes,
    HeadQuestion,
    Height,
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
    RawTransaction,
    SentQuestion,
    StorageQuestion,
    SubmitQuestion,
    SupplyQuestion,
    TrafficQuestion,
)
from node.query.records import BlockBrief, ItemRecord, ShardLanes, Traffic
from node.query.spec_check import MAX_HEIGHT
from rpc.threads import SMALL, Threads

log = structlog.get_logger(__name__)

KIB = 1024
MIB = 1024 * KIB
MAX_QUESTION_BYTES = 512 * KIB
MAX_ANSWER_BYTES = 15 * MIB
TOO_LARGE = -32003
INVALID_QUESTION = -32602
FAST, SLOW = 5.0, 25.0
"""Seconds the asker waits: for a look-up, and for execution or a walk over the whole state."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Operation:
    """The type of an operation's result, what an answer may weigh, how long the asker waits, and whether it
    executes what a user gave."""

    result: Any
    max_answer: int = 4 * KIB
    timeout: float = FAST
    executes: bool = False


OPERATIONS: dict[type[Question[Any]], Operation] = {
    HeadQuestion: Operation(Height),
    AccountQuestion: Operation(AccountAt, 64 * KIB),
    StorageQuestion: Operation(HashBytes),
    BlockQuestion: Operation(RawBlock, MAX_ANSWER_BYTES, timeout=10.0),
    HeightOfQuestion: Operation(Height | None),
    LegQuestion: Operation(Leg | None, MAX_TRANSACTION_BYTES + 4 * KIB),
    LegsQuestion: Operation(list[Leg | None], MAX_ANSWER_BYTES, timeout=10.0),
    DeliveryQuestion: Operation(Delivery | None),
    CallQuestion: Operation(CallOutcome, MAX_ANSWER_BYTES, timeout=SLOW, executes=True),
    EstimateQuestion: Operation(CallOutcome, MAX_ANSWER_BYTES, timeout=SLOW, executes=True),
    AccessListQuestion: Operation(Accessed, MAX_ANSWER_BYTES, timeout=SLOW, executes=True),
    SimulateQuestion: Operation(list[BlockReport], MAX_ANSWER_BYTES, timeout=SLOW, executes=True),
    TraceItemsQuestion: Operation(bytes, MAX_ANSWER_BYTES, timeout=SLOW, executes=True),
    TraceCallQuestion: Operation(bytes, MAX_ANSWER_BYTES, timeout=SLOW, executes=True),
    ProveQuestion: Operation(ProvenAccount, MAX_ANSWER_BYTES, timeout=10.0),
    PoolContentQuestion: Operation(PoolDump, MAX_ANSWER_BYTES, timeout=10.0),
    PoolNewsQuestion: Operation(PoolNews, 256 * KIB),
    SubmitQuestion: Operation(HashBytes, timeout=10.0),
    PoolNonceQuestion: Operation(Height),
    PooledQuestion: Operation(RawTransaction | None, MAX_TRANSACTION_BYTES + 4 * KIB),
    PoolCountsQuestion: Operation(PoolCounts),
    FindMessageQuestion: Operation(LaneKey | None),
    SentQuestion: Operation(MessageAt | None, 256 * KIB),
    ItemQuestion: Operation(ItemRecord | None, 512 * KIB),
    ArrivalQuestion: Operation(ItemRecord | None, 512 * KIB),
    BlockBriefQuestion: Operation(BlockBrief),
    TrafficQuestion: Operation(Traffic, MAX_ANSWER_BYTES, timeout=10.0),
    LanesQuestion: Operation(ShardLanes, 256 * KIB),
    InFlightQuestion: Operation(Amount, timeout=SLOW),
    SupplyQuestion: Operation(Supply, timeout=SLOW),
}


class _Result(msgspec.Struct, frozen=True, tag="ok", forbid_unknown_fields=True):
    result: msgspec.Raw


class _Refusal(msgspec.Struct, frozen=True, tag="refused", forbid_unknown_fields=True):
    message: Annotated[str, msgspec.Meta(max_length=4096)]
    code: Annotated[int, msgspec.Meta(ge=-(1 << 31), lt=1 << 31)]


class _Unavailable(msgspec.Struct, frozen=True, tag="unavailable", forbid_unknown_fields=True):
    message: Annotated[str, msgspec.Meta(max_length=4096)]


class _Failure(msgspec.Struct, frozen=True, tag="failed", forbid_unknown_fields=True):
    """A bug on the answering side; its log has the details."""


_encode = msgspec.msgpack.Encoder().encode
_question_decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(
    Union[tuple(OPERATIONS)]  # a union made from the table
)
_answer_decoder = msgspec.msgpack.Decoder(_Result | _Refusal | _Unavailable | _Failure)


@cache
def _result_decoder(question: type[Question[Any]]) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(OPERATIONS[question].result)


def encode_question(question: Question[Any]) -> bytes:
    return _encode(question)


@decoder("shard query")
def decode_question(payload: bytes) -> Question[Any]:
    """Raises DecodeError."""
    if len(payload) > MAX_QUESTION_BYTES:
        raise DecodeError(f"shard query: {len(payload)} bytes, at most {MAX_QUESTION_BYTES}")
    question: Question[Any] = _question_decoder.decode(payload)
    return question


@decoder("shard answer", also=(Refused, ShardUnavailable))
def decode_answer(question: Question[T], payload: bytes) -> T:
    """The result. Raises Refused, ShardUnavailable, or DecodeError where it is no answer to `question`."""
    operation = OPERATIONS[type(question)]
    if len(payload) > operation.max_answer:
        raise DecodeError(f"shard answer: {len(payload)} bytes, at most {operation.max_answer}")
    match _answer_decoder.decode(payload):
        case _Result(result):
            value: T = _result_decoder(type(question)).decode(result)
        case _Refusal(message, code):
            raise Refused(message, code)
        case _Unavailable(message):
            raise ShardUnavailable(message)
        case _Failure():
            raise ShardUnavailable("the node that was asked had an internal error")
    _check_numbers(value)
    return value


def _check_numbers(value: object) -> None:
    """Every integer of an answer counts something: none is negative or beyond any height."""
    if isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            _check_numbers(getattr(value, name))
    elif isinstance(value, list | tuple):
        for item in value:
            _check_numbers(item)
    elif isinstance(value, int) and not 0 <= value <= MAX_HEIGHT:
        raise DecodeError("shard answer: a number is out of range")


async def serve(
    source: ShardSource, payload: bytes, aside: Threads, *, executes: bool | None = None
) -> bytes:
    """Answer a question from the network out of `source`; `aside` reads long ones. It came among those that
    execute, or that do not, unless that is left open. Never raises (but can be cancelled)."""
    try:
        question = await aside.run_if(len(payload) > SMALL, partial(decode_question, payload))
    except DecodeError as error:
        return _encode(_Refusal(message=str(error)[:1024], code=INVALID_QUESTION))
    name = question.__struct_config__.tag
    if executes not in (None, OPERATIONS[type(question)].executes):
        return _encode(_Refusal(message=f"{name}: asked in the wrong queue", code=INVALID_QUESTION))
    try:
        method = getattr(source, str(name))
        result = await method(**msgspec.structs.asdict(question))
        answer = _encode(_Result(result=msgspec.Raw(_encode(result))))
    except Refused as refusal:
        return _encode(_Refusal(message=str(refusal)[:1024], code=refusal.code))
    except ShardUnavailable as error:
        return _encode(_Unavailable(message=str(error)[:1024]))
    except Exception:
        log.exception("shard query failed", op=name)
        return _encode(_Failure())
    if len(answer) > OPERATIONS[type(question)].max_answer:
        return _encode(_Refusal(message="the answer is too large", code=TOO_LARGE))
    return answer
