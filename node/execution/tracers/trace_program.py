"""Code decoded for a trace: one instruction to a block, with a probe before those that are watched.

The interpreter that runs a traced frame is the one that runs every frame. A probe is a block of its own
that calls the observer and charges nothing; the instruction follows at the complement of its offset,
which no jump can name. Jump destinations look at the clock, as in `timed`. So gas and effects under a
trace are those without it, by construction.
"""

from collections.abc import Collection
from functools import partial
from typing import Protocol

from node.execution.evm.timed import tick
from node.execution.frame.frame import Frame
from node.execution.frame.instructions import FALL, FALLBACK, STOP
from node.execution.frame.program import BasicBlock, Program
from node.execution.frame.pyevm import PRAGUE_OPCODES

_JUMPDEST = 0x5B
_GETH_NAMES = {0x20: "KECCAK256", 0x44: "DIFFICULTY", 0xFE: "INVALID", 0xFF: "SELFDESTRUCT"}


def opcode_name(opcode: int) -> str:
    """An instruction's mnemonic as geth prints it."""
    if opcode in _GETH_NAMES:
        return _GETH_NAMES[opcode]
    name = getattr(PRAGUE_OPCODES.get(opcode), "mnemonic", None)
    return str(name) if name is not None else f"opcode 0x{opcode:x} not defined"


class Probe(Protocol):
    """Called before an instruction's checks."""

    def __call__(self, frame: Frame, offset: int, opcode: int, static_gas: int) -> None: ...


class TracedProgram(Program):
    """`watched` are the opcodes before which `probe` is called; None stands for all."""

    __slots__ = ("_probe", "_watched")

    def __init__(self, code: bytes, probe: Probe, watched: Collection[int] | None) -> None:
        super().__init__(code)
        self._probe = probe
        self._watched = watched

    def _decode(self, offset: int) -> BasicBlock:
        if offset < 0:
            return self._single(~offset)
        single = self._single(offset)
        opcode = self.code[offset] if offset < len(self.code) else 0
        if self._watched is not None and opcode not in self._watched:
            return single
        block = BasicBlock()
        probe = partial(self._probe, offset=offset, opcode=opcode, static_gas=single.gas)
        block.instructions = [(FALLBACK, probe)]
        block.following = ~offset
        return block

    def _single(self, offset: int) -> BasicBlock:
        if offset < len(self.code) and self.code[offset] == _JUMPDEST:
            block = BasicBlock()
            block.gas = 1
            block.instructions = [(FALLBACK, tick)]
            block.following = offset + 1
            return block
        block = self._cut(offset, limit=1)
        if block.end == STOP and offset < len(self.code) and self.code[offset]:
            block.end = FALL  # the STOP that follows all code is an instruction of its own
        return block
