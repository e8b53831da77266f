"""EVM code, decoded for the interpreter as far as it was reached.

Code is cut into basic blocks when they are first reached. A block is a run of instructions that is
entered at its start only and left at its end, so its static gas, the stack it needs and the stack it
grows to are checked once, on entry. That is exact in effect: all ways to fail inside a block (out of
gas, stack, static call, return data) do the same thing, end the frame with all its gas and nothing
done. What must see the exact gas (GAS, SSTORE, calls, creations) ends a block.

A push is fused with an operation that takes it. An instruction belongs to one block only, so the
blocks of a program hold no more than its code has instructions.

What code costs us is paid by whoever sent it: decoding by the gas of the instructions, which run at
least once, the search for jump destinations by the cold access to the account (EIP-2929) or by the
words of init code (EIP-3860). Therefore a transaction never searches the same code twice, whatever
the cache has dropped in the meantime.
"""

import re
from collections import OrderedDict
from threading import Lock

from node.execution.instructions import (
    DECODED,
    FALL,
    JUMP,
    JUMP_CONST,
    JUMPI,
    JUMPI_CONST,
    PUSH,
    SMALL_PUSHES,
    STOP,
    Instruction,
)
from node.execution.jumpdests import JumpDestinations

MAX_BLOCK = 128  # instructions; bounds the work before the first gas check of a block
CACHE_BYTES = 32 * 1024 * 1024  # of code and what it was decoded to, over all cached programs

# What an object takes in memory, about.
_PROGRAM_BYTES = 800
_BLOCK_BYTES = 360
_INSTRUCTION_BYTES = 12
_WIDE_PUSH_BYTES = 140

_JUMPDEST = 0x5B
_JUMPDESTS = re.compile(rb"\x5b*")
_NO_INSTRUCTIONS: list[Instruction] = []  # of all blocks without any: never changed


class Block:
    """A decoded basic block: what to check on entry, what to do, how it ends.

    `argument` is the opcode of CALL and CREATE, and the target of a jump whose push was fused.
    `following` is the offset after the block.
    """

    __slots__ = ("argument", "end", "following", "gas", "grows", "instructions", "needs")

    def __init__(self) -> None:
        self.instructions: list[Instruction] = _NO_INSTRUCTIONS
        self.gas = 0
        self.needs = 0
        self.grows = 0
        self.end = FALL
        self.argument = 0
        self.following = 0


class Program:
    """Code with the blocks that were reached so far. May be shared by threads.

    `held` is about what it takes in memory, in bytes. Whoever bounds that may clear `blocks` at any
    time, also while the program runs, and set `held` back.
    """

    __slots__ = ("blocks", "code", "destinations", "held")

    def __init__(self, code: bytes, destinations: JumpDestinations | None = None) -> None:
        self.code = code
        self.destinations = destinations if destinations is not None else JumpDestinations(code)
        self.blocks: dict[int, Block] = {}
        self.held = _PROGRAM_BYTES + len(code)

    def forget(self) -> None:
        """Drop what was decoded."""
        self.blocks.clear()
        self.held = _PROGRAM_BYTES + len(self.code)

    def block(self, offset: int) -> Block:
        """The block that starts at `offset`, which is the start, a valid destination or a `following`."""
        found = self.blocks.get(offset)
        if found is None:
            found = self.blocks[offset] = self._decode(offset)
            self.held += _BLOCK_BYTES + _INSTRUCTION_BYTES * len(found.instructions)
        return found

    def _decode(self, offset: int) -> Block:
        code = self.code
        if offset + 1 < len(code) and code[offset] == code[offset + 1] == _JUMPDEST:
            return self._fall_through(offset)
        return self._cut(offset, MAX_BLOCK)

    def _fall_through(self, offset: int) -> Block:
        """All JUMPDESTs from `offset` on but the last, which begins a block of its own.

        As a jump may go to any of them, what follows would else be decoded for each.
        """
        found = _JUMPDESTS.match(self.code, offset)
        assert found is not None
        block = Block()
        block.following = found.end() - 1
        block.gas = block.following - offset
        return block

    def _cut(self, offset: int, limit: int) -> Block:
        """The block at `offset`, of at most `limit` instructions before its end."""
        code = self.code
        size = len(code)
        instructions: list[Instruction] = []
        append = instructions.append
        gas = height = needs = grows = count = 0
        end = FALL
        at = offset
        opcode = 0
        if at < size and code[at] == _JUMPDEST:
            gas = 1
            at += 1
        while at < size and count < limit:
            opcode = code[at]
            instruction, cost, popped, delta, fused, end = DECODED[opcode]
            if instruction is not None:
                if fused and instructions and instructions[-1][0] == PUSH:
                    instructions[-1] = (fused, instructions[-1][1])
                else:
                    append(instruction)
                at += 1
            elif 0x60 <= opcode <= 0x7F:
                at += opcode - 0x5E
                append(self._push(at - opcode + 0x5F, at))
            elif opcode == _JUMPDEST:  # another block starts here
                break
            else:
                at += 1
                if end == FALL:
                    append((PUSH, at - 1 if opcode == 0x58 else size))  # PC, CODESIZE
            count += 1
            gas += cost
            if popped - height > needs:
                needs = popped - height
            height += delta
            if height > grows:
                grows = height
            if end != FALL:
                break
        else:
            if at >= size:
                end = STOP
        block = Block()
        if instructions:
            block.instructions = instructions
        block.gas = gas
        block.needs = needs
        block.grows = grows
        block.end = end
        block.argument = opcode
        block.following = at
        if end in (JUMP, JUMPI):
            self._fuse_jump(block)
        return block

    def _push(self, begin: int, end: int) -> Instruction:
        """The push whose data are there, zeros where the code has ended."""
        data = self.code[begin:end]
        value = int.from_bytes(data, "big")
        if end > len(self.code):
            value <<= 8 * (end - begin - len(data))
        if value < 256:
            return SMALL_PUSHES[value]
        self.held += _WIDE_PUSH_BYTES
        return PUSH, value

    def _fuse_jump(self, block: Block) -> None:
        instructions = block.instructions
        if instructions and instructions[-1][0] == PUSH:
            target = instructions[-1][1]
            if target in self.destinations:
                instructions.pop()
                block.argument = target
                block.end = JUMP_CONST if block.end == JUMP else JUMPI_CONST


class ProgramCache:
    """Programs by code, the oldest dropped first when all take more than a number of bytes.

    A dropped program loses its blocks: a frame that still runs it decodes again what it reaches.
    """

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        self._limit = limit
        self._programs: OrderedDict[bytes, tuple[Program, int]] = OrderedDict()
        self._lock = Lock()
        self.held = 0
        """Bytes, as of the last time each program was asked for."""

    def get(self, code: bytes, searched: dict[bytes, JumpDestinations]) -> Program:
        """The program of `code`; `searched` are the jump destinations the transaction asked for so far."""
        known = self._programs.get(code)
        if known is not None and known[0].held <= known[1]:
            return known[0]
        with self._lock:
            return self._count(code, searched)

    def _count(self, code: bytes, searched: dict[bytes, JumpDestinations]) -> Program:
        known = self._programs.get(code)
        if known is None:
            destinations = searched.get(code)
            if destinations is None:
                destinations = searched[code] = JumpDestinations(code)
            program, counted = Program(code, destinations), 0
        else:
            program, counted = known
        held = program.held
        self._programs[code] = (program, held)
        self.held += held - counted
        while self.held > self._limit and len(self._programs) > 1:
            _, (dropped, bytes_counted) = self._programs.popitem(last=False)
            self.held -= bytes_counted
            dropped.forget()
        return program


cache = ProgramCache()
"""Of the whole process."""
