"""Simulated calls: requests as the port takes them, outcomes as the JSON-RPC tells them."""

from node.execution.validity import AUTHORIZATION_GAS, gas_of
from node.primitives import rlp
from node.primitives.basics import ZERO_ADDRESS, Address
from node.runtime.queries import CallOutcome, CallSpec
from node.runtime.view.shards import Shards
from rpc.errors import ExecutionReverted, InvalidParams, ServerError
from rpc.wire import CallRequest

ALL_GAS = (1 << 62) - 1
"""For a caller that names no limit: whoever executes has one."""
REVERTED = "execution reverted"


def sender_of(request: CallRequest) -> Address:
    return Address(request.from_ or ZERO_ADDRESS)


def gas_price_of(request: CallRequest, base_fee: int) -> int:
    """What the call says it pays, in wei per gas; 0 (the usual case) lifts the base fee."""
    if request.gas_price is not None:
        return request.gas_price
    if not request.max_fee_per_gas:
        return 0
    return min(request.max_fee_per_gas, base_fee + (request.max_priority_fee_per_gas or 0))


def check_request(request: CallRequest, chain_id: int) -> None:
    """Raise InvalidParams for a call that cannot be meant for this network."""
    if request.chain_id is not None and request.chain_id != chain_id:
        raise InvalidParams(
            f"chainId does not match node's (have={request.chain_id}, want={chain_id})"
        )
    if request.to is None and request.authorization_list:
        raise InvalidParams("an authorizationList needs a recipient")


def call_spec(
    request: CallRequest, *, base_fee: int, credit: bool, gas: int | None = None
) -> CallSpec:
    limit = request.gas if gas is None else gas
    return CallSpec(
        sender=sender_of(request),
        to=request.to,
        value=rlp.int_to_bytes(request.value or 0),
        data=request.data,
        gas=ALL_GAS if limit is None else min(limit, ALL_GAS),
        gas_price=rlp.int_to_bytes(gas_price_of(request, base_fee)),
        access_list=[(e.address, list(e.storage_keys)) for e in request.access_list or ()],
        credit=credit,
    )


def source_gas(request: CallRequest) -> int:
    """What a transaction pays on its own shard before its call leaves for another one, in gas
    (`node.shard.run.departure_gas`)."""
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


def delegation_gas(request: CallRequest) -> int:
    """The intrinsic gas of EIP-7702 authorizations, which a simulation does not carry out."""
    return AUTHORIZATION_GAS * len(request.authorization_list or ())


def result_of(outcome: CallOutcome) -> CallOutcome:
    """The outcome of a call that succeeded. Raises ExecutionReverted or ServerError for another."""
    if outcome.error is None:
        return outcome
    if outcome.error == REVERTED:
        raise ExecutionReverted.from_output(outcome.output)
    raise ServerError(outcome.error)


async def check_funds(shards: Shards, shard: int, height: int, request: CallRequest) -> None:
    """A call that brings its value from another shard is not judged there: it must exist at home."""
    value = request.value or 0
    if not value:
        return
    sender = sender_of(request)
    account = await shards.ask(shard, lambda source: source.account(height, sender, False))
    have = int.from_bytes(account.balance, "big")
    if have < value:
        raise ServerError(
            f"insufficient funds for gas * price + value: address 0x{sender.hex()} "
            f"have {have} want {value}"
        )
