"""The `debug_` namespace: encodings, and what executions did."""

from typing import Any

from rpc import decode_trace
from rpc.encoding import data
from rpc.errors import ResourceNotFound
from rpc.methods.table import (
    BLOCK,
    BY_HASH,
    HASH,
    LATEST,
    NUMBER,
    REQUEST,
    Context,
    Method,
    ask,
    show,
)
from rpc.params import Param
from rpc.times import EXECUTE
from rpc.wire import BlockRef, CallRequest, Overrides, TraceOptions


async def _raw_block(c: Context, ref: BlockRef) -> str:
    return _found(await c.chain.raw_block(ref))


async def _raw_header(c: Context, ref: BlockRef) -> str:
    return _found(await c.chain.raw_header(ref))


async def _raw_receipts(c: Context, ref: BlockRef) -> list[str]:
    receipts = await c.chain.raw_receipts(ref)
    if receipts is None:
        raise ResourceNotFound("block not found")
    return await c.aside.each(lambda receipt: data(receipt), receipts)


async def _raw_transaction(c: Context, transaction_hash: bytes) -> str:
    raw = await c.chain.raw_transaction(transaction_hash)
    return "0x" if raw is None else data(raw)  # geth's answer for an unknown one


def _found(raw: bytes | None) -> str:
    if raw is None:
        raise ResourceNotFound("block not found")
    return data(raw)


# ---------------------------------------------------------------------- traces


async def _trace_call(
    c: Context, request: CallRequest, ref: BlockRef, config: tuple[TraceOptions, Overrides]
) -> Any:
    options, overrides = config
    return await c.chain.traces.call(request, ref, overrides, options)


_TRACE_BLOCK = ask(lambda c: c.chain.traces.block)
_OPTIONS = Param("trace options", decode_trace.trace_options, TraceOptions())
_CALL_OPTIONS = Param("trace options", decode_trace.trace_call_options, decode_trace.NO_OPTIONS)

METHODS: dict[str, Method] = {
    "debug_getRawBlock": Method((BLOCK,), _raw_block),
    "debug_getRawHeader": Method((BLOCK,), _raw_header),
    "debug_getRawReceipts": Method((BLOCK,), _raw_receipts),
    "debug_getRawTransaction": Method((HASH,), _raw_transaction),
    # A block that is not valid is never decided, and not kept.
    "debug_getBadBlocks": Method((), show(lambda c: [])),
    "debug_traceTransaction": Method(
        (HASH, _OPTIONS), ask(lambda c: c.chain.traces.transaction), EXECUTE
    ),
    "debug_traceBlockByNumber": Method((NUMBER, _OPTIONS), _TRACE_BLOCK, EXECUTE),
    "debug_traceBlockByHash": Method((BY_HASH, _OPTIONS), _TRACE_BLOCK, EXECUTE),
    "debug_traceCall": Method((REQUEST, LATEST, _CALL_OPTIONS), _trace_call, EXECUTE),
}
