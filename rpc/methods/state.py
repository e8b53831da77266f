"""State at a block, simulated calls, and fees."""

from typing import Any

import trio

from rpc import decode, decode_overrides, decode_simulate, render
from rpc.encoding import data, parse_storage_slot
from rpc.errors import RpcError, ServerError
from rpc.methods.table import ADDRESS, LATEST, REQUEST, Context, Method, ask
from rpc.params import Param
from rpc.threads import FEW
from rpc.times import EXECUTE
from rpc.wire import (
    NO_OVERRIDES,
    AccountOverride,
    BlockOverrides,
    BlockRef,
    CallRequest,
    Overrides,
    SimulateRequest,
)

MAX_SIMULATED_BLOCKS = 256
TOO_MUCH = -38026  # eth_simulateV1's code for "client adjustable limit exceeded"
MAX_FEE_HISTORY = 1024  # blocks of one eth_feeHistory; execution-apis lets a node return fewer


async def _storage_values(
    c: Context, requests: tuple[tuple[bytes, tuple[int, ...]], ...], ref: BlockRef
) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for address, slots in requests:
        found = values[data(address)] = []
        for slot in slots:
            found.append(data(await c.chain.storage_at(address, slot, ref)))
            if len(found) % FEW == 0:
                await trio.lowlevel.checkpoint()
    return values


async def _proof(
    c: Context, address: bytes, slots: tuple[int, ...], ref: BlockRef
) -> dict[str, Any]:
    proof = await c.chain.proof(address, slots, ref)
    return await c.aside.run_if(len(slots) > FEW, lambda: render.account_proof(proof))


def _overrides(
    accounts: dict[bytes, AccountOverride] | None, block: BlockOverrides | None
) -> Overrides:
    if accounts is None and block is None:
        return NO_OVERRIDES
    return Overrides(accounts=accounts or {}, block=block or NO_OVERRIDES.block)


async def _call(
    c: Context,
    request: CallRequest,
    ref: BlockRef,
    accounts: dict[bytes, AccountOverride] | None,
    block: BlockOverrides | None,
) -> str:
    output = await c.chain.call(request, ref, _overrides(accounts, block))
    return data(output)


async def _estimate_gas(
    c: Context,
    request: CallRequest,
    ref: BlockRef,
    accounts: dict[bytes, AccountOverride] | None,
    block: BlockOverrides | None,
) -> str:
    return hex(await c.chain.estimate_gas(request, ref, _overrides(accounts, block)))


async def _create_access_list(
    c: Context,
    request: CallRequest,
    ref: BlockRef,
    accounts: dict[bytes, AccountOverride] | None,
) -> dict[str, Any]:
    overrides = _overrides(accounts, None)
    made = await c.chain.create_access_list(request, ref, overrides)
    return await c.aside.run(lambda: render.access_list_result(made))


async def _simulate(c: Context, request: SimulateRequest, ref: BlockRef) -> list[dict[str, Any]]:
    if len(request.blocks) > MAX_SIMULATED_BLOCKS:
        raise RpcError(TOO_MUCH, f"too many blocks: at most {MAX_SIMULATED_BLOCKS}")
    if sum(len(block.calls) for block in request.blocks) > decode_simulate.MAX_CALLS:
        raise RpcError(TOO_MUCH, f"too many calls: at most {decode_simulate.MAX_CALLS}")
    blocks = await c.chain.simulate(request, ref)
    return await c.aside.run(lambda: [render.simulated_block(block) for block in blocks])


async def _base_fee(c: Context) -> str:
    """The base fee of the next block (geth's and the specification's `eth_baseFee`)."""
    history = await c.chain.fee_history(1, "latest", ())
    return hex(history.base_fee_per_gas[-1])


async def _blob_base_fee(c: Context) -> str:
    head = await c.chain.block("latest", False)
    if head is None:
        raise ServerError("header not found")
    return hex(blob_base_fee(head.excess_blob_gas or 0))


async def _fee_history(
    c: Context, count: int, newest: BlockRef, percentiles: tuple[float, ...]
) -> Any:
    if count == 0:  # geth's answer; a range of no blocks has no oldest one
        return {"oldestBlock": "0x0", "gasUsedRatio": [], "baseFeePerGas": []}
    history = await c.chain.fee_history(min(count, MAX_FEE_HISTORY), newest, percentiles)
    blocks = len(history.gas_used_ratio)  # none of which carries blobs
    rendered = await c.aside.run_if(blocks > FEW, lambda: render.fee_history(history))
    return rendered | {
        "baseFeePerBlobGas": [hex(blob_base_fee(0))] * (blocks + 1),
        "blobGasUsedRatio": [0] * blocks,
    }


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


_STATE = Param("state overrides", decode_overrides.state_overrides, None)
_BLOCK = Param("block overrides", decode_overrides.block_overrides, None)

METHODS: dict[str, Method] = {
    "eth_getBalance": Method((ADDRESS, LATEST), ask(lambda c: c.chain.balance, hex)),
    "eth_getCode": Method((ADDRESS, LATEST), ask(lambda c: c.chain.code, data)),
    "eth_getStorageAt": Method(
        (ADDRESS, Param("storage slot", parse_storage_slot), LATEST),
        ask(lambda c: c.chain.storage_at, data),
    ),
    "eth_getStorageValues": Method(
        (Param("requests", decode.storage_requests), LATEST), _storage_values
    ),
    "eth_getTransactionCount": Method(
        (ADDRESS, LATEST), ask(lambda c: c.chain.transaction_count, hex)
    ),
    "eth_getProof": Method(
        (ADDRESS, Param("storage keys", decode.storage_slots), LATEST), _proof, EXECUTE
    ),
    "eth_call": Method((REQUEST, LATEST, _STATE, _BLOCK), _call, EXECUTE),
    "eth_estimateGas": Method((REQUEST, LATEST, _STATE, _BLOCK), _estimate_gas, EXECUTE),
    "eth_createAccessList": Method((REQUEST, LATEST, _STATE), _create_access_list, EXECUTE),
    "eth_simulateV1": Method(
        (Param("payload", decode_simulate.simulate_request), LATEST), _simulate, EXECUTE
    ),
    "eth_gasPrice": Method((), ask(lambda c: c.chain.gas_price, hex)),
    "eth_maxPriorityFeePerGas": Method((), ask(lambda c: c.chain.max_priority_fee, hex)),
    "eth_baseFee": Method((), _base_fee),
    "eth_blobBaseFee": Method((), _blob_base_fee),
    "eth_feeHistory": Method(
        (
            Param("block count", decode.count),
            Param("newest block", decode.block_number),
            Param("reward percentiles", decode.percentiles, ()),
        ),
        _fee_history,
        EXECUTE,
    ),
}
