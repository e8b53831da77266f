"""Simulated calls: requests as the port takes them, outcomes as the JSON-RPC tells them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from eth_utils.address import to_checksum_address

from node.execution.evm.validity import gas_of
from node.primitives import rlp
from node.primitives.basics import ZERO_ADDRESS, Address
from node.query.call_specs import (
    Accessed,
    AccountPatch,
    BlockPatch,
    CallOutcome,
    CallSpec,
    SignedAuthorization,
)
from node.view.reads import StatePlace, read_account
from node.view.reverts import reverted
from node.view.shards import Shards
from rpc.errors import InvalidParams, ServerError
from rpc.threads import FEW
from rpc.wire import (
    AccessListEntry,
    AccessListResult,
    AccountOverride,
    BlockOverrides,
    CallRequest,
    Overrides,
)

ALL_GAS = (1 << 62) - 1
"""Gas of a call without a limit: the node that executes it has one."""
REVERTED = "execution reverted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """A call and where it runs. `crosses` is set if it comes there from its sender's shard, which then
    has its own gas."""

    shard: int
    height: int
    spec: CallSpec
    crosses: bool = False


@dataclass(frozen=True, slots=True)
class SimulationBase:
    """The block of a shard on which simulated blocks stand; `beacon` as in `port.SimulationSpec`.
    `away` says where to read an account that lives on another shard, None for those that do not."""

    shard: int
    height: int
    beacon: int | None = None
    away: Callable[[Address], StatePlace | None] = lambda _: None


def sender_of(request: CallRequest) -> Address:
    return Address(request.from_ or ZERO_ADDRESS)


def gas_price_of(request: CallRequest, base_fee: int) -> int:
    """The price that the call names, in wei per gas; 0 (the usual case) lifts the base fee. A tip alone is that
    of a transaction whose cap is yet to be filled in, which will be enough.
    """
    if request.gas_price is not None:
        return request.gas_price
    cap, tip = request.max_fee_per_gas, request.max_priority_fee_per_gas or 0
    if not cap:
        return base_fee + tip if tip and cap is None else 0
    return min(cap, base_fee + tip)


def check_request(request: CallRequest, chain_id: int) -> None:
    """Raise InvalidParams for a call that cannot be meant for this network."""
    if request.chain_id is not None and request.chain_id != chain_id:
        raise InvalidParams(
            f"chainId does not match node's (have={request.chain_id}, want={chain_id})"
        )
    if request.to is None and request.authorization_list:
        raise InvalidParams("an authorizationList needs a recipient")


def is_large(request: CallRequest, overrides: Overrides) -> bool:
    """True if a call holds so much that other tasks should have their turn while it is worked on."""
    entries, patches = request.access_list or (), overrides.accounts.values()
    return (
        max(len(entries), len(patches), len(request.authorization_list or ())) > FEW
        or any(len(entry.storage_keys) > FEW for entry in entries)
        or any(len(patch.state or patch.state_diff or ()) > FEW for patch in patches)
    )


def call_spec(
    request: CallRequest,
    overrides: Overrides,
    *,
    base_fee: int,
    credit: bool,
    gas: int | None = None,
) -> CallSpec:
    return plain_spec(
        request,
        gas_price_of(request, base_fee),
        gas=request.gas if gas is None else gas,
        accounts=patches_of(overrides),
        block=block_patch_of(overrides.block),
        credit=credit,
    )


def plain_spec(
    request: CallRequest,
    gas_price: int,
    *,
    gas: int | None = None,
    accounts: Sequence[AccountPatch] = (),
    block: BlockPatch | None = None,
    credit: bool = False,
) -> CallSpec:
    return CallSpec(
        sender=sender_of(request),
        to=request.to,
        value=rlp.int_to_bytes(request.value or 0),
        data=request.data,
        gas=ALL_GAS if gas is None else min(gas, ALL_GAS),
        gas_price=rlp.int_to_bytes(gas_price),
        access_list=[(e.address, list(e.storage_keys)) for e in request.access_list or ()],
        authorizations=[
            SignedAuthorization(
                chain_id=rlp.int_to_bytes(item.chain_id),
                address=item.address,
                nonce=item.nonce,
                y_parity=item.y_parity,
                r=rlp.int_to_bytes(item.r),
                s=rlp.int_to_bytes(item.s),
            )
            for item in request.authorization_list or ()
        ],
        accounts=list(accounts),
        block=block,
        credit=credit,
    )


def patches_of(overrides: Overrides) -> list[AccountPatch]:
    return [_patch(address, item) for address, item in overrides.accounts.items()]


def _patch(address: bytes, override: AccountOverride) -> AccountPatch:
    storage = override.state_diff if override.state is None else override.state
    return AccountPatch(
        address=address,
        balance=None if override.balance is None else rlp.int_to_bytes(override.balance),
        nonce=override.nonce,
        code=override.code,
        storage=[
            (slot.to_bytes(32, "big"), value.to_bytes(32, "big"))
            for slot, value in (storage or {}).items()
        ],
        replace_storage=override.state is not None,
        moved_to=override.moved_to,
    )


def block_patch_of(overrides: BlockOverrides) -> BlockPatch | None:
    if overrides == BlockOverrides():
        return None
    base_fee, blob_base_fee = overrides.base_fee_per_gas, overrides.blob_base_fee
    return BlockPatch(
        number=overrides.number,
        time=overrides.time,
        gas_limit=overrides.gas_limit,
        fee_recipient=overrides.fee_recipient,
        prev_randao=overrides.prev_randao,
        base_fee=None if base_fee is None else rlp.int_to_bytes(base_fee),
        blob_base_fee=None if blob_base_fee is None else rlp.int_to_bytes(blob_base_fee),
    )


def source_gas(request: CallRequest) -> int:
    """Gas that a transaction pays on its own shard before its call leaves for another one
    (`node.shard.run.departure_gas`).
    """
    return max(
        gas_of(
            data=request.data,
            creates=request.to is None,
            access_list=tuple(
                (Address(e.address), tuple(int.from_bytes(k, "big") for k in e.storage_keys))
                for e in request.access_list or ()
            ),
            authorizations=len(request.authorization_list or ()),
        )
    )


def result_of(outcome: CallOutcome) -> CallOutcome:
    """The outcome of a call that succeeded. Raises ExecutionReverted or ServerError for another."""
    if outcome.error is None:
        return outcome
    if outcome.error == REVERTED:
        raise reverted(outcome.output)
    raise ServerError(outcome.error)


def access_list_result(
    request: CallRequest, simulation: Simulation, accessed: Accessed
) -> AccessListResult:
    """The answer of eth_createAccessList. A list has no effect on another shard, but its cost."""
    listed = tuple(AccessListEntry(address, tuple(keys)) for address, keys in accessed.access_list)
    outcome = accessed.outcome
    gas_used = outcome.gas_used
    if simulation.crosses:
        gas_used += source_gas(replace(request, access_list=listed))
    return AccessListResult(access_list=listed, gas_used=gas_used, error=outcome.error)


async def check_funds(
    shards: Shards, place: StatePlace, request: CallRequest, overrides: Overrides
) -> None:
    """A call that brings its value from another shard is not judged there: it must exist at home."""
    value = request.value or 0
    if not value:
        return
    sender = sender_of(request)
    override = overrides.accounts.get(sender)
    if override is not None and override.balance is not None:
        have = override.balance
    else:
        account = await read_account(shards, place, sender)
        have = int.from_bytes(account.balance, "big")
    if have < value:
        raise ServerError(
            f"insufficient funds for gas * price + value: address {to_checksum_address(sender)} "
            f"have {have} want {value}"
        )
