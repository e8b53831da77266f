"""Tracers by name, and their results as they travel between nodes: compressed JSON of bounded size."""

import zlib
from collections.abc import Callable
from typing import Any

import msgspec

from node.execution.tracers.trace_calls import CallTracer
from node.execution.tracers.trace_prestate import PrestateTracer
from node.execution.tracers.trace_selectors import SelectorTracer
from node.execution.tracers.trace_steps import StructLogTracer
from node.execution.tracers.tracing import TraceBudget, Tracer
from node.primitives.decoding import decoder
from node.primitives.errors import DecodeError
from node.query.call_specs import TraceSpec
from node.query.port import Refused

MAX_JSON_BYTES = 64 * 1024 * 1024
"""Of one answer, before it is compressed. Traces say the same things again and again: they shrink to a
twentieth."""
LIMIT_EXCEEDED = -32005

_MAKERS: dict[str, Callable[[TraceSpec, TraceBudget], Tracer]] = {
    "": lambda spec, budget: StructLogTracer(
        stack=spec.stack,
        memory=spec.memory,
        storage=spec.storage,
        return_data=spec.return_data,
        steps=spec.limit,
        budget=budget,
    ),
    "callTracer": lambda spec, budget: CallTracer(
        with_logs=spec.with_log, only_top_call=spec.only_top_call, budget=budget
    ),
    "prestateTracer": lambda spec, budget: PrestateTracer(diff=spec.diff_mode, budget=budget),
    "4byteTracer": lambda _spec, _budget: SelectorTracer(),
    "noopTracer": lambda _spec, _budget: Tracer(),
}


def tracer_of(spec: TraceSpec, budget: TraceBudget) -> Tracer:
    """A tracer that serves one transaction. Those of one question share their budget."""
    return _MAKERS[spec.tracer](spec, budget)


def pack(value: Any) -> bytes:
    """Raises Refused for a trace that is too large to be given."""
    text = msgspec.json.encode(value)
    if len(text) > MAX_JSON_BYTES:
        raise Refused(
            f"the trace has more than {MAX_JSON_BYTES} bytes: leave out stack, memory or storage, "
            "or set a limit",
            LIMIT_EXCEEDED,
        )
    return zlib.compress(text, 1)


@decoder("trace")
def unpack(packed: bytes) -> bytes:
    """The JSON. Raises DecodeError if it is not JSON: it may come from another node."""
    inflate = zlib.decompressobj()
    text = inflate.decompress(packed, MAX_JSON_BYTES + 1)
    if len(text) > MAX_JSON_BYTES or not inflate.eof or inflate.unused_data:
        raise DecodeError("trace: too large or cut short")
    return text


@decoder("trace")
def unpack_items(packed: bytes, count: int) -> list[msgspec.Raw]:
    """The JSON of each item. Raises DecodeError."""
    items = _parsed(unpack(packed), list[msgspec.Raw])
    if len(items) != count:
        raise DecodeError("trace: not one for each item")
    return [msgspec.Raw(bytes(item)) for item in items]


@decoder("trace")
def unpack_one(packed: bytes) -> msgspec.Raw:
    """The JSON of a single trace. Raises DecodeError."""
    return msgspec.Raw(bytes(_parsed(unpack(packed), msgspec.Raw)))


def _parsed(text: bytes, kind: Any) -> Any:
    text.decode()  # a text that is passed on unread has to be valid UTF-8
    return msgspec.json.decode(text, type=kind)
