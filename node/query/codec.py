"""The shard port as bytes: one request method, a tagged question, an answer in an envelope.

    question   msgpack map {"op": name, ...fields of the question}
    answer     {"type": "ok", "result": ...} | {"type": "refused", "message", "code"}
               | {"type": "unavailable", "message"} | {"type": "failed"}

`questions.QUESTIONS` is the whole language. What is larger than its question can need is not decoded at all.
"""

from functools import cache, partial
from typing import Annotated, Any, TypeVar, Union

import msgspec
import structlog

from node.primitives.decoding import decoder
from node.primitives.errors import DecodeError
from node.primitives.fields import from_wire, to_wire
from node.query.port import Refused, ShardSource, ShardUnavailable
from node.query.question import KIB, MAX_HEIGHT, Question
from node.query.questions import QUESTIONS
from rpc.threads import SMALL, Threads

log = structlog.get_logger(__name__)

MAX_QUESTION_BYTES = 1024 * KIB
TOO_LARGE = -32003
INVALID_QUESTION = -32602

T = TypeVar("T")


class _Result(msgspec.Struct, frozen=True, tag="ok", forbid_unknown_fields=True):
    result: msgspec.Raw


class _Refusal(msgspec.Struct, frozen=True, tag="refused", forbid_unknown_fields=True):
    message: Annotated[str, msgspec.Meta(max_length=4096)]
    code: Annotated[int, msgspec.Meta(ge=-(1 << 31), lt=1 << 31)]


class _Unavailable(msgspec.Struct, frozen=True, tag="unavailable", forbid_unknown_fields=True):
    message: Annotated[str, msgspec.Meta(max_length=4096)]


class _Failure(msgspec.Struct, frozen=True, tag="failed", forbid_unknown_fields=True):
    """A bug on the answering side; its log has the details."""


_encode = msgspec.msgpack.Encoder(enc_hook=to_wire).encode
_question_decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(
    Union[QUESTIONS],  # a union made from the table
    dec_hook=from_wire,
)
_answer_decoder = msgspec.msgpack.Decoder(_Result | _Refusal | _Unavailable | _Failure)


@cache
def _result_decoder(question: type[Question[Any]]) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(question.answer_type(), dec_hook=from_wire)


def encode_question(question: Question[Any]) -> bytes:
    return _encode(question)


@decoder("shard query")
def decode_question(payload: bytes) -> Question[Any]:
    """Raises DecodeError."""
    if len(payload) > MAX_QUESTION_BYTES:
        raise DecodeError(f"shard query: {len(payload)} bytes, at most {MAX_QUESTION_BYTES}")
    question: Question[Any] = _question_decoder.decode(payload)
    question.check()
    return question


@decoder("shard answer", also=(Refused, ShardUnavailable))
def decode_answer(question: Question[T], payload: bytes) -> T:
    """The result. Raises Refused, ShardUnavailable, or DecodeError where it is no answer to `question`."""
    if len(payload) > question.largest:
        raise DecodeError(f"shard answer: {len(payload)} bytes, at most {question.largest}")
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
    if executes not in (None, question.executes):
        message = f"{question.op()}: asked in the wrong queue"
        return _encode(_Refusal(message=message, code=INVALID_QUESTION))
    try:
        result = await source.ask(question)
        answer = _encode(_Result(result=msgspec.Raw(_encode(result))))
    except Refused as refusal:
        return _encode(_Refusal(message=str(refusal)[:1024], code=refusal.code))
    except ShardUnavailable as error:
        return _encode(_Unavailable(message=str(error)[:1024]))
    except Exception:
        log.exception("shard query failed", op=question.op())
        return _encode(_Failure())
    if len(answer) > question.largest:
        return _encode(_Refusal(message="the answer is too large", code=TOO_LARGE))
    return answer
