"""Calls that are not transactions: eth_call and eth_estimateGas."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Annotated

import msgspec
from eth_utils.address import to_checksum_address

from node.execution.evm.evm import Evm, call_result, used_after_refund, warm_up
from node.execution.evm.machine import MAX_INITCODE_BYTES
from node.execution.evm.overrides import BlockOverride, StateOverride
from node.execution.evm.results import CallResult
from node.execution.evm.validity import gas_of
from node.execution.frame.context import BlockContext
from node.execution.state.state import MAX_BALANCE, State
from node.execution.trie.errors import ExecutionFailed, FeeTooLow, InsufficientFunds, NotEnoughGas
from node.primitives.basics import ZERO_ADDRESS
from node.primitives.births import contract_address
from node.primitives.errors import InvalidTransaction
from node.primitives.fields import U256, ZERO, AddressField
from node.primitives.transaction import AccessList, Authorization

MAX_GAS = 1 << 62
OUT_OF_GAS = "out of gas"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credit:
    """The facts that only the shard of its sender has of a call that a message brings from there: the sender's
    balance and the base fee, in wei. They are 0 where the call neither pays nor brings anything.
    """

    balance: U256 = ZERO
    base_fee: U256 = ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedCall:
    """A call, and the overrides of the state and the block that it runs on: apply them first.

    `gas` is the limit of the transaction that it would be. `gas_price` in wei; at zero nothing is paid and
    BASEFEE is zero. `to` is None for a creation. `credit` is set for a call that departs on another shard
    and arrives on this one (`Evm.apply_call`): the sender has the value here, whatever the state says (unless
    it spans the sender's shard). Nodes send it to each other as a msgpack map.
    """

    sender: AddressField = ZERO_ADDRESS
    to: AddressField | None
    value: U256 = ZERO
    data: bytes = field(default=b"", repr=False)
    gas: Annotated[int, msgspec.Meta(ge=0, le=MAX_GAS)]
    gas_price: U256 = ZERO
    access_list: AccessList = ()
    authorizations: tuple[Authorization, ...] = ()
    accounts: tuple[StateOverride, ...] = ()
    block: BlockOverride | None = None
    credit: Credit | None = None


def simulate(evm: Evm, state: State, context: BlockContext, call: SimulatedCall) -> CallResult:
    """Run `call` as a transaction that needs no signature and no nonce; `gas_used` is all of its gas.

    The sender may have code. Raises InvalidTransaction where not even a transaction could be made of
    it: gas under the intrinsic gas, or funds missing. `state` is changed: use one that is thrown away. What
    departs on one shard and runs on another is held to the same, and uses what both use.
    """
    intrinsic, floor = gas_of(call)
    if call.gas < intrinsic:
        raise InvalidTransaction(f"intrinsic gas too low: have {call.gas}, want {intrinsic}")
    if call.gas < floor:
        raise InvalidTransaction(
            f"insufficient gas for floor data gas cost: have {call.gas}, want {floor}"
        )
    if call.to is None and len(call.data) > MAX_INITCODE_BYTES:
        raise InvalidTransaction(
            f"max initcode size exceeded: code size {len(call.data)} limit {MAX_INITCODE_BYTES}"
        )
    cost = call.gas * call.gas_price
    wanted = cost + call.value
    if wanted and (balance := _balance(state, call)) < wanted:
        raise InsufficientFunds(
            f"insufficient funds for gas * price + value: address {to_checksum_address(call.sender)} "
            f"have {balance} want {wanted}"
        )
    context = _priced(call, context)
    if call.credit is not None:
        return _arrive(evm, state, context, call, max(intrinsic, floor))
    nonce = state.nonce(call.sender) if call.to is None else 0
    state.begin_transaction()
    vm = evm.machine(state, context, origin=call.sender, gas_price=call.gas_price)
    vm.is_transaction = True
    state.add_balance(call.sender, -cost)
    state.raise_nonce(call.sender)
    warm_up(state, context, call.sender, call.to, call.access_list)
    vm.refund += evm.delegate(state, call.authorizations)
    gas = call.gas - intrinsic
    if call.to is None:
        address = contract_address(call.sender, nonce)
        frame = evm.creation(vm, call.sender, address, call.value, call.data, gas)
    else:
        frame = evm.message_call(vm, call.sender, call.to, call.value, call.data, gas)
    return call_result(vm, frame, max(used_after_refund(vm, call.gas, frame), floor))


def estimate_gas(
    evm: Evm,
    open_state: Callable[[], State],
    context: BlockContext,
    call: SimulatedCall,
    gas_cap: int,
) -> int:
    """The least gas limit, up to `gas_cap`, with which `call` succeeds; that it does was tried.

    `call.gas` of zero means no limit of the caller's own. `open_state` gives a fresh state each time.
    Raises ExecutionFailed where the call fails at the cap, NotEnoughGas if it fails for want of gas there,
    InvalidTransaction where it cannot be made.
    """

    def attempt(gas: int) -> CallResult:
        return simulate(evm, open_state(), context, replace(call, gas=gas))

    high = _highest(open_state, call, gas_cap)
    least = max(gas_of(call))  # below this no attempt is valid
    if high < least:
        raise NotEnoughGas(high)
    result = attempt(high)
    if result.error == OUT_OF_GAS:
        raise NotEnoughGas(high)
    if not result.success:
        raise ExecutionFailed(result.error or "execution failed", result.output, result.console)
    low = max(least, result.gas_used) - 1
    # what a call may need on top of what it uses: the gas that 63/64 withholds, and refunds
    guess = least if result.gas_used <= least else min(high, result.gas_used * 64 // 63 + 2300)
    while low + 1 < high:
        middle = guess if low < guess < high else (low + high) // 2
        guess = 0
        if attempt(middle).success:
            high = middle
        else:
            low = middle
    return high


def _priced(call: SimulatedCall, context: BlockContext) -> BlockContext:
    """The block that a call at its price is in: one that pays nothing has no base fee. Raises FeeTooLow."""
    if call.gas_price == 0:
        return replace(context, base_fee=0)
    base_fee = context.base_fee
    if call.credit is not None:  # as a departure is priced
        base_fee = max(base_fee, call.credit.base_fee)
    if call.gas_price < base_fee:
        raise FeeTooLow(
            f"max fee per gas less than block base fee: address {to_checksum_address(call.sender)}, "
            f"maxFeePerGas: {call.gas_price}, baseFee: {base_fee}"
        )
    return context


def _balance(state: State, call: SimulatedCall) -> int:
    """The wei that the sender has to pay with, where it lives."""
    return state.balance(call.sender) if call.credit is None else call.credit.balance


def _arrive(
    evm: Evm, state: State, context: BlockContext, call: SimulatedCall, paid: int
) -> CallResult:
    """Run a call that has used `paid` gas where it departed."""
    if call.to is None:
        raise InvalidTransaction("a contract creation does not leave its sender's shard")
    state.begin_transaction()
    if call.value and not state.spans:
        brought = min(
            call.value, MAX_BALANCE - state.balance(call.sender)
        )  # an override may be that high
        state.add_balance(call.sender, brought)
    result = evm.apply_call(
        state,
        context,
        sender=call.sender,
        to=call.to,
        value=call.value,
        data=call.data,
        gas=call.gas - paid,
        gas_price=call.gas_price,
        origin=call.sender,
    )
    return replace(result, gas_used=result.gas_used + paid)


def _highest(open_state: Callable[[], State], call: SimulatedCall, gas_cap: int) -> int:
    high = min(call.gas, gas_cap) if call.gas else gas_cap
    if call.gas_price:
        balance = _balance(open_state(), call)
        if balance < call.value:
            raise InsufficientFunds("insufficient funds for transfer")
        allowance = (balance - call.value) // call.gas_price
        if allowance < high:
            high = allowance
    return high
