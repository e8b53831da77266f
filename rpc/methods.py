"""The methods: name -> parameters -> a call of the backend -> JSON.

`METHODS` is the whole surface of the endpoint. A handler gets the backend, the scope of the endpoint
(None for the network view, else a shard) and the bound arguments, and returns what the encoder can
write. Optional trailing arguments default as in geth; the block, where there is one, to "latest".
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from eth_hash.auto import keccak

from rpc import decode, render
from rpc.backend import Backend
from rpc.encoding import parse_address, parse_data, parse_hash, parse_storage_slot
from rpc.errors import MethodNotFound, ServerError
from rpc.params import Param
from rpc.wire import BlockHash, BlockRef, CallRequest, LogFilter

Scope: TypeAlias = int | None
Handler: TypeAlias = Callable[..., Awaitable[Any]]

MAX_FEE_HISTORY = 1024  # blocks of one eth_feeHistory; execution-apis lets a node return fewer


@dataclass(frozen=True, slots=True)
class Method:
    """A method of the endpoint."""

    params: tuple[Param, ...]
    handler: Handler


async def _client_version(b: Backend, _: Scope) -> str:
    return await b.client_version()


async def _sha3(_b: Backend, _: Scope, payload: bytes) -> str:
    return "0x" + keccak(payload).hex()


async def _net_version(b: Backend, _: Scope) -> str:
    return str(await b.network_id())


async def _listening(b: Backend, _: Scope) -> bool:
    return await b.listening()


async def _peer_count(b: Backend, _: Scope) -> str:
    return hex(await b.peer_count())


async def _chain_id(b: Backend, _: Scope) -> str:
    return hex(await b.chain_id())


async def _syncing(b: Backend, scope: Scope) -> Any:
    progress = await b.syncing(scope)
    if progress is None:
        return False
    return {k: hex(v) if type(v) is int else v for k, v in progress.items()}


async def _block_number(b: Backend, scope: Scope) -> str:
    return hex(await b.block_number(scope))


async def _block_by_number(b: Backend, scope: Scope, ref: BlockRef, full: bool) -> Any:
    view = await b.block_by_number(scope, ref, full)
    return None if view is None else render.block(view)


async def _block_by_hash(b: Backend, scope: Scope, block_hash: bytes, full: bool) -> Any:
    view = await b.block_by_hash(scope, block_hash, full)
    return None if view is None else render.block(view)


async def _transaction_count_of_block(b: Backend, scope: Scope, ref: BlockRef) -> str | None:
    number = await b.block_transaction_count(scope, ref)
    return None if number is None else hex(number)


async def _uncle_count(b: Backend, scope: Scope, ref: BlockRef) -> str | None:
    # There are no uncles with single-block finality; the block still has to exist.
    return None if await b.block_transaction_count(scope, ref) is None else "0x0"


async def _transaction_at(b: Backend, scope: Scope, ref: BlockRef, index: int) -> Any:
    view = await b.transaction_by_block_and_index(scope, ref, index)
    return None if view is None else render.transaction(view)


async def _balance(b: Backend, scope: Scope, address: bytes, ref: BlockRef) -> str:
    return hex(await b.balance(scope, address, ref))


async def _code(b: Backend, scope: Scope, address: bytes, ref: BlockRef) -> str:
    return "0x" + (await b.code(scope, address, ref)).hex()


async def _storage_at(b: Backend, scope: Scope, address: bytes, slot: int, ref: BlockRef) -> str:
    return "0x" + (await b.storage_at(scope, address, slot, ref)).hex()


async def _transaction_count(b: Backend, scope: Scope, address: bytes, ref: BlockRef) -> str:
    return hex(await b.transaction_count(scope, address, ref))


async def _call(
    b: Backend, scope: Scope, request: CallRequest, ref: BlockRef, *_overrides: None
) -> str:
    return "0x" + (await b.call(scope, request, ref)).hex()


async def _estimate_gas(
    b: Backend, scope: Scope, request: CallRequest, ref: BlockRef, *_overrides: None
) -> str:
    return hex(await b.estimate_gas(scope, request, ref))


async def _gas_price(b: Backend, scope: Scope) -> str:
    return hex(await b.gas_price(scope))


async def _max_priority_fee(b: Backend, scope: Scope) -> str:
    return hex(await b.max_priority_fee(scope))


async def _blob_base_fee(b: Backend, scope: Scope) -> str:
    head = await b.block_by_number(scope, "latest", False)
    if head is None:
        raise ServerError("header not found")
    return hex(blob_base_fee(head.excess_blob_gas or 0))


async def _fee_history(
    b: Backend, scope: Scope, count: int, newest: BlockRef, percentiles: tuple[float, ...]
) -> Any:
    if count == 0:  # geth's answer; a range of no blocks has no oldest one
        return {"oldestBlock": "0x0", "gasUsedRatio": [], "baseFeePerGas": []}
    history = await b.fee_history(scope, min(count, MAX_FEE_HISTORY), newest, percentiles)
    return render.fee_history(history)


async def _send_raw_transaction(b: Backend, scope: Scope, raw: bytes) -> str:
    return "0x" + (await b.send_raw_transaction(scope, raw)).hex()


async def _transaction_by_hash(b: Backend, scope: Scope, transaction_hash: bytes) -> Any:
    view = await b.transaction_by_hash(scope, transaction_hash)
    return None if view is None else render.transaction(view)


async def _transaction_receipt(b: Backend, scope: Scope, transaction_hash: bytes) -> Any:
    view = await b.transaction_receipt(scope, transaction_hash)
    return None if view is None else render.receipt(view)


async def _block_receipts(b: Backend, scope: Scope, ref: BlockRef) -> Any:
    views = await b.block_receipts(scope, ref)
    return None if views is None else [render.receipt(view) for view in views]


async def _logs(b: Backend, scope: Scope, wanted: LogFilter) -> Any:
    return [render.log(view) for view in await b.logs(scope, wanted)]


async def _accounts(b: Backend, _: Scope) -> list[str]:
    return ["0x" + address.hex() for address in await b.accounts()]


async def _home(b: Backend, _: Scope, address: bytes) -> str:
    return hex(await b.home(address))


async def _shards(b: Backend, _: Scope) -> Any:
    return await b.shards()


async def _message(b: Backend, _: Scope, message_id: bytes) -> Any:
    return await b.message(message_id)


async def _audit(b: Backend, _: Scope, ref: BlockRef) -> Any:
    return await b.audit(ref)


async def _status(b: Backend, _: Scope) -> Any:
    return await b.status()


def blob_base_fee(excess_blob_gas: int) -> int:
    """Wei per blob gas: EIP-4844 `get_base_fee_per_blob_gas` with the Prague update fraction of EIP-7691.
    One wei on a network that never carries blobs."""
    factor, denominator = 1, 5007716
    total, term, i = 0, factor * denominator, 1
    while term > 0:
        total += term
        term = term * excess_blob_gas // (denominator * i)
        i += 1
    return total // denominator


def _hash_ref(value: object) -> BlockRef:
    return BlockHash(parse_hash(value))


_NUMBER = Param("block", decode.block_number)
_BLOCK = Param("block", decode.block_ref)
_LATEST = Param("block", decode.block_ref, "latest")
_BLOCK_HASH = Param("block hash", parse_hash)
_BY_HASH = Param("block hash", _hash_ref)
_FULL = Param("full transactions", decode.boolean, False)
_ADDRESS = Param("address", parse_address)
_HASH = Param("transaction hash", parse_hash)
_INDEX = Param("index", decode.uint64)
_REQUEST = Param("transaction", decode.call_request)
_STATE_OVERRIDES = Param("state overrides", decode.no_overrides, None)
_BLOCK_OVERRIDES = Param("block overrides", decode.no_overrides, None)

METHODS: dict[str, Method] = {
    "web3_clientVersion": Method((), _client_version),
    "web3_sha3": Method((Param("data", parse_data),), _sha3),
    "net_version": Method((), _net_version),
    "net_listening": Method((), _listening),
    "net_peerCount": Method((), _peer_count),
    "eth_chainId": Method((), _chain_id),
    "eth_syncing": Method((), _syncing),
    "eth_blockNumber": Method((), _block_number),
    "eth_getBlockByNumber": Method((_NUMBER, _FULL), _block_by_number),
    "eth_getBlockByHash": Method((_BLOCK_HASH, _FULL), _block_by_hash),
    "eth_getBlockTransactionCountByNumber": Method((_NUMBER,), _transaction_count_of_block),
    "eth_getBlockTransactionCountByHash": Method((_BY_HASH,), _transaction_count_of_block),
    "eth_getTransactionByBlockNumberAndIndex": Method((_NUMBER, _INDEX), _transaction_at),
    "eth_getTransactionByBlockHashAndIndex": Method((_BY_HASH, _INDEX), _transaction_at),
    "eth_getUncleCountByBlockNumber": Method((_NUMBER,), _uncle_count),
    "eth_getUncleCountByBlockHash": Method((_BY_HASH,), _uncle_count),
    "eth_getBalance": Method((_ADDRESS, _LATEST), _balance),
    "eth_getCode": Method((_ADDRESS, _LATEST), _code),
    "eth_getStorageAt": Method(
        (_ADDRESS, Param("storage slot", parse_storage_slot), _LATEST), _storage_at
    ),
    "eth_getTransactionCount": Method((_ADDRESS, _LATEST), _transaction_count),
    "eth_call": Method((_REQUEST, _LATEST, _STATE_OVERRIDES, _BLOCK_OVERRIDES), _call),
    "eth_estimateGas": Method(
        (_REQUEST, _LATEST, _STATE_OVERRIDES, _BLOCK_OVERRIDES), _estimate_gas
    ),
    "eth_gasPrice": Method((), _gas_price),
    "eth_maxPriorityFeePerGas": Method((), _max_priority_fee),
    "eth_blobBaseFee": Method((), _blob_base_fee),
    "eth_feeHistory": Method(
        (
            Param("block count", decode.count),
            Param("newest block", decode.block_number),
            Param("reward percentiles", decode.percentiles, ()),
        ),
        _fee_history,
    ),
    "eth_sendRawTransaction": Method((Param("transaction", parse_data),), _send_raw_transaction),
    "eth_getTransactionByHash": Method((_HASH,), _transaction_by_hash),
    "eth_getTransactionReceipt": Method((_HASH,), _transaction_receipt),
    "eth_getBlockReceipts": Method((_BLOCK,), _block_receipts),
    "eth_getLogs": Method((Param("filter", decode.log_filter),), _logs),
    "eth_accounts": Method((), _accounts),
    "atoll_home": Method((_ADDRESS,), _home),
    "atoll_shards": Method((), _shards),
    "atoll_message": Method((Param("message id", parse_hash),), _message),
    "atoll_audit": Method((_LATEST,), _audit),
    "atoll_status": Method((), _status),
}


def lookup(name: str) -> Method:
    """The method of that name. Raises MethodNotFound."""
    method = METHODS.get(name)
    if method is None:
        raise MethodNotFound(name if len(name) <= 100 else name[:100] + "...")
    return method
