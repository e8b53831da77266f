"""Blocks, transactions, receipts and logs."""

from typing import Any

import trio

from rpc import decode, inclusion, render
from rpc.encoding import data, parse_data
from rpc.errors import RpcError
from rpc.methods.table import (
    BLOCK,
    BLOCK_HASH,
    BY_HASH,
    HASH,
    INDEX,
    NUMBER,
    Context,
    Method,
)
from rpc.params import Param
from rpc.threads import FEW
from rpc.times import EXECUTE, LONGEST_SYNC, SYNC
from rpc.wire import BlockHash, BlockRef, BlockView, LogFilter, ReceiptView


async def _block_number(c: Context) -> str:
    return hex(await c.chain.block_number())


async def _block_by_number(c: Context, ref: BlockRef, full: bool) -> Any:
    view = await c.chain.block(ref, full)
    return None if view is None else await _rendered(c, view)


async def _block_by_hash(c: Context, block_hash: bytes, full: bool) -> Any:
    view = await c.chain.block(BlockHash(block_hash), full)
    return None if view is None else await _rendered(c, view)


async def _rendered(c: Context, view: BlockView) -> Any:
    return await c.aside.run_if(len(view.transactions) > FEW, lambda: render.block(view))


async def _receipt(c: Context, view: ReceiptView) -> dict[str, Any]:
    return await c.aside.run_if(len(view.logs) > FEW, lambda: render.receipt(view))


async def _transaction_count_of_block(c: Context, ref: BlockRef) -> str | None:
    number = await c.chain.block_transaction_count(ref)
    return None if number is None else hex(number)


async def _uncle_count(c: Context, ref: BlockRef) -> str | None:
    # There are no uncles with single-block finality; the block still has to exist.
    return None if await c.chain.block_transaction_count(ref) is None else "0x0"


async def _uncle(_c: Context, _ref: BlockRef, _index: int) -> None:
    return None


async def _transaction_at(c: Context, ref: BlockRef, index: int) -> Any:
    view = await c.chain.transaction_by_block_and_index(ref, index)
    return None if view is None else render.transaction(view)


async def _raw_transaction_at(c: Context, ref: BlockRef, index: int) -> str | None:
    raw = await c.chain.raw_transaction_at(ref, index)
    return None if raw is None else data(raw)


async def _send_raw_transaction(c: Context, raw: bytes) -> str:
    return data(await c.chain.send_raw_transaction(raw))


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


async def _header_by_number(c: Context, ref: BlockRef) -> Any:
    view = await c.chain.block(ref, False)
    return None if view is None else render.header(view)


async def _header_by_hash(c: Context, block_hash: bytes) -> Any:
    view = await c.chain.block(BlockHash(block_hash), False)
    return None if view is None else render.header(view)


async def _transaction_by_hash(c: Context, transaction_hash: bytes) -> Any:
    view = await c.chain.transaction_by_hash(transaction_hash)
    return None if view is None else render.transaction(view)


async def _raw_transaction(c: Context, transaction_hash: bytes) -> str | None:
    raw = await c.chain.raw_transaction(transaction_hash)
    return None if raw is None else data(raw)


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

METHODS: dict[str, Method] = {
    "eth_blockNumber": Method((), _block_number, brief=True),
    "eth_getBlockByNumber": Method((NUMBER, _FULL), _block_by_number),
    "eth_getBlockByHash": Method((BLOCK_HASH, _FULL), _block_by_hash),
    "eth_getBlockTransactionCountByNumber": Method((NUMBER,), _transaction_count_of_block),
    "eth_getBlockTransactionCountByHash": Method((BY_HASH,), _transaction_count_of_block),
    "eth_getTransactionByBlockNumberAndIndex": Method((NUMBER, INDEX), _transaction_at),
    "eth_getTransactionByBlockHashAndIndex": Method((BY_HASH, INDEX), _transaction_at),
    "eth_getRawTransactionByBlockNumberAndIndex": Method((NUMBER, INDEX), _raw_transaction_at),
    "eth_getRawTransactionByBlockHashAndIndex": Method((BY_HASH, INDEX), _raw_transaction_at),
    "eth_getUncleCountByBlockNumber": Method((NUMBER,), _uncle_count),
    "eth_getUncleCountByBlockHash": Method((BY_HASH,), _uncle_count),
    "eth_getUncleByBlockNumberAndIndex": Method((NUMBER, INDEX), _uncle),
    "eth_getUncleByBlockHashAndIndex": Method((BY_HASH, INDEX), _uncle),
    "eth_getHeaderByNumber": Method((NUMBER,), _header_by_number),
    "eth_getHeaderByHash": Method((BLOCK_HASH,), _header_by_hash),
    "eth_sendRawTransaction": Method((_RAW,), _send_raw_transaction, brief=True, sends=True),
    "eth_sendRawTransactionSync": Method(
        (_RAW, Param("milliseconds", decode.uint64, None)), _send_raw_transaction_sync, EXECUTE
    ),
    "eth_getTransactionByHash": Method((HASH,), _transaction_by_hash),
    "eth_getRawTransactionByHash": Method((HASH,), _raw_transaction),
    "eth_getTransactionReceipt": Method((HASH,), _transaction_receipt, brief=True),
    "eth_getBlockReceipts": Method((BLOCK,), _block_receipts),
    "eth_getLogs": Method((Param("filter", decode.log_filter),), _logs, EXECUTE),
}
