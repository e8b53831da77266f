"""The interpreter loop: hot instructions inline over local variables, the rest by py-evm's functions.

One long function on purpose. A call per instruction would cost more than most instructions do, and
splitting the chain of comparisons would put calls back. Numbers are compared as literals for the same
reason: a name would be looked up each time. They are those of `instructions`, named beside them.
"""

from typing import Any

from node.execution.evm.border import check_read, explained
from node.execution.evm.calls import call
from node.execution.evm.results import REVERTED
from node.execution.evm.storage_ops import sload_gas, sstore
from node.execution.frame.frame import Frame
from node.execution.frame.program import BasicBlock
from node.execution.frame.pyevm import (
    PRAGUE_OPCODES,
    InvalidInstruction,
    InvalidJumpDestination,
    OutOfBoundsRead,
    OutOfGas,
    Revert,
    StackOverflow,
    StackUnderflow,
    WriteProtection,
)
from node.execution.state.receipts import Log
from node.primitives.basics import Address, keccak_fast

_WORD = (1 << 256) - 1
_MODULUS = 1 << 256


def _expand(memory: bytearray, gas: int, end: int) -> int:
    """Grow memory to hold `end` bytes; the gas that is left. Raises OutOfGas before it allocates."""
    words = (end + 31) >> 5
    held = len(memory) >> 5
    gas -= 3 * (words - held) + (words * words >> 9) - (held * held >> 9)
    if gas < 0:
        raise OutOfGas("out of gas")
    memory.extend(bytes((words - held) << 5))
    return gas


def _read(memory: bytearray, at: int, size: int) -> bytes:
    """Bytes of memory that holds them, copied once. `at` may be anything where `size` is 0."""
    if not size:
        return b""
    with memoryview(memory) as view:
        return bytes(view[at : at + size])


def run(frame: Frame) -> None:
    """Run a frame's code to its end. Raises VMError where it fails or reverts; gas is in the meter."""
    message = frame.msg
    vm = frame.vm
    state = vm.accounts
    code = message.code
    data = message.data
    here = message.storage_address
    context = (
        int.from_bytes(here, "big"),
        int.from_bytes(message.sender, "big"),
        message.value,
        len(data),
    )
    environment = vm.environment
    program = vm.program_of(code)
    blocks = program.blocks
    meter = frame.meter
    gas = meter.gas_remaining
    stack: list[Any] = frame._stack.values
    push = stack.append
    pop = stack.pop
    memory: bytearray = frame._memory._bytes
    block: BasicBlock = blocks.get(0) or program.block(0)
    while True:
        gas -= block.gas
        if gas < 0:
            raise OutOfGas("out of gas")
        height = len(stack)
        if height < block.needs:
            raise StackUnderflow(f"stack underflow ({height} <=> {block.needs})")
        if height + block.grows > 1024:
            raise StackOverflow("stack limit reached 1024 (1023)")
        for op, arg in block.instructions:
            if op == 0:  # PUSH
                push(arg)
            elif op == 1:  # DUP
                push(stack[arg])
            elif op == 2:  # SWAP
                stack[-1], stack[arg] = stack[arg], stack[-1]
            elif op >= 34:  # an operation with a constant
                if op == 34:  # ADD_CONST
                    stack[-1] = (stack[-1] + arg) & _WORD
                elif op == 39:  # MSTORE_CONST
                    if arg + 32 > len(memory):
                        gas = _expand(memory, gas, arg + 32)
                    memory[arg : arg + 32] = pop().to_bytes(32, "big")
                elif op == 38:  # MLOAD_CONST
                    if arg + 32 > len(memory):
                        gas = _expand(memory, gas, arg + 32)
                    push(int.from_bytes(memory[arg : arg + 32], "big"))
                elif op == 35:  # AND_CONST
                    stack[-1] &= arg
                elif op == 36:  # EQ_CONST
                    stack[-1] = 1 if stack[-1] == arg else 0
                elif op == 37:  # SHR_CONST
                    stack[-1] = stack[-1] >> arg if arg < 256 else 0
                elif op == 40:  # SHL_CONST
                    stack[-1] = (stack[-1] << arg) & _WORD if arg < 256 else 0
                elif op == 41:  # GAS: what was charged for the rest of the block is not spent
                    push(gas + arg)
                elif op == 42:  # ENVIRONMENT
                    push(environment[arg])
                elif op == 43:  # MSTORE8
                    at = pop()
                    if at >= len(memory):
                        gas = _expand(memory, gas, at + 1)
                    memory[at] = pop() & 0xFF
                elif op == 44:  # TERNARY
                    a = pop()
                    b = pop()
                    stack[-1] = arg(a, b, stack[-1])
                elif op == 45:  # MCOPY
                    to = pop()
                    at = pop()
                    size = pop()
                    gas -= 3 * ((size + 31) >> 5)
                    if size:
                        if max(to, at) + size > len(memory):
                            gas = _expand(memory, gas, max(to, at) + size)
                        if gas < 0:
                            raise OutOfGas("out of gas")
                        memory[to : to + size] = memory[at : at + size]
                elif op == 46:  # EXP
                    a = pop()
                    b = stack[-1]
                    gas -= 50 * ((b.bit_length() + 7) >> 3)
                    if gas < 0:
                        raise OutOfGas("out of gas")
                    stack[-1] = pow(a, b, _MODULUS)
                elif op == 47:  # MSIZE
                    push(len(memory))
                else:  # BLOBHASH
                    index = stack[-1]
                    hashes = vm.blob_versioned_hashes
                    stack[-1] = int.from_bytes(hashes[index], "big") if index < len(hashes) else 0
            elif op == 3:  # POP
                pop()
            elif op < 11:
                a = pop()
                if op == 4:  # ADD
                    stack[-1] = (a + stack[-1]) & _WORD
                elif op == 5:  # SUB
                    stack[-1] = (a - stack[-1]) & _WORD
                elif op == 9:  # AND
                    stack[-1] &= a
                elif op == 10:  # OR
                    stack[-1] |= a
                elif op == 6:  # MUL
                    stack[-1] = (a * stack[-1]) & _WORD
                elif op == 7:  # DIV
                    b = stack[-1]
                    stack[-1] = a // b if b else 0
                else:  # MOD
                    b = stack[-1]
                    stack[-1] = a % b if b else 0
            elif op < 17:
                if op == 14:  # ISZERO
                    stack[-1] = 0 if stack[-1] else 1
                else:
                    a = pop()
                    if op == 11:  # LT
                        stack[-1] = 1 if a < stack[-1] else 0
                    elif op == 12:  # GT
                        stack[-1] = 1 if a > stack[-1] else 0
                    elif op == 13:  # EQ
                        stack[-1] = 1 if a == stack[-1] else 0
                    elif op == 16:  # SHR
                        stack[-1] = stack[-1] >> a if a < 256 else 0
                    else:  # SHL
                        stack[-1] = (stack[-1] << a) & _WORD if a < 256 else 0
            elif op < 25:
                if op == 18:  # MSTORE
                    at = pop()
                    if at + 32 > len(memory):
                        gas = _expand(memory, gas, at + 32)
                    memory[at : at + 32] = pop().to_bytes(32, "big")
                elif op == 17:  # MLOAD
                    at = stack[-1]
                    if at + 32 > len(memory):
                        gas = _expand(memory, gas, at + 32)
                    stack[-1] = int.from_bytes(memory[at : at + 32], "big")
                elif op == 19:  # SHA3
                    at = pop()
                    size = stack[-1]
                    gas -= 6 * ((size + 31) >> 5)
                    if size and at + size > len(memory):
                        gas = _expand(memory, gas, at + size)
                    if gas < 0:
                        raise OutOfGas("out of gas")
                    stack[-1] = int.from_bytes(keccak_fast(memory[at : at + size]), "big")
                elif op == 20:  # SLOAD
                    slot = stack[-1]
                    gas -= sload_gas(state, here, slot)
                    if gas < 0:
                        raise OutOfGas("out of gas")
                    stack[-1] = state.storage(here, slot)
                elif op == 21:  # CALLDATALOAD
                    at = stack[-1]
                    if at + 32 <= len(data):
                        stack[-1] = int.from_bytes(data[at : at + 32], "big")
                    else:
                        word = bytes(data[at:]) if at < len(data) else b""
                        stack[-1] = int.from_bytes(word, "big") << 8 * (32 - len(word))
                elif op == 22:  # ADDRESS, CALLER, CALLVALUE, CALLDATASIZE
                    push(context[arg])
                elif op == 23:  # BINARY
                    a = pop()
                    stack[-1] = arg(a, stack[-1])
                else:  # NOT
                    stack[-1] ^= _WORD
            elif op == 25:  # LOG
                at = pop()
                size = pop()
                topics = tuple([pop().to_bytes(32, "big") for _ in range(arg)])
                if message.is_static:
                    raise WriteProtection("write protection")
                gas -= 8 * size
                if size and at + size > len(memory):
                    gas = _expand(memory, gas, at + size)
                if gas < 0:
                    raise OutOfGas("out of gas")
                payload = _read(memory, at, size)
                vm.logs.append(Log(address=Address(here), topics=topics, data=payload))
            elif op < 30:
                if op == 28:  # RETURNDATASIZE
                    push(len(frame.return_data))
                    continue
                # CALLDATACOPY, CODECOPY, RETURNDATACOPY
                to = pop()
                at = pop()
                size = pop()
                source = data if op == 26 else code if op == 27 else frame.return_data
                if op == 29 and at + size > len(source):
                    raise OutOfBoundsRead("return data out of bounds")
                gas -= 3 * ((size + 31) >> 5)
                if size:
                    if to + size > len(memory):
                        gas = _expand(memory, gas, to + size)
                    if gas < 0:
                        raise OutOfGas("out of gas")
                    part = source[at : at + size]
                    if len(part) < size:
                        part = bytes(part).ljust(size, b"\0")
                    memory[to : to + size] = part
                    part = b""
            elif op == 30:  # TLOAD
                value = state.transient.get((here, stack[-1]), b"")
                stack[-1] = int.from_bytes(value, "big")
            elif op == 31:  # TSTORE
                if message.is_static:
                    raise WriteProtection("write protection")
                slot = pop()
                state.set_transient(here, slot, pop().to_bytes(32, "big"))
            elif op == 32:  # SELFBALANCE
                push(state.balance(here))
            else:  # py-evm's function
                meter.gas_remaining = gas
                arg(frame)
                gas = meter.gas_remaining
                memory = frame._memory._bytes
                if stack and type(stack[-1]) is bytes:
                    stack[-1] = int.from_bytes(stack[-1], "big")
        end = block.end
        if end == 11:  # JUMPI_CONST
            offset = block.argument if pop() else block.following
        elif end == 12:  # JUMP_CONST
            offset = block.argument
        elif end == 0:  # FALL
            offset = block.following
        elif end < 3:  # JUMP, JUMPI
            offset = pop()
            if end == 2 and not pop():
                offset = block.following
            elif (
                offset not in blocks or code[offset : offset + 1] != b"\x5b"
            ) and offset not in program.destinations:  # a block begins at an instruction
                raise InvalidJumpDestination("invalid jump destination")
        elif end == 3:  # SSTORE
            gas = sstore(vm, message, gas, pop(), pop())
            offset = block.following
        elif end == 4:  # CALL, CALLCODE, DELEGATECALL, STATICCALL
            gas = call(frame, block.argument, stack, memory, gas, _expand)
            offset = block.following
        elif end == 8:  # STOP
            meter.gas_remaining = gas
            return
        elif end < 8 and end > 5:  # RETURN, REVERT
            at = pop()
            size = pop()
            if size and at + size > len(memory):
                gas = _expand(memory, gas, at + size)
            meter.gas_remaining = gas
            frame._output = _read(memory, at, size)
            if end == 7:
                if not size and frame.looked_at:
                    frame._output = explained(frame)
                raise Revert(REVERTED)
            return
        elif end == 5:  # CREATE, CREATE2
            meter.gas_remaining = gas
            frame.salt = stack[-4].to_bytes(32, "big") if block.argument == 0xF5 else b""
            # as a method: an instance that is called takes three of the 1,500 C calls that Python 3.12 can nest
            PRAGUE_OPCODES[block.argument].__call__(frame)
            gas = meter.gas_remaining
            memory = frame._memory._bytes
            if type(stack[-1]) is bytes:
                stack[-1] = int.from_bytes(stack[-1], "big")
            offset = block.following
        elif end == 9:  # SELFDESTRUCT
            meter.gas_remaining = vm.self_destruct(message, gas, pop())
            return
        elif end == 13:  # BALANCE, EXTCODECOPY
            account = stack[-1]
            meter.gas_remaining = gas
            PRAGUE_OPCODES[block.argument].__call__(frame)
            check_read(frame, block.argument, account)
            gas = meter.gas_remaining
            memory = frame._memory._bytes
            offset = block.following
        else:
            raise InvalidInstruction(f"invalid opcode: 0x{block.argument:x}")
        block = blocks.get(offset) or program.block(offset)
