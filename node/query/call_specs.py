"""What is to be simulated, between the shard port and the execution."""

from dataclasses import replace
from typing import Any

from node.execution.evm.overrides import StateOverride
from node.execution.evm.simulate import SimulatedCall
from node.execution.frame.context import BlockContext
from node.primitives import rlp
from node.primitives.basics import Address, Hash32
from node.primitives.transaction import AccessList, Authorization, Transaction
from node.query.port import (
    AccountPatch,
    BlockCall,
    BlockPatch,
    BlockReport,
    BlockSpec,
    CalledReport,
    CallOutcome,
    CallSpec,
)
from node.shard.simulated import Block, Call, Called, Simulated

REVERTED = "execution reverted"


def call_of(spec: CallSpec, gas: int) -> SimulatedCall:
    return SimulatedCall(
        sender=Address(spec.sender),
        to=Address(spec.to) if spec.to is not None else None,
        value=int.from_bytes(spec.value, "big"),
        data=spec.data,
        gas=gas,
        gas_price=int.from_bytes(spec.gas_price, "big"),
        access_list=_access_list(spec),
        authorizations=authorizations_of(spec),
        arrives=spec.credit,
    )


def authorizations_of(spec: CallSpec) -> tuple[Authorization, ...]:
    return tuple(
        Authorization(
            chain_id=int.from_bytes(item.chain_id, "big"),
            address=Address(item.address),
            nonce=item.nonce,
            y_parity=item.y_parity,
            r=int.from_bytes(item.r, "big"),
            s=int.from_bytes(item.s, "big"),
        )
        for item in spec.authorizations
    )


def _access_list(spec: CallSpec) -> AccessList:
    return tuple(
        (Address(address), tuple(int.from_bytes(key, "big") for key in keys))
        for address, keys in spec.access_list
    )


def overrides_of(patches: list[AccountPatch]) -> dict[Address, StateOverride]:
    out = {}
    for patch in patches:
        words = {
            int.from_bytes(slot, "big"): int.from_bytes(value, "big")
            for slot, value in patch.storage
        }
        out[Address(patch.address)] = StateOverride(
            balance=None if patch.balance is None else int.from_bytes(patch.balance, "big"),
            nonce=patch.nonce,
            code=patch.code,
            state=words if patch.replace_storage else None,
            state_diff=None if patch.replace_storage else words,
            moved_to=None if patch.moved_to is None else Address(patch.moved_to),
        )
    return out


def patched(context: BlockContext, patch: BlockPatch) -> BlockContext:
    return replace(context, **_changes(patch))


def _changes(patch: BlockPatch) -> dict[str, Any]:
    """The fields of a `BlockContext` that are named."""
    changes: dict[str, Any] = {}
    if patch.number is not None:
        changes["number"] = patch.number
    if patch.time is not None:
        changes["timestamp"] = patch.time
    if patch.gas_limit is not None:
        changes["gas_limit"] = patch.gas_limit
    if patch.fee_recipient is not None:
        changes["coinbase"] = Address(patch.fee_recipient)
    if patch.prev_randao is not None:
        changes["prev_randao"] = Hash32(patch.prev_randao)
    if patch.base_fee is not None:
        changes["base_fee"] = int.from_bytes(patch.base_fee, "big")
    if patch.blob_base_fee is not None:
        changes["blob_base_fee"] = int.from_bytes(patch.blob_base_fee, "big")
    return changes


# ---------------------------------------------------------------------- blocks


def block_of(spec: BlockSpec, chain_id: int) -> Block:
    changes = _changes(spec.block) if spec.block is not None else {}
    if "timestamp" in changes:
        changes["time"] = changes.pop("timestamp")
    return Block(
        calls=[Call(tx=_transaction(c, chain_id), gas=c.gas, nonce=c.nonce) for c in spec.calls],
        overrides=overrides_of(spec.accounts),
        **changes,
    )


def _transaction(item: BlockCall, chain_id: int) -> Transaction:
    """What the call says of itself; nonce and gas are filled in where it runs."""
    call = item.call
    return Transaction(
        type=item.type,
        chain_id=chain_id,
        nonce=0,
        max_priority_fee_per_gas=int.from_bytes(item.tip, "big"),
        max_fee_per_gas=int.from_bytes(call.gas_price, "big"),
        gas=0,
        to=None if call.to is None else Address(call.to),
        value=int.from_bytes(call.value, "big"),
        data=call.data,
        access_list=_access_list(call),
        authorizations=authorizations_of(call),
        v=0,
        r=0,
        s=0,
        raw=b"",
        sender=Address(call.sender),
    )


def report_of(block: Simulated) -> BlockReport:
    return BlockReport(
        header=block.header.encoded, calls=[_called_report(done) for done in block.calls]
    )


def _called_report(done: Called) -> CalledReport:
    result = done.result
    return CalledReport(
        raw=done.tx.raw,
        sender=done.tx.sender,
        outcome=CallOutcome(
            error=None if result.success else result.error or REVERTED,
            output=result.output,
            gas_used=result.gas_used,
        ),
        peak_gas=result.peak_gas,
        logs=rlp.encode([log.items() for log in done.logs]),
    )
