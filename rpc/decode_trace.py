"""The options of `debug_trace*`: JSON to `rpc.wire.TraceOptions`. Raises ValueError as `rpc.decode` does."""

import re
from typing import Any

from rpc.decode import as_object, boolean, member, optional, uint64
from rpc.decode_overrides import block_overrides, state_overrides
from rpc.encoding import json_type
from rpc.times import LONGEST_TRACE
from rpc.wire import NO_OVERRIDES, BlockOverrides, Overrides, TraceOptions

TRACERS = ("callTracer", "prestateTracer", "4byteTracer", "noopTracer")
NO_OPTIONS = (TraceOptions(), NO_OVERRIDES)

_FLAGS = {
    "disableStack": "disable_stack",
    "disableStorage": "disable_storage",
    "enableMemory": "enable_memory",
    "enableReturnData": "enable_return_data",
}
_TRACER_FLAGS = {
    "onlyTopCall": "only_top_call",
    "withLog": "with_log",
    "diffMode": "diff_mode",
}
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")


def trace_options(value: object) -> TraceOptions:
    """The object of `debug_traceTransaction`."""
    members = as_object(value)
    fields: dict[str, Any] = {}
    for name, field in _FLAGS.items():
        if members.get(name) is not None:
            fields[field] = member(name, boolean, members[name])
    config = optional(members, "tracerConfig", as_object) or {}
    for name, field in _TRACER_FLAGS.items():
        if config.get(name) is not None:
            fields[field] = member(f"tracerConfig.{name}", boolean, config[name])
    return TraceOptions(
        tracer=optional(members, "tracer", _tracer) or "",
        timeout=optional(members, "timeout", _timeout) or TraceOptions().timeout,
        limit=optional(members, "limit", uint64) or 0,
        **fields,
    )


def trace_call_options(value: object) -> tuple[TraceOptions, Overrides]:
    """The object of `debug_traceCall`: the same, with overrides."""
    members = as_object(value)
    if members.get("txIndex") is not None:
        raise ValueError("txIndex: a call is traced on the state after a block, not within one")
    accounts = optional(members, "stateOverrides", state_overrides) or {}
    block = optional(members, "blockOverrides", block_overrides) or BlockOverrides()
    return trace_options(value), Overrides(accounts=accounts, block=block)


def _tracer(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected a name, got {json_type(value)}")
    if value and value not in TRACERS:
        raise ValueError(
            f"there is no such tracer: known are {', '.join(TRACERS)}, and the struct logger without a "
            "name; tracers in JavaScript are not run here"
        )
    return value


def _timeout(value: object) -> float:
    """Seconds, of a Go duration such as "5s" or "1m30s"; no more than LONGEST_TRACE."""
    if not isinstance(value, str) or len(value) > 64:
        raise ValueError('expected a duration such as "5s"')
    seconds, end = 0.0, 0
    for part in _DURATION.finditer(value):
        if part.start() != end:
            break
        seconds, end = seconds + float(part[1]) * _UNITS[part[2]], part.end()
    if end != len(value) or not seconds >= 0.001:
        raise ValueError('expected a duration of 1 ms or more, such as "5s" or "300ms"')
    return min(seconds, LONGEST_TRACE)
