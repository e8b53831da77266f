"""The search for logs in a range of blocks (eth_getLogs): blooms say which blocks are worth reading."""

from collections.abc import Sequence
from functools import partial
from typing import Protocol

import trio

from node.concurrency.gather import gather
from node.view import present
from node.view.entries import ListedBlock
from node.view.log_query import MAX_LOGS, LogQuery
from rpc.errors import LimitExceeded
from rpc.threads import FEW, Threads
from rpc.wire import LogFilter, LogView

MAX_LOG_BLOCKS = 10_000
READ_AHEAD = 8
"""Blocks that are read at a time."""
BREATH = 32
"""Blocks that are scanned before other tasks get their turn."""


class Searched(Protocol):
    """The chain that is searched; see `node.view.chain_view.ChainView`."""

    aside: Threads

    async def listed(self, number: int) -> ListedBlock: ...

    async def blooms_of(self, number: int) -> Sequence[bytes]: ...


async def of_block(chain: Searched, number: int) -> tuple[LogView, ...]:
    """All logs of a block that exists."""
    block = await chain.listed(number)
    every = LogQuery.of(LogFilter())
    large = block.first_log[-1] > FEW
    return tuple(await chain.aside.run_if(large, partial(_matching, [block], every)))


async def search(chain: Searched, first: int, last: int, wanted: LogFilter) -> tuple[LogView, ...]:
    """The logs of blocks `first` to `last`, which exist, that match `wanted`, in chain order. Raises
    LimitExceeded."""
    if last - first >= MAX_LOG_BLOCKS:
        raise LimitExceeded(
            f"block range is too wide: {last - first + 1} blocks, at most {MAX_LOG_BLOCKS}"
        )
    options = sum(len(each) for each in (wanted.addresses, *wanted.topics) if each)
    query = await chain.aside.run_if(options > FEW, lambda: LogQuery.of(wanted))
    candidates = await _candidates(chain, first, last, query)
    out: list[LogView] = []
    for start in range(0, len(candidates), READ_AHEAD):
        numbers = candidates[start : start + READ_AHEAD]
        blocks = await gather([partial(chain.listed, number) for number in numbers])
        large = sum(block.first_log[-1] for block in blocks) > FEW
        out += await chain.aside.run_if(large, partial(_matching, blocks, query))
        if len(out) > MAX_LOGS:
            raise LimitExceeded(f"query returned more than {MAX_LOGS} results")
    return tuple(out)


async def _candidates(chain: Searched, first: int, last: int, query: LogQuery) -> list[int]:
    """The blocks whose blooms say that they may hold a match. A filter with many alternatives is held against
    blooms in a thread."""
    out: list[int] = []
    for start in range(first, last + 1, BREATH):
        numbers = range(start, min(start + BREATH, last + 1))
        rows = [(number, await chain.blooms_of(number)) for number in numbers]
        out += await chain.aside.run_if(query.size > FEW, partial(_may_match, rows, query))
        await trio.lowlevel.checkpoint()
    return out


def _may_match(rows: Sequence[tuple[int, Sequence[bytes]]], query: LogQuery) -> list[int]:
    return [number for number, blooms in rows if any(map(query.may_match, blooms))]


def _matching(blocks: Sequence[ListedBlock], query: LogQuery) -> list[LogView]:
    return [view for block in blocks for view in present.matching_logs(block, query)]
