"""EVM code, decoded for the interpreter as far as it was reached.

Code is cut into basic blocks when they are first reached. A block is a run of instructions that is
entered at its start only and left at its end, so its static gas, the stack it needs and the stack it
grows to are checked once, on entry. That is exact in effect: all ways to fail inside a block (out of
gas, stack, static call, return data) do the same thing, end the frame with all its gas and nothing
done. What must see the exact gas (SSTORE, calls, creations) ends a block; GAS knows what of its block
is still to come.

A push is fused with an operation that takes it. A block runs on over the next JUMPDESTs while it is
short: blocks cost more than instructions. So an instruction may be in several blocks, of which
`SHORT_BLOCK` instructions at most overlap.

The sender pays what code costs us: decoding by the gas of the instructions, which run at
least once, the search for jump destinations by the cold access to the account (EIP-2929) or by the
words of init code (EIP-3860). Therefore a transaction never searches the same code twice, whatever
the cache has dropped in the meantime.
"""

import re
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

from node.execution.frame.instructions import (
    DECODED,
    FALL,
    GAS,
    JUMP,
    JUMP_CONST,
    JUMPI,
    JUMPI_CONST,
    PUSH,
    SMALL_PUSHES,
    STOP,
    Instruction,
)
from node.execution.frame.jumpdests import JumpDestinations

MAX_BLOCK = 128  # instructions; bounds the work before the first gas check of a block
SHORT_BLOCK = 16  # instructions
CACHE_BYTES = 32 * 1024 * 1024  # of code and what it was decoded to, over all cached programs

UNCOUNTED_BYTES = 16 * 1024  # of a program, that the cache does not know of yet

# What an object takes in memory, about.
_PROGRAM_BYTES = 800
_BLOCK_BYTES = 360
_INSTRUCTION_BYTES = 12
_WIDE_PUSH_BYTES = 140

_PC, _GAS, _JUMPDEST = 0x58, 0x5A, 0x5B
_JUMPDESTS = re.compile(rb"\x5b*")
_NO_INSTRUCTIONS: list[Instruction] = []  # of all blocks without any: never changed


class BasicBlock:
    """A decoded basic block: what to check on entry, what to do, how it ends.

    `argument` is the opcode of CALL and CREATE, and the target of a jump whose push was fused.
    `following` is the offset after the block.
    """

    __slots__ = ("argument", "end", "following", "gas", "grows", "instructions", "needs")

    def __init__(
        self,
        instructions: list[Instruction] = _NO_INSTRUCTIONS,
        gas: int = 0,
        needs: int = 0,
        grows: int = 0,
        end: int = FALL,
        argument: int = 0,
        following: int = 0,
    ) -> None:
        self.instructions = instructions
        self.gas = gas
        self.needs = needs
        self.grows = grows
        self.end = end
        self.argument = argument
        self.following = following


class Program:
    """Code with the blocks that were reached so far. May be shared by threads.

    `held` is about what it takes in memory, in bytes. `grew` is called now and then when that has
    grown, at the latest `UNCOUNTED_BYTES` after the last time.
    """

    __slots__ = ("_grew", "_told", "blocks", "code", "destinations", "held")

    def __init__(
        self,
        code: bytes,
        destinations: JumpDestinations | None = None,
        grew: "Callable[[Program], None] | None" = None,
    ) -> None:
        self.code = code
        self.destinations = destinations if destinations is not None else JumpDestinations(code)
        self.blocks: dict[int, BasicBlock] = {}
        self.held = self._told = _PROGRAM_BYTES + len(code)
        self._grew = grew

    def forget(self) -> None:
        """Drop what was decoded; also while the program runs, which decodes again what it reaches."""
        self.blocks.clear()
        self.held = self._told = _PROGRAM_BYTES + len(self.code)

    def block(self, offset: int) -> BasicBlock:
        """The block that starts at `offset`, which is the start, a valid destination or a `following`."""
        found = self.blocks.get(offset)
        if found is None:
            found = self.blocks[offset] = self._decode(offset)
            self.held += _BLOCK_BYTES + _INSTRUCTION_BYTES * len(found.instructions)
            if self.held - self._told > UNCOUNTED_BYTES and self._grew is not None:
                self._told = self.held
                self._grew(self)
        return found

    def _decode(self, offset: int) -> BasicBlock:
        code = self.code
        if offset + 1 < len(code) and code[offset] == code[offset + 1] == _JUMPDEST:
            return self._fall_through(offset)
        return self._cut(offset, MAX_BLOCK)

    def _fall_through(self, offset: int) -> BasicBlock:
        """All JUMPDESTs from `offset` on but the last, which begins a block of its own.

        As a jump may go to any of them, what follows would else be decoded for each.
        """
        found = _JUMPDESTS.match(self.code, offset)
        assert found is not None
        last = found.end() - 1
        return BasicBlock(gas=last - offset, following=last)

    def _cut(self, offset: int, limit: int) -> BasicBlock:
        """The block at `offset`, of at most `limit` instructions before its end."""
        code = self.code
        size = len(code)
        instructions: list[Instruction] = []
        append = instructions.append
        gas_seen: list[int] = []  # where GAS is among the instructions
        gas = height = needs = grows = count = opcode = 0
        end = FALL
        at = offset
        while at < size and count < limit:
            opcode = code[at]
            instruction, cost, popped, delta, fused, end = DECODED[opcode]
            at += 1
            gas += cost
            if instruction is not None:
                if fused and instructions and instructions[-1][0] == PUSH:
                    instructions[-1] = (fused, instructions[-1][1])
                else:
                    append(instruction)
            elif 0x60 <= opcode <= 0x7F:
                append(self._push(at, at + opcode - 0x5F))
                at += opcode - 0x5F
            elif opcode == _JUMPDEST:
                if count >= SHORT_BLOCK:  # another block starts here
                    at -= 1
                    gas -= cost
                    break
            elif opcode == _GAS:
                gas_seen.append(len(instructions))
                append((GAS, gas))
            elif end == FALL:
                append((PUSH, at - 1 if opcode == _PC else size))
            count += 1
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
        for index in gas_seen:
            instructions[index] = (GAS, gas - instructions[index][1])
        argument = opcode
        if end in (JUMP, JUMPI) and instructions and instructions[-1][0] == PUSH:
            target = instructions[-1][1]
            if target in self.destinations:
                instructions.pop()
                argument = target
                end = JUMP_CONST if end == JUMP else JUMPI_CONST
        return BasicBlock(instructions or _NO_INSTRUCTIONS, gas, needs, grows, end, argument, at)

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


class ProgramCache:
    """Programs by code, the oldest dropped first when all take more than a number of bytes.

    A dropped program loses its blocks: a frame that still runs it decodes again what it reaches.
    """

    def __init__(self, limit: int = CACHE_BYTES, kind: type[Program] = Program) -> None:
        self._limit = limit
        self._kind = kind
        self._programs: OrderedDict[bytes, tuple[Program, int]] = (
            OrderedDict()
        )  # with bytes counted
        self._lock = Lock()
        self.held = 0
        """Bytes, of each program as far as it told."""

    def get(self, code: bytes, searched: dict[bytes, JumpDestinations]) -> Program:
        """The program of `code`; `searched` are the jump destinations the transaction asked for so far."""
        known = self._programs.get(code)
        if known is not None:
            return known[0]
        destinations = searched.get(code)
        if destinations is None:
            destinations = searched[code] = JumpDestinations(code)
        made = self._kind(code, destinations, self._count)
        with self._lock:
            known = self._programs.get(code)
            if known is not None:  # another thread was faster
                return known[0]
            self._programs[code] = (made, made.held)
            self.held += made.held
            self._trim()
        return made

    def _count(self, program: Program) -> None:
        with self._lock:
            known = self._programs.get(program.code)
            if known is not None and known[0] is program:
                held = program.held
                self.held += held - known[1]
                self._programs[program.code] = (program, held)
                self._trim()

    def _trim(self) -> None:
        while self.held > self._limit:
            _, (dropped, counted) = self._programs.popitem(last=False)
            self.held -= counted
            dropped.forget()


cache = ProgramCache()
"""Of the whole process."""
