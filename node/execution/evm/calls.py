"""CALL, CALLCODE, DELEGATECALL and STATICCALL (EIP-150, 161, 2929, 7702)."""

from collections.abc import Callable

from node.execution.evm.border import refused_call
from node.execution.evm.results import REVERTED
from node.execution.evm.storage_ops import COLD_ACCOUNT, NEW_ACCOUNT, WARM_ACCESS
from node.execution.frame.frame import EvmMessage, Frame
from node.execution.frame.pyevm import (
    InsufficientFunds,
    OutOfGas,
    Revert,
    StackDepthLimit,
    WriteProtection,
)
from node.execution.state.state import State

MAX_DEPTH = 1024
CALL_VALUE = 9000
CALL_STIPEND = 2300
COPIED_INPUT = 1024  # bytes; a longer input is not copied, because its copy is not paid for
DELEGATION_PREFIX = b"\xef\x01\x00"
DELEGATION_BYTES = 23
_ADDRESS_MASK = (1 << 160) - 1
_CALL, _CALLCODE, _DELEGATECALL, _STATICCALL = 0xF1, 0xF2, 0xF4, 0xFA


def delegation_of(code: bytes) -> bytes | None:
    """The address that EIP-7702 code delegates to, or None if the code is no delegation."""
    if len(code) == DELEGATION_BYTES and code.startswith(DELEGATION_PREFIX):
        return code[3:]
    return None


def access_account_gas(state: State, address: bytes) -> int:
    if address in state.warm:
        return WARM_ACCESS
    state.mark_warm(address)
    return COLD_ACCOUNT


def call(
    frame: Frame,
    opcode: int,
    stack: list[int],
    memory: bytearray,
    gas: int,
    expand: Callable[[bytearray, int, int], int],
) -> int:
    """Run one of the four calls with its operands on the stack; the gas that is left.

    Raises OutOfGas and WriteProtection for the calling frame; a failing callee pushes 0.
    """
    message: EvmMessage = frame.msg
    state = frame.vm.accounts
    here = message.storage_address
    pop = stack.pop
    wanted = pop()
    target = (pop() & _ADDRESS_MASK).to_bytes(20, "big")
    value = pop() if opcode in (_CALL, _CALLCODE) else 0
    in_at, in_size, out_at, out_size = pop(), pop(), pop(), pop()
    if value and opcode == _CALL and message.is_static:
        raise WriteProtection("write protection")
    reach = max(in_at + in_size if in_size else 0, out_at + out_size if out_size else 0)
    if reach > len(memory):
        gas = expand(memory, gas, reach)
    gas -= access_account_gas(state, target)
    if gas < 0:
        raise OutOfGas("out of gas")
    code = state.code(target)
    delegate = delegation_of(code)
    if delegate is not None:
        gas -= access_account_gas(state, delegate)
        if gas < 0:
            raise OutOfGas("out of gas")
        code = state.code(delegate)
    if value:
        gas -= CALL_VALUE
        if opcode == _CALL and not state.exists(target):
            gas -= NEW_ACCOUNT
    if gas < 0:
        raise OutOfGas("out of gas")
    given = min(wanted, gas - gas // 64)
    gas -= given
    if value:
        given += CALL_STIPEND
    data: bytes | memoryview = b""
    if in_size > COPIED_INPUT:
        data = memoryview(memory)[in_at : in_at + in_size].toreadonly()
    elif in_size:
        data = bytes(memory[in_at : in_at + in_size])
    inner = EvmMessage(
        gas=given,
        sender=message.sender if opcode == _DELEGATECALL else here,
        storage_address=target if opcode in (_CALL, _STATICCALL) else here,
        code_address=target,
        value=message.value if opcode == _DELEGATECALL else value,
        data=data,
        code=code,
        depth=message.depth + 1,
        transfers=opcode == _CALL,
        is_static=message.is_static or opcode == _STATICCALL,
        opcode=opcode,
    )
    if message.depth >= MAX_DEPTH:
        child = frame.vm.refuse(inner, StackDepthLimit("max call depth exceeded"))
    elif value and state.balance(here) < value:
        child = frame.vm.refuse(inner, InsufficientFunds("insufficient balance for transfer"))
    elif (
        not code
        and (in_size or opcode != _CALL)
        and (reason := refused_call(frame.vm, target, delegate))
    ):
        child = frame.vm.refuse(inner, Revert(REVERTED), reason)
    else:
        child = frame.vm.execute(inner)
    if type(data) is memoryview:
        data.release()  # a bytearray with an open view cannot grow
    output = child.result
    frame.return_data = output
    frame.looked_at = b""
    stack.append(0 if child.is_error else 1)
    if out_size and output:
        size = min(out_size, len(output))
        memory[out_at : out_at + size] = output[:size]
    return gas + child.meter.gas_remaining
