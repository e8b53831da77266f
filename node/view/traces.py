"""Traces of executions, each by a node of the shard that ran it."""

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec

from node.concurrency.gather import gather
from node.query.call_specs import TracedItem, TraceSpec
from node.query.questions import TraceCallQuestion, TraceItemsQuestion
from node.query.tracers import unpack_items, unpack_one
from node.view.entries import Entry
from node.view.ports import Listing
from node.view.reasons import reason_in
from node.view.shards import Shards
from rpc.encoding import data
from rpc.errors import ServerError
from rpc.wire import BlockHash, BlockRef, CallRequest, Overrides, TraceOptions

SHARDS_AT_ONCE = 4


class Traces:
    """The answers of `debug_trace*`; the results are JSON that needs no further encoding."""

    def __init__(self, chain: Listing, shards: Shards) -> None:
        self._chain = chain
        self._shards = shards
        self._in_thread = shards.aside.run

    async def transaction(self, tx_hash: bytes, options: TraceOptions) -> msgspec.Raw:
        """Raises ServerError for a transaction that no block of the view lists."""
        return (await self._entries([await self._entry(tx_hash)], options))[0]

    async def reason(self, tx_hash: bytes) -> dict[str, Any] | None:
        """The reason why a transaction failed (`node.view.reasons`). Raises as `transaction` does."""
        entry = await self._entry(tx_hash)
        shard, height = entry.place.shard, entry.place.height
        (trace,) = await self._items(
            shard, height, [entry], _spec(TraceOptions(tracer="callTracer"))
        )
        with self._shards.source(shard):  # it is the trace of another node
            found = await self._in_thread(partial(reason_in, bytes(trace)))
        return None if found is None else found.document()

    async def _entry(self, tx_hash: bytes) -> Entry:
        found = await self._chain.locate(tx_hash)
        if found is None:
            raise ServerError("transaction not found")
        block, index = found
        return block.entries[index]

    async def block(self, ref: BlockRef, options: TraceOptions) -> list[dict[str, Any]]:
        """A trace for each transaction of a block. Raises ServerError for an unknown block."""
        _refuse_pending(ref)
        number = await self._chain.number_of(ref)
        if number is None:
            raise ServerError(f"block {_name(ref)} not found")
        if number == 0:
            raise ServerError("genesis is not traceable")
        entries = (await self._chain.listed(number)).entries
        traces = await self._entries(entries, options)
        return [
            {"txHash": data(entry.hash), "result": trace}
            for entry, trace in zip(entries, traces, strict=True)
        ]

    async def call(
        self,
        request: CallRequest,
        ref: BlockRef,
        overrides: Overrides,
        options: TraceOptions,
    ) -> msgspec.Raw:
        _refuse_pending(ref)
        it = await self._chain.place_call(request, ref, overrides)
        question = TraceCallQuestion(
            height=it.height, beacon=it.block, spec=it.call, trace=_spec(options)
        )
        with self._shards.source(it.shard, question.patience) as source:
            return await self._in_thread(partial(unpack_one, await source.ask(question)))

    async def _entries(
        self, entries: Sequence[Entry], options: TraceOptions
    ) -> tuple[msgspec.Raw, ...]:
        """In the order of `entries`; each shard block is run again once."""
        blocks: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
        for at, entry in enumerate(entries):
            blocks[entry.place.shard, entry.place.height].append(at)
        trace = _spec(options)
        parts = await gather(
            [
                partial(self._items, shard, height, [entries[at] for at in wanted], trace)
                for (shard, height), wanted in blocks.items()
            ],
            SHARDS_AT_ONCE,
        )
        out: dict[int, msgspec.Raw] = {}
        for wanted, found in zip(blocks.values(), parts, strict=True):
            out.update(zip(wanted, found, strict=True))
        return tuple(out[at] for at in range(len(entries)))

    async def _items(
        self, shard: int, height: int, entries: list[Entry], trace: TraceSpec
    ) -> list[msgspec.Raw]:
        items = [TracedItem(index=e.place.index, paid=e.gas_before) for e in entries]
        question = TraceItemsQuestion(height=height, items=items, trace=trace)
        with self._shards.source(shard, question.patience) as source:
            packed = await source.ask(question)
            return await self._in_thread(partial(unpack_items, packed, len(items)))


def _spec(options: TraceOptions) -> TraceSpec:
    return TraceSpec(
        tracer=options.tracer,
        milliseconds=int(options.timeout * 1000),
        limit=options.limit,
        stack=not options.disable_stack,
        storage=not options.disable_storage,
        memory=options.enable_memory,
        return_data=options.enable_return_data,
        only_top_call=options.only_top_call,
        with_log=options.with_log,
        diff_mode=options.diff_mode,
    )


def _refuse_pending(ref: BlockRef) -> None:
    if ref == "pending":
        raise ServerError("tracing on top of pending is not supported")


def _name(ref: BlockRef) -> str:
    return data(ref.hash) if isinstance(ref, BlockHash) else f"#{ref}"
