"""The shard port as bytes: one request method, a tagged question, an answer in an envelope.

    question   msgpack map {"op": name, ...arguments of the method of `ShardSource`}
    answer     {"type": "ok", "result": ...} | {"type": "refused", "message", "code"}
               | {"type": "unavailable", "message"} | {"type": "failed"}

`OPERATIONS` is the whole language. Sizes and ranges are part of the types, so what has been decoded is
safe to act on; what is larger than its operation can need is not decoded at all.
"""

from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Generic, TypeVar, Union

import msgspec
import structlog

from node.primitives.errors import DecodeError
from node.primitives.transaction import MAX_TRANSACTION_BYTES
from node.runtime.queries import (
    Accessed,
    AccountAt,
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
    ShardSource,
    ShardUnavailable,
    Supply,
)
from node.runtime.spec_check import MAX_HEIGHT, check_spec

log = structlog.get_logger(__name__)

METHOD = "shard-query"
KIB = 1024
MIB = 1024 * KIB
MAX_QUESTION_BYTES = 512 * KIB
MAX_ANSWER_BYTES = 15 * MIB
MAX_LEGS = 256
"""Hashes in one question; the caller splits."""
MAX_MESSAGES = 8192
"""Messages that one `in_flight` question sums; the caller splits."""
MAX_SLOTS = 1024
"""Slots of one proof."""
TOO_LARGE = -32003
INVALID_QUESTION = -32602
FAST, SLOW = 5.0, 25.0
"""Seconds the asker waits: for a look-up, and for execution or a walk over the whole state."""

Height = Annotated[int, msgspec.Meta(ge=0, le=MAX_HEIGHT)]
Shard = Annotated[int, msgspec.Meta(ge=0, le=0xFFFF)]
AddressBytes = Annotated[bytes, msgspec.Meta(min_length=20, max_length=20)]
HashBytes = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Amount = Annotated[bytes, msgspec.Meta(max_length=32)]
RawTransaction = Annotated[bytes, msgspec.Meta(max_length=MAX_TRANSACTION_BYTES)]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Question(
    msgspec.Struct,
    Generic[T_co],
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="op",
):
    """A call of the method of `ShardSource` that has the tag's name, with these arguments."""


class HeadQuestion(Question[int], frozen=True, tag="head"):
    """`ShardSource.head`"""


class AccountQuestion(Question[AccountAt], frozen=True, tag="account"):
    """`ShardSource.account`"""

    height: Height
    address: AddressBytes
    code: bool


class StorageQuestion(Question[bytes], frozen=True, tag="storage"):
    """`ShardSource.storage`"""

    height: Height
    address: AddressBytes
    slot: HashBytes


class BlockQuestion(Question[RawBlock], frozen=True, tag="block"):
    """`ShardSource.block`"""

    height: Height


class HeightOfQuestion(Question[int | None], frozen=True, tag="height_of"):
    """`ShardSource.height_of`"""

    block_hash: HashBytes


class LegQuestion(Question[Leg | None], frozen=True, tag="leg"):
    """`ShardSource.leg`"""

    tx_hash: HashBytes


class LegsQuestion(Question[list[Leg | None]], frozen=True, tag="legs"):
    """`ShardSource.legs`"""

    tx_hashes: Annotated[list[HashBytes], msgspec.Meta(max_length=MAX_LEGS)]


class DeliveryQuestion(Question[Delivery | None], frozen=True, tag="delivery"):
    """`ShardSource.delivery`"""

    src: Shard
    seq: Height


class _Simulation(Question[CallOutcome], frozen=True):
    height: Height
    spec: CallSpec

    def __post_init__(self) -> None:
        check_spec(self.spec)


class CallQuestion(_Simulation, frozen=True, tag="call"):
    """`ShardSource.call`"""


class EstimateQuestion(_Simulation, frozen=True, tag="estimate"):
    """`ShardSource.estimate`"""


class AccessListQuestion(Question[Accessed], frozen=True, tag="access_list"):
    """`ShardSource.access_list`"""

    height: Height
    spec: CallSpec

    def __post_init__(self) -> None:
        check_spec(self.spec)


class ProveQuestion(Question[ProvenAccount], frozen=True, tag="prove"):
    """`ShardSource.prove`"""

    height: Height
    address: AddressBytes
    slots: Annotated[list[HashBytes], msgspec.Meta(max_length=MAX_SLOTS)]


class PoolContentQuestion(Question[PoolDump], frozen=True, tag="pool_content"):
    """`ShardSource.pool_content`"""

    sender: AddressBytes | None


class PoolNewsQuestion(Question[PoolNews], frozen=True, tag="pool_news"):
    """`ShardSource.pool_news`"""

    epoch: Height
    position: Height


class SubmitQuestion(Question[bytes], frozen=True, tag="submit"):
    """`ShardSource.submit`"""

    raw: RawTransaction


class PoolNonceQuestion(Question[int], frozen=True, tag="pool_nonce"):
    """`ShardSource.pool_nonce`"""

    address: AddressBytes


class PooledQuestion(Question[bytes | None], frozen=True, tag="pooled"):
    """`ShardSource.pooled`"""

    tx_hash: HashBytes


class PoolCountsQuestion(Question[PoolCounts], frozen=True, tag="pool_counts"):
    """`ShardSource.pool_counts`"""


class FindMessageQuestion(Question[LaneKey | None], frozen=True, tag="find_message"):
    """`ShardSource.find_message`"""

    message_id: HashBytes


class SentQuestion(Question[MessageAt | None], frozen=True, tag="sent"):
    """`ShardSource.sent`"""

    dst: Shard
    seq: Height


class InFlightQuestion(Question[bytes], frozen=True, tag="in_flight"):
    """`ShardSource.in_flight`"""

    dst: Shard
    start: Height
    stop: Height

    def __post_init__(self) -> None:
        if not 0 <= self.stop - self.start <= MAX_MESSAGES:
            raise ValueError(f"in_flight: 0 to {MAX_MESSAGES} messages can be summed at once")


class SupplyQuestion(Question[Supply], frozen=True, tag="supply"):
    """`ShardSource.supply`"""

    height: Height


@dataclass(frozen=True, slots=True)
class Operation:
    """The type of an operation's result, what an answer may weigh, and how long the asker waits."""

    result: Any
    max_answer: int = 4 * KIB
    timeout: float = FAST


OPERATIONS: dict[type[Question[Any]], Operation] = {
    HeadQuestion: Operation(Height),
    AccountQuestion: Operation(AccountAt, 64 * KIB),
    StorageQuestion: Operation(HashBytes),
    BlockQuestion: Operation(RawBlock, MAX_ANSWER_BYTES, timeout=10.0),
    HeightOfQuestion: Operation(Height | None),
    LegQuestion: Operation(Leg | None, MAX_TRANSACTION_BYTES + 4 * KIB),
    LegsQuestion: Operation(list[Leg | None], MAX_ANSWER_BYTES, timeout=10.0),
    DeliveryQuestion: Operation(Delivery | None),
    CallQuestion: Operation(CallOutcome, MAX_ANSWER_BYTES, timeout=SLOW),
    EstimateQuestion: Operation(CallOutcome, MAX_ANSWER_BYTES, timeout=SLOW),
    AccessListQuestion: Operation(Accessed, MAX_ANSWER_BYTES, timeout=SLOW),
    ProveQuestion: Operation(ProvenAccount, MAX_ANSWER_BYTES, timeout=10.0),
    PoolContentQuestion: Operation(PoolDump, MAX_ANSWER_BYTES, timeout=10.0),
    PoolNewsQuestion: Operation(PoolNews, 256 * KIB),
    SubmitQuestion: Operation(HashBytes, timeout=10.0),
    PoolNonceQuestion: Operation(Height),
    PooledQuestion: Operation(RawTransaction | None, MAX_TRANSACTION_BYTES + 4 * KIB),
    PoolCountsQuestion: Operation(PoolCounts),
    FindMessageQuestion: Operation(LaneKey | None),
    SentQuestion: Operation(MessageAt | None, 256 * KIB),
    InFlightQuestion: Operation(Amount, timeout=SLOW),
    SupplyQuestion: Operation(Supply, timeout=SLOW),
}


class _Result(msgspec.Struct, frozen=True, tag="ok"):
    result: msgspec.Raw


class _Refusal(msgspec.Struct, frozen=True, tag="refused"):
    message: Annotated[str, msgspec.Meta(max_length=4096)]
    code: Annotated[int, msgspec.Meta(ge=-(1 << 31), lt=1 << 31)]


class _Unavailable(msgspec.Struct, frozen=True, tag="unavailable"):
    message: Annotated[str, msgspec.Meta(max_length=4096)]


class _Failure(msgspec.Struct, frozen=True, tag="failed"):
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


def decode_question(payload: bytes) -> Question[Any]:
    """Raises DecodeError."""
    if len(payload) > MAX_QUESTION_BYTES:
        raise DecodeError(f"shard query: {len(payload)} bytes, at most {MAX_QUESTION_BYTES}")
    try:
        question: Question[Any] = _question_decoder.decode(payload)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise DecodeError(f"shard query: {error}") from None
    return question


def decode_answer(question: Question[T], payload: bytes) -> T:
    """The result. Raises Refused, ShardUnavailable, or DecodeError where it is no answer to `question`."""
    operation = OPERATIONS[type(question)]
    if len(payload) > operation.max_answer:
        raise DecodeError(f"shard answer: {len(payload)} bytes, at most {operation.max_answer}")
    try:
        match _answer_decoder.decode(payload):
            case _Result(result):
                value: T = _result_decoder(type(question)).decode(result)
            case _Refusal(message, code):
                raise Refused(message, code)
            case _Unavailable(message):
                raise ShardUnavailable(message)
            case _Failure():
                raise ShardUnavailable("the node that was asked had an internal error")
    except (msgspec.MsgspecError, RecursionError) as error:
        raise DecodeError(f"shard answer: {error}") from None
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


async def serve(source: ShardSource, payload: bytes) -> bytes:
    """Answer a question from the network out of `source`. Never raises (but can be cancelled)."""
    try:
        question = decode_question(payload)
    except DecodeError as error:
        return _encode(_Refusal(message=str(error)[:1024], code=INVALID_QUESTION))
    name = question.__struct_config__.tag
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
