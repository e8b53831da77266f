"""SLOAD, SSTORE and SELFDESTRUCT (EIP-2200, 2929, 3529, 6780)."""

from node.execution.frame.frame import EvmMessage, Vm
from node.execution.frame.pyevm import OutOfGas, WriteProtection
from node.execution.state.state import State

COLD_SLOAD = 2100
COLD_ACCOUNT = 2600
WARM_ACCESS = 100
SSTORE_SENTRY = 2300
SSTORE_SET = 20_000
SSTORE_RESET = 5000 - COLD_SLOAD
SSTORE_CLEARS_REFUND = 4800
NEW_ACCOUNT = 25_000


def sload_gas(state: State, address: bytes, slot: int) -> int:
    key = (address, slot)
    if key in state.warm:
        return WARM_ACCESS
    state.mark_warm(key)
    return COLD_SLOAD


def sstore(vm: Vm, message: EvmMessage, gas: int, slot: int, value: int) -> int:
    """Store, count the refund; the gas that is left. Raises OutOfGas, WriteProtection."""
    if message.is_static:
        raise WriteProtection("write protection")
    if gas <= SSTORE_SENTRY:
        raise OutOfGas("not enough gas for reentrancy sentry")
    state = vm.accounts
    address = message.storage_address
    if state.mark_warm((address, slot)):
        gas -= COLD_SLOAD
    current = state.storage(address, slot)
    if current == value:
        gas -= WARM_ACCESS
        if gas < 0:
            raise OutOfGas("out of gas")
        return gas
    original = state.original_storage(address, slot)
    if original == current:
        gas -= SSTORE_RESET if original else SSTORE_SET
        if original and not value:
            vm.refund += SSTORE_CLEARS_REFUND
    else:
        gas -= WARM_ACCESS
        if original:
            if not current:
                vm.refund -= SSTORE_CLEARS_REFUND
            elif not value:
                vm.refund += SSTORE_CLEARS_REFUND
        if original == value:
            vm.refund += (SSTORE_RESET if original else SSTORE_SET) - WARM_ACCESS
    if gas < 0:
        raise OutOfGas("out of gas")
    state.set_storage(address, slot, value)
    return gas


def self_destruct(vm: Vm, message: EvmMessage, gas: int, target: int) -> int:
    """Send the whole balance to `target`; destroy the account if this transaction created it.

    The gas that is left. A created account that names itself burns its balance: counted for the supply.
    """
    if message.is_static:
        raise WriteProtection("write protection")
    state = vm.accounts
    address = message.storage_address
    beneficiary = (target & ((1 << 160) - 1)).to_bytes(20, "big")
    if state.mark_warm(beneficiary):
        gas -= COLD_ACCOUNT
    balance = state.balance(address)
    if balance and not state.exists(beneficiary):
        gas -= NEW_ACCOUNT
    if gas < 0:
        raise OutOfGas("out of gas")
    created = address in vm.created
    if beneficiary != address:
        state.add_balance(address, -balance)
        state.touch(beneficiary)
        state.add_balance(beneficiary, balance)
    elif created:
        state.set_balance(address, 0)
        vm.burned += balance
    if created:
        vm.destroyed.append(address)
    return gas
