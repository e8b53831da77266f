"""Executions that end in time: users' requests are bounded by a clock as well as by gas.

Long executions jump back or call, so the clock is read at jump destinations and at the beginning of calls. The
code in between is bounded by its size and the price of one instruction. Blocks are never run this way: their
outcome must not depend on a clock.
"""

from collections.abc import Mapping
from time import monotonic
from typing import Any

from node.execution.evm.evm import Evm
from node.execution.evm.machine import Machine
from node.execution.evm.precompile_table import PRECOMPILES, Precompile
from node.execution.frame.frame import EvmMessage, Frame
from node.execution.frame.instructions import FALLBACK
from node.execution.frame.program import CACHE_BYTES, BasicBlock, Program, ProgramCache
from node.execution.state.state import State
from node.execution.trie.errors import ExecutionTimedOut

_JUMPDEST = 0x5B


def tick(frame: Frame) -> None:
    """An instruction that costs no gas and ends an execution whose time is over."""
    machine: Any = frame.vm  # a TimedMachine: only it runs a program with this instruction
    if monotonic() > machine.deadline:
        raise ExecutionTimedOut("the time for this execution is up")


class TimedProgram(Program):
    """Code whose jump destinations read the clock of the machine that runs them."""

    __slots__ = ()

    def _decode(self, offset: int) -> BasicBlock:
        block = super()._decode(offset)
        if offset < len(self.code) and self.code[offset] == _JUMPDEST:
            block.instructions = [(FALLBACK, tick), *block.instructions]
        return block


cache = ProgramCache(CACHE_BYTES // 4, TimedProgram)
"""Of the whole process."""


class TimedMachine(Machine):
    """A machine that raises ExecutionTimedOut once `deadline`, in seconds of time.monotonic, has passed."""

    def __init__(self, deadline: float, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.deadline = deadline
        self.program_of = self._timed_program

    def hurry(self, seconds: float) -> None:
        """End in so many seconds, if not before."""
        self.deadline = min(self.deadline, monotonic() + seconds)

    def _timed_program(self, code: bytes) -> Program:
        return cache.get(code, self._searched)

    def execute(self, message: EvmMessage) -> Frame:
        if monotonic() > self.deadline:
            raise ExecutionTimedOut("the time for this execution is up")
        return super().execute(message)


class TimedEvm(Evm):
    """An EVM whose transactions and calls raise ExecutionTimedOut after `deadline`.

    The state is left in the middle then: use one that is thrown away. `precompiles` are its precompiles by
    address, after overrides (`overrides.moved_precompiles`).
    """

    def __init__(
        self,
        chain_id: int,
        deadline: float,
        precompiles: Mapping[bytes, Precompile] = PRECOMPILES,
    ) -> None:
        super().__init__(chain_id)
        self.deadline = deadline
        self.precompiles = precompiles

    def machine(self, state: State, context: Any, **options: Any) -> Machine:
        machine = TimedMachine(self.deadline, state, context, **options)
        machine.precompiles = self.precompiles
        return machine
