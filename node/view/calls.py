"""Simulated calls: requests as the execution takes them, outcomes as the JSON-RPC tells them."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from node.execution.evm.overrides import BlockOverride, StateOverride
from node.execution.evm.simulate import Credit, SimulatedCall
from node.execution.evm.validity import gas_of
from node.primitives.basics import ZERO_ADDRESS, Address, Hash32
from node.primitives.fields import U256, Word
from node.primitives.transaction import AccessList, Authorization
from node.query.call_specs import Accessed, CallOutcome
from node.view.reads import StatePlace, read_account
from node.view.reverts import reverted
from node.view.shards import Shards
from rpc.errors import InvalidParams, ServerError
from rpc.threads import FEW
from rpc.wire import (
    AccessListEntry,
    AccessListResult,
    BlockOverrides,
    CallRequest,
    Overrides,
)

ALL_GAS = (1 << 62) - 1
"""Gas of a call without a limit: the node that executes it has one."""
REVERTED = "execution reverted"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedCall:
    """A call and where it runs. It may read all accounts at network block `block`, or with None its shard's.

    One that could run `anywhere` names no account of its own.
    """

    shard: int
    height: int
    call: SimulatedCall
    block: int | None = None
    anywhere: bool = False


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


def simulated_call(
    request: CallRequest,
    overrides: Overrides,
    *,
    base_fee: int,
    credit: Credit | None = None,
) -> SimulatedCall:
    """The call that the execution takes, in a block with this base fee unless that is overridden."""
    if overrides.block.base_fee_per_gas is not None:
        base_fee = overrides.block.base_fee_per_gas
    call = plain_call(request, gas_price_of(request, base_fee))
    return replace(
        call,
        accounts=state_overrides(overrides),
        block=block_override(overrides.block),
        credit=credit,
    )


def plain_call(request: CallRequest, gas_price: int) -> SimulatedCall:
    """A call without overrides."""
    return SimulatedCall(
        sender=sender_of(request),
        to=None if request.to is None else Address(request.to),
        value=U256(request.value or 0),
        data=request.data,
        gas=ALL_GAS if request.gas is None else min(request.gas, ALL_GAS),
        gas_price=U256(gas_price),
        access_list=access_list(request),
        authorizations=authorizations(request),
    )


def access_list(request: CallRequest) -> AccessList:
    return tuple(
        (Address(e.address), tuple(Word.from_bytes(key, "big") for key in e.storage_keys))
        for e in request.access_list or ()
    )


def authorizations(request: CallRequest) -> tuple[Authorization, ...]:
    return tuple(
        Authorization(
            chain_id=U256(item.chain_id),
            address=Address(item.address),
            nonce=item.nonce,
            y_parity=item.y_parity,
            r=U256(item.r),
            s=U256(item.s),
        )
        for item in request.authorization_list or ()
    )


def state_overrides(overrides: Overrides) -> tuple[StateOverride, ...]:
    return tuple(
        StateOverride(
            address=Address(address),
            balance=None if item.balance is None else U256(item.balance),
            nonce=item.nonce,
            code=item.code,
            storage=tuple(
                (Word(slot), Word(value))
                for slot, value in (item.state or item.state_diff or {}).items()
            ),
            replace_storage=item.state is not None,
            moved_to=None if item.moved_to is None else Address(item.moved_to),
        )
        for address, item in overrides.accounts.items()
    )


def block_override(overrides: BlockOverrides) -> BlockOverride | None:
    if overrides == BlockOverrides():
        return None
    recipient, randao = overrides.fee_recipient, overrides.prev_randao
    base_fee, blob_base_fee = overrides.base_fee_per_gas, overrides.blob_base_fee
    return BlockOverride(
        number=overrides.number,
        time=overrides.time,
        gas_limit=overrides.gas_limit,
        fee_recipient=None if recipient is None else Address(recipient),
        prev_randao=None if randao is None else Hash32(randao),
        base_fee=None if base_fee is None else U256(base_fee),
        blob_base_fee=None if blob_base_fee is None else U256(blob_base_fee),
    )


def source_gas(request: CallRequest) -> int:
    """Gas that a transaction pays on its own shard before its call leaves for another one
    (`node.shard.run.departure_gas`).
    """
    return max(gas_of(plain_call(request, 0)))


def result_of(outcome: CallOutcome) -> CallOutcome:
    """The outcome of a call that succeeded. Raises ExecutionReverted or ServerError for another."""
    if outcome.error is None:
        return outcome
    if outcome.error == REVERTED:
        raise reverted(outcome.output)
    raise ServerError(outcome.error)


def access_list_result(accessed: Accessed) -> AccessListResult:
    """The answer of eth_createAccessList."""
    listed = tuple(AccessListEntry(address, tuple(keys)) for address, keys in accessed.access_list)
    outcome = accessed.outcome
    return AccessListResult(access_list=listed, gas_used=outcome.gas_used, error=outcome.error)


async def credit_of(
    shards: Shards, place: StatePlace, base_fee: int, request: CallRequest, overrides: Overrides
) -> Credit:
    """The facts that the sender's shard, at `place`, has of a call that departs there."""
    if overrides.block.base_fee_per_gas is not None:
        base_fee = 0  # that of the block where the call runs
    sender = sender_of(request)
    override = overrides.accounts.get(sender)
    if override is not None and override.balance is not None:
        balance = override.balance
    elif (
        request.value
        or request.gas_price
        or request.max_fee_per_gas
        or request.max_priority_fee_per_gas
    ):
        account = await read_account(shards, place, sender)
        balance = int.from_bytes(account.balance, "big")
    else:
        balance = 0
    return Credit(balance=U256(balance), base_fee=U256(base_fee))
