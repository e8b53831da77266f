"""Blocks, transactions, receipts and logs."""

from typing import Any

import trio

from rpc import decode, inclusion, render
from rpc.encoding import data, parse_data
from rpc.errors import RpcError
from rpc.methods.table import (
    BLOCK,
    BY_HASH,
    HASH,
    INDEX,
    NUMBER,
    Context,
    Method,
    ask,
)
from rpc.params import Param
from rpc.threads import FEW
from rpc.times import EXECUTE, LONGEST_SYNC, SYNC
from rpc.wire import BlockRef, LogFilter, ReceiptView


async def _block(c: Context, ref: BlockRef, full: bool) -> Any:
    view = await c.chain.block(ref, full)
    if view is None:
        return None
    return await c.aside.run_if(len(view.transactions) > FEW, lambda: render.block(view))


async def _receipt(c: Context, view: ReceiptView) -> dict[str, Any]:
    return await c.aside.run_if(len(view.logs) > FEW, lambda: render.receipt(view))


async def _uncle(_c: Context, _ref: BlockRef, _index: int) -> None:
    return None


async def _send_raw_transaction_sync(
    c: Context, raw: bytes, milliseconds: int | None
) -> dict[str, Any]:
    """The receipt, as soon as there is one (EIP-7966). A time that is too long is cut."""
    longest = SYNC if milliseconds is None else milliseconds / 1000
    seconds = min(longest, LONGEST_SYNC)
    transaction_hash = await c.chain.send_raw_transaction(raw)
    with trio.move_on_after(seconds):
        return await _receipt(c, await inclusion.receipt(c.chain, transaction_hash))
    raise RpcError(
        NOT_YET_INCLUDED,
        f"the transaction was added to the transaction pool, but no block had it within {seconds:g} s",
        data(transaction_hash),
    )


async def _header(c: Context, ref: BlockRef) -> Any:
    view = await c.chain.block(ref, False)
    return None if view is None else render.header(view)


async def _transaction_receipt(c: Context, transaction_hash: bytes) -> Any:
    view = await c.chain.transaction_receipt(transaction_hash)
    return None if view is None else await _receipt(c, view)


async def _block_receipts(c: Context, ref: BlockRef) -> Any:
    views = await c.chain.block_receipts(ref)
    if views is None:
        return None
    logs = sum(len(view.logs) for view in views)
    return await c.aside.run_if(
        len(views) + logs > FEW, lambda: [render.receipt(view) for view in views]
    )


async def _logs(c: Context, wanted: LogFilter) -> Any:
    return await c.aside.each(render.log, await c.chain.logs(wanted))


NOT_YET_INCLUDED = 4  # EIP-7966

_RAW = Param("transaction", parse_data)
_FULL = Param("full transactions", decode.boolean, False)
_COUNT = ask(lambda c: c.chain.block_transaction_count, hex)
# There are no uncles with single-block finality; the block still has to exist.
_UNCLES = ask(lambda c: c.chain.block_transaction_count, lambda count: "0x0")
_AT = ask(lambda c: c.chain.transaction_by_block_and_index, render.transaction)
_RAW_AT = ask(lambda c: c.chain.raw_transaction_at, data)

METHODS: dict[str, Method] = {
    "eth_blockNumber": Method((), ask(lambda c: c.chain.block_number, hex), brief=True),
    "eth_getBlockByNumber": Method((NUMBER, _FULL), _block),
    "eth_getBlockByHash": Method((BY_HASH, _FULL), _block),
    "eth_getBlockTransactionCountByNumber": Method((NUMBER,), _COUNT),
    "eth_getBlockTransactionCountByHash": Method((BY_HASH,), _COUNT),
    "eth_getTransactionByBlockNumberAndIndex": Method((NUMBER, INDEX), _AT),
    "eth_getTransactionByBlockHashAndIndex": Method((BY_HASH, INDEX), _AT),
    "eth_getRawTransactionByBlockNumberAndIndex": Method((NUMBER, INDEX), _RAW_AT),
    "eth_getRawTransactionByBlockHashAndIndex": Method((BY_HASH, INDEX), _RAW_AT),
    "eth_getUncleCountByBlockNumber": Method((NUMBER,), _UNCLES),
    "eth_getUncleCountByBlockHash": Method((BY_HASH,), _UNCLES),
    "eth_getUncleByBlockNumberAndIndex": Method((NUMBER, INDEX), _uncle),
    "eth_getUncleByBlockHashAndIndex": Method((BY_HASH, INDEX), _uncle),
    "eth_getHeaderByNumber": Method((NUMBER,), _header),
    "eth_getHeaderByHash": Method((BY_HASH,), _header),
    "eth_sendRawTransaction": Method(
        (_RAW,), ask(lambda c: c.chain.send_raw_transaction, data), brief=True, sends=True
    ),
    "eth_sendRawTransactionSync": Method(
        (_RAW, Param("milliseconds", decode.uint64, None)), _send_raw_transaction_sync, EXECUTE
    ),
    "eth_getTransactionByHash": Method(
        (HASH,), ask(lambda c: c.chain.transaction_by_hash, render.transaction)
    ),
    "eth_getRawTransactionByHash": Method((HASH,), ask(lambda c: c.chain.raw_transaction, data)),
    "eth_getTransactionReceipt": Method((HASH,), _transaction_receipt, brief=True),
    "eth_getBlockReceipts": Method((BLOCK,), _block_receipts),
    "eth_getLogs": Method((Param("filter", decode.log_filter),), _logs, EXECUTE),
}
