"""Decoding of opcodes: the interpreter's own instruction numbers, and the opcodes that become them.

Instructions are numbered in the order in which the interpreter asks for them; it compares with the
literal numbers. Each has an argument: the pushed value, the stack index, a function.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from node.execution.frame.pyevm import PRAGUE_OPCODES

# Instructions inside blocks.
PUSH, DUP, SWAP, POP = 0, 1, 2, 3
ADD, SUB, MUL, DIV, MOD, AND, OR = 4, 5, 6, 7, 8, 9, 10
LT, GT, EQ, ISZERO, SHL, SHR = 11, 12, 13, 14, 15, 16
MLOAD, MSTORE, SHA3, SLOAD, CALLDATALOAD, CONTEXT, BINARY, NOT = 17, 18, 19, 20, 21, 22, 23, 24
LOG, CALLDATACOPY, CODECOPY, RETURNDATASIZE, RETURNDATACOPY = 25, 26, 27, 28, 29
TLOAD, TSTORE, SELFBALANCE, FALLBACK = 30, 31, 32, 33
ADD_CONST, AND_CONST, EQ_CONST, SHR_CONST, MLOAD_CONST, MSTORE_CONST, SHL_CONST = range(34, 41)
GAS, ENVIRONMENT, MSTORE8, TERNARY, MCOPY, EXP, MSIZE, BLOBHASH = range(41, 49)

# Ends of blocks.
FALL, JUMP, JUMPI, SSTORE, CALL, CREATE, RETURN, REVERT, STOP, SELFDESTRUCT, INVALID = range(11)
JUMPI_CONST, JUMP_CONST, READ_ACCOUNT = 11, 12, 13

_WORD = (1 << 256) - 1
_SIGN = 1 << 255
_ADDRESS = (1 << 160) - 1

Instruction = tuple[int, Any]


def _signed(value: int) -> int:
    return value - (1 << 256) if value & _SIGN else value


def _slt(a: int, b: int) -> int:
    return 1 if _signed(a) < _signed(b) else 0


def _sgt(a: int, b: int) -> int:
    return 1 if _signed(a) > _signed(b) else 0


def _xor(a: int, b: int) -> int:
    return a ^ b


def _byte(position: int, value: int) -> int:
    return value >> (248 - 8 * position) & 0xFF if position < 32 else 0


def _sar(shift: int, value: int) -> int:
    return _signed(value) >> min(shift, 256) & _WORD


def _sdiv(a: int, b: int) -> int:
    """Rounds towards zero. -2^255 / -1 wraps to -2^255."""
    if not b:
        return 0
    a, b = _signed(a), _signed(b)
    quotient = abs(a) // abs(b)
    return (quotient if (a < 0) == (b < 0) else -quotient) & _WORD


def _smod(a: int, b: int) -> int:
    """The sign is that of the dividend."""
    if not b:
        return 0
    a = _signed(a)
    rest = abs(a) % abs(_signed(b))
    return (-rest if a < 0 else rest) & _WORD


def _signextend(position: int, value: int) -> int:
    """Extend the two's complement number whose highest byte is that at `position`, the lowest being 0."""
    if position > 30:
        return value
    sign = 1 << 8 * position + 7
    return value | _WORD + 1 - sign if value & sign else value & sign - 1


def _addmod(a: int, b: int, modulus: int) -> int:
    return (a + b) % modulus if modulus else 0


def _mulmod(a: int, b: int, modulus: int) -> int:
    return a * b % modulus if modulus else 0


def _look(opcode: Callable[[Any], None], frame: Any) -> None:
    """Look at an account's code, and remember which."""
    address = (frame._stack.values[-1] & _ADDRESS).to_bytes(20, "big")
    opcode(frame)
    frame.looked_at = address


# opcode -> (instruction, static gas, popped, pushed) of those without an argument
_PLAIN: dict[int, tuple[int, int, int, int]] = {
    0x01: (ADD, 3, 2, 1),
    0x02: (MUL, 5, 2, 1),
    0x03: (SUB, 3, 2, 1),
    0x04: (DIV, 5, 2, 1),
    0x06: (MOD, 5, 2, 1),
    0x0A: (EXP, 10, 2, 1),
    0x10: (LT, 3, 2, 1),
    0x11: (GT, 3, 2, 1),
    0x14: (EQ, 3, 2, 1),
    0x15: (ISZERO, 3, 1, 1),
    0x16: (AND, 3, 2, 1),
    0x17: (OR, 3, 2, 1),
    0x19: (NOT, 3, 1, 1),
    0x1B: (SHL, 3, 2, 1),
    0x1C: (SHR, 3, 2, 1),
    0x20: (SHA3, 30, 2, 1),
    0x35: (CALLDATALOAD, 3, 1, 1),
    0x37: (CALLDATACOPY, 3, 3, 0),
    0x39: (CODECOPY, 3, 3, 0),
    0x3D: (RETURNDATASIZE, 2, 0, 1),
    0x3E: (RETURNDATACOPY, 3, 3, 0),
    0x47: (SELFBALANCE, 5, 0, 1),
    0x49: (BLOBHASH, 3, 1, 1),
    0x50: (POP, 2, 1, 0),
    0x51: (MLOAD, 3, 1, 1),
    0x52: (MSTORE, 3, 2, 0),
    0x53: (MSTORE8, 3, 2, 0),
    0x54: (SLOAD, 0, 1, 1),
    0x59: (MSIZE, 2, 0, 1),
    0x5C: (TLOAD, 100, 1, 1),
    0x5D: (TSTORE, 100, 2, 0),
    0x5E: (MCOPY, 3, 3, 0),
}
_BINARY = {  # opcode -> (function, gas)
    0x05: (_sdiv, 5),
    0x07: (_smod, 5),
    0x0B: (_signextend, 5),
    0x12: (_slt, 3),
    0x13: (_sgt, 3),
    0x18: (_xor, 3),
    0x1A: (_byte, 3),
    0x1D: (_sar, 3),
}
_TERNARY = {0x08: (_addmod, 8), 0x09: (_mulmod, 8)}
# index into the values of the frame, see interpreter.run: ADDRESS, CALLER, CALLVALUE, CALLDATASIZE
_CONTEXT_INDEX = {0x30: 0, 0x33: 1, 0x34: 2, 0x36: 3}
# index into Vm.environment: ORIGIN, GASPRICE, COINBASE, TIMESTAMP, NUMBER, PREVRANDAO, GASLIMIT,
# CHAINID, BASEFEE, BLOBBASEFEE
_ENVIRONMENT_INDEX = {
    opcode: index
    for index, opcode in enumerate((0x32, 0x3A, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x48, 0x4A))
}
# opcode -> (popped, pushed) of what is left to py-evm, which charges the gas itself
_FALLBACK_STACK: dict[int, tuple[int, int]] = {
    0x3B: (1, 1),  # EXTCODESIZE
    0x3F: (1, 1),  # EXTCODEHASH
    0x40: (1, 1),  # BLOCKHASH
}
# opcode -> (end, static gas, popped, pushed)
_ENDS: dict[int, tuple[int, int, int, int]] = {
    0x00: (STOP, 0, 0, 0),
    0x31: (READ_ACCOUNT, 0, 1, 1),  # BALANCE
    0x3C: (READ_ACCOUNT, 0, 4, 0),  # EXTCODECOPY
    0x55: (SSTORE, 0, 2, 0),
    0x56: (JUMP, 8, 1, 0),
    0x57: (JUMPI, 10, 2, 0),
    0xF0: (CREATE, 0, 3, 1),
    0xF1: (CALL, 0, 7, 1),
    0xF2: (CALL, 0, 7, 1),
    0xF3: (RETURN, 0, 2, 0),
    0xF4: (CALL, 0, 6, 1),
    0xF5: (CREATE, 0, 4, 1),
    0xFA: (CALL, 0, 6, 1),
    0xFD: (REVERT, 0, 2, 0),
    0xFF: (SELFDESTRUCT, 5000, 1, 0),
}
_FUSED = {
    ADD: ADD_CONST,
    AND: AND_CONST,
    EQ: EQ_CONST,
    SHR: SHR_CONST,
    SHL: SHL_CONST,
    MLOAD: MLOAD_CONST,
    MSTORE: MSTORE_CONST,
}


Decoded = tuple[Instruction | None, int, int, int, int, int]
"""The instruction, None where the decoder has to look at more than the opcode; its static gas; the items
it pops; those it pushes less those it pops; the instruction that it and a push before it become, or 0;
how it ends a block, or FALL."""


def _decoded(opcode: int) -> Decoded:
    if 0x60 <= opcode <= 0x7F:
        return None, 3, 0, 1, 0, FALL
    if 0x80 <= opcode <= 0x8F:
        return (DUP, 0x7F - opcode), 3, opcode - 0x7F, 1, 0, FALL
    if 0x90 <= opcode <= 0x9F:
        return (SWAP, 0x8E - opcode), 3, opcode - 0x8E, 0, 0, FALL
    if 0xA0 <= opcode <= 0xA4:
        topics = opcode - 0xA0
        return (LOG, topics), 375 + 375 * topics, 2 + topics, -2 - topics, 0, FALL
    if opcode in _PLAIN:
        number, gas, popped, pushed = _PLAIN[opcode]
        return (number, None), gas, popped, pushed - popped, _FUSED.get(number, 0), FALL
    if opcode in _BINARY:
        return (BINARY, _BINARY[opcode][0]), _BINARY[opcode][1], 2, -1, 0, FALL
    if opcode in _TERNARY:
        return (TERNARY, _TERNARY[opcode][0]), _TERNARY[opcode][1], 3, -2, 0, FALL
    if opcode in _CONTEXT_INDEX:
        return (CONTEXT, _CONTEXT_INDEX[opcode]), 2, 0, 1, 0, FALL
    if opcode in _ENVIRONMENT_INDEX:
        return (ENVIRONMENT, _ENVIRONMENT_INDEX[opcode]), 2, 0, 1, 0, FALL
    if opcode in _FALLBACK_STACK:
        popped, pushed = _FALLBACK_STACK[opcode]
        function = PRAGUE_OPCODES[opcode]
        if opcode != 0x40:  # not BLOCKHASH
            function = partial(_look, function)
        return (FALLBACK, function), 0, popped, pushed - popped, 0, FALL
    if opcode in _ENDS:
        end, gas, popped, pushed = _ENDS[opcode]
        return None, gas, popped, pushed - popped, 0, end
    if opcode == 0x5F:
        return (PUSH, 0), 2, 0, 1, 0, FALL
    if opcode in (0x38, 0x58, 0x5A):  # CODESIZE, PC, GAS
        return None, 2, 0, 1, 0, FALL
    if opcode == 0x5B:
        return None, 1, 0, 0, 0, FALL
    return None, 0, 0, 0, 0, INVALID


DECODED: tuple[Decoded, ...] = tuple(map(_decoded, range(256)))
"""By opcode."""

SMALL_PUSHES: tuple[Instruction, ...] = tuple((PUSH, value) for value in range(256))
"""One object for each constant of one byte, however often it is pushed."""
