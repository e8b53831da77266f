"""EVM code, decoded once for the interpreter.

Code is cut into basic blocks when they are first reached. A block is a run of instructions that is
entered at its start only and left at its end, so its static gas, the stack it needs and the stack it
grows to are checked once, on entry. That is exact in effect: all ways to fail inside a block (out of
gas, stack, static call, return data) do the same thing, end the frame with all its gas and nothing
done. What must see the exact gas (GAS, SSTORE, calls, creations) ends a block.

Instructions get their own numbers, in the order in which the interpreter asks for them, and an
argument: the pushed value, the stack index, py-evm's function. A push is fused with an operation that
takes it.
"""

import re
from collections import OrderedDict
from threading import Lock
from typing import Any

from node.execution.pyevm import PRAGUE_OPCODES

MAX_BLOCK = 128  # instructions; bounds the work before the first gas check of a block
CACHE_BYTES = 4 * 1024 * 1024  # of code, over all cached programs

# Instructions inside blocks. The interpreter compares with the literal numbers.
PUSH, DUP, SWAP, POP = 0, 1, 2, 3
ADD, SUB, MUL, DIV, MOD, AND, OR = 4, 5, 6, 7, 8, 9, 10
LT, GT, EQ, ISZERO, SHL, SHR = 11, 12, 13, 14, 15, 16
MLOAD, MSTORE, SHA3, SLOAD, CALLDATALOAD, CONTEXT, BINARY, NOT = 17, 18, 19, 20, 21, 22, 23, 24
LOG, CALLDATACOPY, CODECOPY, RETURNDATASIZE, RETURNDATACOPY = 25, 26, 27, 28, 29
TLOAD, TSTORE, SELFBALANCE, FALLBACK = 30, 31, 32, 33
ADD_CONST, AND_CONST, EQ_CONST, SHR_CONST, MLOAD_CONST, MSTORE_CONST, SHL_CONST = range(34, 41)

# Ends of blocks.
FALL, JUMP, JUMPI, GAS, SSTORE, CALL, CREATE, RETURN, REVERT, STOP, SELFDESTRUCT, INVALID = range(
    12
)
JUMPI_CONST, JUMP_CONST = 12, 13

_WORD = (1 << 256) - 1
_SIGN = 1 << 255


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


# opcode -> (instruction, static gas, popped, pushed); the argument is found in _argument
_PLAIN: dict[int, tuple[int, int, int, int]] = {
    0x01: (ADD, 3, 2, 1),
    0x02: (MUL, 5, 2, 1),
    0x03: (SUB, 3, 2, 1),
    0x04: (DIV, 5, 2, 1),
    0x06: (MOD, 5, 2, 1),
    0x10: (LT, 3, 2, 1),
    0x11: (GT, 3, 2, 1),
    0x12: (BINARY, 3, 2, 1),
    0x13: (BINARY, 3, 2, 1),
    0x14: (EQ, 3, 2, 1),
    0x15: (ISZERO, 3, 1, 1),
    0x16: (AND, 3, 2, 1),
    0x17: (OR, 3, 2, 1),
    0x18: (BINARY, 3, 2, 1),
    0x19: (NOT, 3, 1, 1),
    0x1A: (BINARY, 3, 2, 1),
    0x1B: (SHL, 3, 2, 1),
    0x1C: (SHR, 3, 2, 1),
    0x1D: (BINARY, 3, 2, 1),
    0x20: (SHA3, 30, 2, 1),
    0x30: (CONTEXT, 2, 0, 1),
    0x33: (CONTEXT, 2, 0, 1),
    0x34: (CONTEXT, 2, 0, 1),
    0x35: (CALLDATALOAD, 3, 1, 1),
    0x36: (CONTEXT, 2, 0, 1),
    0x37: (CALLDATACOPY, 3, 3, 0),
    0x39: (CODECOPY, 3, 3, 0),
    0x3D: (RETURNDATASIZE, 2, 0, 1),
    0x3E: (RETURNDATACOPY, 3, 3, 0),
    0x47: (SELFBALANCE, 5, 0, 1),
    0x50: (POP, 2, 1, 0),
    0x51: (MLOAD, 3, 1, 1),
    0x52: (MSTORE, 3, 2, 0),
    0x54: (SLOAD, 0, 1, 1),
    0x5C: (TLOAD, 100, 1, 1),
    0x5D: (TSTORE, 100, 2, 0),
}
_BINARY_FUNCTIONS = {0x12: _slt, 0x13: _sgt, 0x18: _xor, 0x1A: _byte, 0x1D: _sar}
# index into the frame's context values, see interpreter.run
_CONTEXT_INDEX = {0x30: 0, 0x33: 1, 0x34: 2, 0x36: 3}

# opcode -> (popped, pushed) of what is left to py-evm, which charges the gas itself
_FALLBACK_STACK: dict[int, tuple[int, int]] = {
    0x05: (2, 1),
    0x07: (2, 1),
    0x08: (3, 1),
    0x09: (3, 1),
    0x0A: (2, 1),
    0x0B: (2, 1),
    0x31: (1, 1),
    0x32: (0, 1),
    0x3A: (0, 1),
    0x3B: (1, 1),
    0x3C: (4, 0),
    0x3F: (1, 1),
    0x40: (1, 1),
    **dict.fromkeys((*range(65, 71), 72, 74, 89), (0, 1)),
    0x49: (1, 1),
    0x53: (2, 0),
    0x5E: (3, 0),
}

# opcode -> (end, static gas, popped, pushed)
_ENDS: dict[int, tuple[int, int, int, int]] = {
    0x00: (STOP, 0, 0, 0),
    0x55: (SSTORE, 0, 2, 0),
    0x56: (JUMP, 8, 1, 0),
    0x57: (JUMPI, 10, 2, 0),
    0x5A: (GAS, 2, 0, 1),
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

# A JUMPDEST, or a push with its data (cut short at the end of the code).
_TOKEN = re.compile(
    rb"\x5b|"
    + b"|".join(re.escape(bytes([0x5F + size])) + b".{0,%d}" % size for size in range(1, 33)),
    re.DOTALL,
)


class Block:
    """A decoded basic block: what to check on entry, what to do, how it ends.

    `argument` is the opcode of CALL and CREATE, and the target of a jump whose push was fused.
    `following` is the offset after the block.
    """

    __slots__ = ("argument", "end", "following", "gas", "grows", "instructions", "needs")

    def __init__(self) -> None:
        self.instructions: list[tuple[int, Any]] = []
        self.gas = 0
        self.needs = 0
        self.grows = 0
        self.end = FALL
        self.argument = 0
        self.following = 0


class Program:
    """Code with the blocks that were reached so far. May be shared by threads."""

    __slots__ = ("_destinations", "blocks", "code")

    def __init__(self, code: bytes) -> None:
        self.code = code
        self.blocks: dict[int, Block] = {}
        self._destinations: frozenset[int] | None = None

    def is_destination(self, offset: int) -> bool:
        """Whether a jump may go to `offset`: a JUMPDEST that is no push data."""
        found = self._destinations
        if found is None:
            matches = _TOKEN.finditer(self.code)
            found = frozenset(m.start() for m in matches if m[0] == b"\x5b")
            self._destinations = found
        return offset in found

    def block(self, offset: int) -> Block:
        """The block that starts at `offset`, which is the start, a valid destination or a `following`."""
        found = self.blocks.get(offset)
        if found is None:
            found = self.blocks[offset] = self._decode(offset)
        return found

    def _decode(self, offset: int) -> Block:
        return self._cut(offset, MAX_BLOCK)

    def _cut(self, offset: int, limit: int) -> Block:
        """The block at `offset`, of at most `limit` instructions before its end."""
        code = self.code
        size = len(code)
        block = Block()
        instructions = block.instructions
        height = 0
        at = offset
        while at < size and at - offset < 33 * MAX_BLOCK and len(instructions) < limit:
            opcode = code[at]
            at += 1
            if opcode == 0x5B:
                if at - 1 != offset:  # another block starts here
                    at -= 1
                    break
                block.gas += 1
                continue
            if opcode in _ENDS:
                block.end, gas, popped, pushed = _ENDS[opcode]
                block.argument = opcode
            elif 0x5F <= opcode <= 0x9F or 0xA0 <= opcode <= 0xA4 or opcode in _PLAIN:
                at, gas, popped, pushed = _append(instructions, code, at, opcode)
            elif opcode in _FALLBACK_STACK:
                popped, pushed = _FALLBACK_STACK[opcode]
                gas = 0
                instructions.append((FALLBACK, PRAGUE_OPCODES[opcode]))
            elif opcode == 0x58:
                gas, popped, pushed = 2, 0, 1
                instructions.append((PUSH, at - 1))
            elif opcode == 0x38:
                gas, popped, pushed = 2, 0, 1
                instructions.append((PUSH, size))
            else:
                block.end, gas, popped, pushed = INVALID, 0, 0, 0
                block.argument = opcode
            block.gas += gas
            block.needs = max(block.needs, popped - height)
            height += pushed - popped
            block.grows = max(block.grows, height)
            if block.end != FALL:
                break
        else:
            if at >= size:
                block.end = STOP
        if block.end in (JUMP, JUMPI):
            self._fuse_jump(block)
        block.following = at
        return block

    def _fuse_jump(self, block: Block) -> None:
        instructions = block.instructions
        if instructions and instructions[-1][0] == PUSH:
            target = instructions[-1][1]
            if self.is_destination(target):
                instructions.pop()
                block.argument = target
                block.end = JUMP_CONST if block.end == JUMP else JUMPI_CONST


def _append(
    instructions: list[tuple[int, Any]], code: bytes, at: int, opcode: int
) -> tuple[int, int, int, int]:
    """Decode a plain instruction whose operands begin at `at`: (next offset, gas, popped, pushed)."""
    if 0x5F <= opcode <= 0x7F:
        width = opcode - 0x5F
        data = code[at : at + width]
        instructions.append((PUSH, int.from_bytes(data, "big") << 8 * (width - len(data))))
        return at + width, 3 if width else 2, 0, 1
    if 0x80 <= opcode <= 0x8F:
        instructions.append((DUP, 0x7F - opcode))
        return at, 3, opcode - 0x7F, opcode - 0x7E
    if 0x90 <= opcode <= 0x9F:
        instructions.append((SWAP, 0x8E - opcode))
        return at, 3, opcode - 0x8E, opcode - 0x8E
    if 0xA0 <= opcode <= 0xA4:
        topics = opcode - 0xA0
        instructions.append((LOG, topics))
        return at, 375 + 375 * topics, 2 + topics, 0
    instruction, gas, popped, pushed = _PLAIN[opcode]
    if instruction in _FUSED and instructions and instructions[-1][0] == PUSH:
        instructions[-1] = (_FUSED[instruction], instructions[-1][1])
    elif instruction == BINARY:
        instructions.append((BINARY, _BINARY_FUNCTIONS[opcode]))
    else:
        instructions.append((instruction, _CONTEXT_INDEX.get(opcode)))
    return at, gas, popped, pushed


class _Cache:
    """Programs by code, the oldest dropped first when their code exceeds a number of bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._programs: OrderedDict[bytes, Program] = OrderedDict()
        self._lock = Lock()

    def get(self, code: bytes) -> Program:
        program = self._programs.get(code)
        if program is None:
            program = Program(code)
            with self._lock:
                if code not in self._programs:
                    self._programs[code] = program
                    self._size += len(code)
                while self._size > self._limit:
                    self._size -= len(self._programs.popitem(last=False)[0])
        return program


program_of = _Cache(CACHE_BYTES).get
"""The program of code, from a bounded cache that all threads share."""
