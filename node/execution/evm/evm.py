"""Executing transactions, calls and a block's system calls on a state (Prague rules)."""

from node.execution.evm.blobs import BlobTransaction
from node.execution.evm.border import refused_call
from node.execution.evm.calls import delegation_of
from node.execution.evm.machine import Machine
from node.execution.evm.precompile_table import PRECOMPILES
from node.execution.evm.results import REVERTED, CallResult, TransactionResult
from node.execution.evm.validity import (
    AUTHORIZATION_GAS,
    MAX_NONCE,
    check_against,
    check_static,
)
from node.execution.frame.context import BlockContext
from node.execution.frame.frame import EvmMessage, Frame
from node.execution.frame.pyevm import Revert, VMError, WriteProtection
from node.execution.state.state import State
from node.execution.state.system_contracts import (
    BEACON_ROOTS_ADDRESS,
    HISTORY_ADDRESS,
    SYSTEM_ADDRESS,
    SYSTEM_CALL_GAS,
)
from node.primitives.basics import ZERO_ADDRESS, ZERO_HASH, Address
from node.primitives.births import contract_address
from node.primitives.transaction import AccessList, Authorization, Transaction

MAX_REFUND_QUOTIENT = 5  # EIP-3529
AUTHORIZATION_REFUND = AUTHORIZATION_GAS - 12_500  # EIP-7702
DELEGATION_PREFIX = b"\xef\x01\x00"
_PRECOMPILE_ADDRESSES = frozenset(PRECOMPILES)


class Evm:
    """The EVM of one chain. Holds no state of its own: one may serve all threads."""

    def __init__(self, chain_id: int) -> None:
        self.chain_id = chain_id

    def machine(
        self,
        state: State,
        context: BlockContext,
        *,
        origin: bytes,
        gas_price: int,
        blob_hashes: tuple[bytes, ...] = (),
    ) -> Machine:
        """The machine that runs the frames of one transaction or call."""
        return Machine(state, context, origin=origin, gas_price=gas_price, blob_hashes=blob_hashes)

    # -- blocks

    def begin_block(self, state: State, context: BlockContext) -> None:
        """Store the parent's beacon root and hash in their contracts (EIP-4788, EIP-2935)."""
        parent_hash = context.block_hash(context.number - 1) or ZERO_HASH
        for contract, data in (
            (BEACON_ROOTS_ADDRESS, bytes(context.parent_beacon_block_root)),
            (HISTORY_ADDRESS, bytes(parent_hash)),
        ):
            if state.code(contract):
                state.begin_transaction()
                vm = Machine(state, context, origin=SYSTEM_ADDRESS, gas_price=0)
                warm_up(state, context, SYSTEM_ADDRESS, contract)
                frame = self.message_call(vm, SYSTEM_ADDRESS, contract, 0, data, SYSTEM_CALL_GAS)
                if frame.is_error:
                    raise AssertionError(f"system call to 0x{contract.hex()}: {error_text(frame)}")

    # -- transactions

    def validate(
        self, state: State, context: BlockContext, tx: Transaction, gas_available: int
    ) -> None:
        """Raise InvalidTransaction unless `tx` may come next in a block with `gas_available` left."""
        check_static(tx, self.chain_id)
        check_against(state, context, tx, gas_available)

    def apply_transaction(
        self,
        state: State,
        context: BlockContext,
        tx: Transaction,
        *,
        gas_available: int,
    ) -> TransactionResult:
        """Execute one transaction. Raises InvalidTransaction, the state being as before.

        Base fees are burned, tips go to the coinbase.
        """
        intrinsic, floor = check_static(tx, self.chain_id)
        check_against(state, context, tx, gas_available)
        return self.run_transaction(state, context, tx, intrinsic=intrinsic, floor=floor)

    def run_transaction(
        self,
        state: State,
        context: BlockContext,
        tx: Transaction,
        *,
        intrinsic: int,
        floor: int,
    ) -> TransactionResult:
        """Execute a transaction that was checked: its sender can pay, and its gas is the intrinsic gas
        and the floor at least. The price may be below the base fee (of a simulated one): all of it is
        burned then."""
        price = tx.effective_gas_price(context.base_fee)
        sender = tx.sender
        blobs = tx.blob_hashes if isinstance(tx, BlobTransaction) else ()
        state.begin_transaction()
        vm = self.machine(state, context, origin=sender, gas_price=price, blob_hashes=blobs)
        vm.is_transaction = True
        cost = tx.gas * price
        blob_cost = 0
        if isinstance(tx, BlobTransaction):
            blob_cost = tx.blob_gas * context.blob_base_fee
        state.set_balance(sender, state.balance(sender) - cost - blob_cost)
        state.set_nonce(sender, tx.nonce + 1)
        warm_up(state, context, sender, tx.to, tx.access_list)
        if tx.authorizations:
            vm.refund += self.delegate(state, tx.authorizations)
        created: Address | None = None
        gas = tx.gas - intrinsic
        if tx.to is None:
            created = contract_address(sender, tx.nonce)
            frame = self.creation(vm, sender, created, tx.value, tx.data, gas)
        else:
            frame = self.message_call(vm, sender, tx.to, tx.value, tx.data, gas)
        peak_gas = max(tx.gas - frame.meter.gas_remaining, floor)
        gas_used = max(used_after_refund(vm, tx.gas, frame), floor)
        state.add_balance(sender, (tx.gas - gas_used) * price)
        state.touch(context.coinbase)
        burned_price = min(context.base_fee, price)
        state.add_balance(context.coinbase, gas_used * (price - burned_price))
        burned = remove_destroyed(vm) + gas_used * burned_price + blob_cost
        success = not frame.is_error
        return TransactionResult(
            success=success,
            gas_used=gas_used,
            peak_gas=peak_gas,
            logs=tuple(vm.logs),
            output=frame.result,
            contract_address=created if success else None,
            created=vm.births() if vm.created else (),
            burned=burned,
            error=None if success else error_text(frame),
            console=tuple(vm.console),
        )

    def delegate(
        self,
        state: State,
        authorizations: tuple[Authorization, ...],
    ) -> int:
        """Set the code of every authority that validly asks for it (EIP-7702); the gas to refund."""
        refund = 0
        for item in authorizations:
            if item.chain_id not in (0, self.chain_id) or item.nonce >= MAX_NONCE:
                continue
            authority = item.authority()
            if authority is None:
                continue
            state.mark_warm(authority)
            code = state.code(authority)
            if code and delegation_of(code) is None:
                continue
            if state.nonce(authority) != item.nonce:
                continue
            if state.is_present(authority):
                refund += AUTHORIZATION_REFUND
            clears = item.address == ZERO_ADDRESS
            state.set_code(authority, b"" if clears else DELEGATION_PREFIX + item.address)
            state.set_nonce(authority, item.nonce + 1)
        return refund

    # -- calls

    def apply_call(
        self,
        state: State,
        context: BlockContext,
        *,
        sender: Address,
        to: Address,
        value: int,
        data: bytes,
        gas: int,
        gas_price: int,
        origin: Address,
    ) -> CallResult:
        """A message call as if a transaction made it, without signature, nonce, fee or intrinsic gas.

        The value moves with the call: a failure leaves it with the sender. A sender without it is a
        failed outcome. The caller has called `state.begin_transaction()`.
        """
        vm = self.machine(state, context, origin=origin, gas_price=gas_price)
        if value and state.balance(sender) < value:
            return CallResult(
                success=False,
                gas_used=0,
                logs=(),
                output=b"",
                created=(),
                burned=0,
                error="insufficient balance for transfer",
            )
        warm_up(state, context, sender, to)
        state.mark_warm(origin)
        frame = self.message_call(vm, sender, to, value, data, gas)
        return call_result(vm, frame, used_after_refund(vm, gas, frame))

    def message_call(
        self, vm: Machine, sender: bytes, to: bytes, value: int, data: bytes, gas: int
    ) -> Frame:
        """The frame of a transaction's call; code that is a delegation is followed (EIP-7702).

        A call with data that finds no code is refused if the account, or its delegate, lives elsewhere.
        """
        code = vm.accounts.code(to)
        delegate = delegation_of(code)
        if delegate is not None:
            vm.accounts.mark_warm(delegate)
            code = vm.accounts.code(delegate)
        message = EvmMessage(
            gas=gas,
            sender=sender,
            storage_address=to,
            code_address=to,
            value=value,
            data=data,
            code=code,
        )
        if data and not code and (reason := refused_call(vm, to, delegate)):
            return vm.refuse(message, Revert(REVERTED), reason)
        return vm.execute(message)

    def creation(
        self, vm: Machine, sender: bytes, address: Address, value: int, code: bytes, gas: int
    ) -> Frame:
        """The frame of a transaction's creation. A collision takes all the gas (EIP-684, 7610)."""
        message = EvmMessage(
            gas=gas,
            sender=sender,
            storage_address=address,
            code_address=b"",
            value=value,
            data=b"",
            code=code,
            is_create=True,
        )
        vm.accounts.mark_warm(address)
        if vm.has_code_or_nonce(address):
            frame = Frame(vm, message)
            frame.fail(VMError("contract address collision"))
            return frame
        return vm.create(message)


def warm_up(
    state: State,
    context: BlockContext,
    sender: bytes,
    to: bytes | None,
    access_list: AccessList = (),
) -> None:
    """Fill the access sets of a new transaction (EIP-2929, 2930, 3651)."""
    warm = state.warm
    warm.update(_PRECOMPILE_ADDRESSES)
    warm.add(sender)
    warm.add(context.coinbase)
    if to is not None:
        warm.add(to)
    for address, slots in access_list:
        warm.add(address)
        warm.update((address, slot) for slot in slots)


def used_after_refund(vm: Machine, gas: int, frame: Frame) -> int:
    used = gas - frame.meter.gas_remaining
    return used - min(vm.refund, used // MAX_REFUND_QUOTIENT)


def remove_destroyed(vm: Machine) -> int:
    """Delete what SELFDESTRUCT marked; the wei that is gone with it."""
    burned = vm.burned
    for address in sorted(set(vm.destroyed)):
        burned += vm.accounts.balance(address)
        vm.accounts.delete_account(address)
    return burned


def call_result(vm: Machine, frame: Frame, gas_used: int) -> CallResult:
    burned = remove_destroyed(vm)
    success = not frame.is_error
    return CallResult(
        success=success,
        gas_used=gas_used,
        logs=tuple(vm.logs),
        output=frame.result,
        created=vm.births() if vm.created else (),
        burned=burned,
        error=None if success else error_text(frame),
        console=tuple(vm.console),
    )


def error_text(frame: Frame) -> str:
    """A failure in geth's words."""
    error = frame.error
    if isinstance(error, WriteProtection):
        return "write protection"
    return str(error) or type(error).__name__
