"""The struct logger: every instruction with its gas, stack, and what else is asked for, as geth has it."""

from dataclasses import dataclass
from typing import Any

from node.execution.evm.calls import CALL_STIPEND
from node.execution.evm.evm import error_text
from node.execution.evm.machine import Machine
from node.execution.evm.results import CallResult, TransactionResult
from node.execution.frame.frame import EvmMessage, Frame
from node.execution.frame.pyevm import Revert
from node.execution.state.state import State
from node.execution.tracers.trace_program import opcode_name
from node.execution.tracers.tracing import TraceBudget, Tracer

_SLOAD, _SSTORE = 0x54, 0x55
_CALLS = frozenset({0xF1, 0xF2, 0xF4, 0xFA})
_CALLS_WITH_VALUE = frozenset({0xF1, 0xF2})
_CREATIONS = frozenset({0xF0, 0xF5})
_STEP_BYTES = 400
_STACK_ENTRY_BYTES = 80


@dataclass(slots=True)
class _Pending:
    """The last step of an open frame, whose cost is known when the next one comes."""

    entry: dict[str, Any] | None = None
    opcode: int = 0
    gas: int = 0
    static_gas: int = 0
    wanted: int = 0  # the gas that a call asked for
    stipend: int = 0
    consumed: int = 0  # by the creation that the step made


class StructLogTracer(Tracer):
    """`result` is JSON: gas, failed, returnValue and structLogs, a step each.

    A step has pc, op, gas before it, gasCost (with what it gave to a call), depth from 1, and where
    asked for the stack (bottom first), memory in 32-byte words, and at SLOAD and SSTORE the slots of the
    contract that were used so far. `steps` other than 0 is how many are recorded at most. The step that
    made its frame fail, other than by REVERT, has `error`, and of its cost what is fixed.
    """

    watched = None

    def __init__(
        self,
        *,
        stack: bool = True,
        memory: bool = False,
        storage: bool = True,
        return_data: bool = False,
        steps: int = 0,
        budget: TraceBudget | None = None,
    ) -> None:
        self._stack = stack
        self._memory = memory
        self._storage = storage
        self._return_data = return_data
        self._most = steps
        self._budget = budget if budget is not None else TraceBudget()
        self._steps: list[dict[str, Any]] = []
        self._open: list[_Pending] = []
        self._slots: dict[bytes, dict[str, str]] = {}
        self._summary: dict[str, Any] = {}

    def result(self) -> dict[str, Any]:
        return {**self._summary, "structLogs": self._steps}

    # -- Tracer

    def enter(self, vm: Machine, message: EvmMessage) -> None:
        self._open.append(_Pending())

    def step(self, frame: Frame, offset: int, opcode: int, static_gas: int) -> None:
        gas = frame.meter.gas_remaining
        pending = self._open[-1]
        _settle(pending, gas)
        if self._most and len(self._steps) >= self._most:
            pending.entry = None
            return
        stack: list[int] = frame._stack.values
        entry: dict[str, Any] = {
            "pc": offset,
            "op": opcode_name(opcode),
            "gas": gas,
            "gasCost": static_gas,
            "depth": frame.msg.depth + 1,
        }
        size = _STEP_BYTES
        if self._stack:
            entry["stack"] = [hex(word) for word in stack]
            size += _STACK_ENTRY_BYTES * len(stack)
        if self._memory:
            memory = bytes(frame._memory._bytes)
            size += 3 * len(memory)
            entry["memory"] = [
                "0x" + memory[at : at + 32].hex() for at in range(0, len(memory), 32)
            ]
        if self._return_data and frame.return_data:
            entry["returnData"] = "0x" + frame.return_data.hex()
            size += 2 * len(frame.return_data)
        if self._storage and opcode in (_SLOAD, _SSTORE):
            size += self._note_slot(frame, opcode, stack, entry)
        if frame.vm.refund:
            entry["refund"] = frame.vm.refund
        self._budget.spend(size)
        self._steps.append(entry)
        with_value = opcode in _CALLS_WITH_VALUE and len(stack) > 2 and stack[-3]
        self._open[-1] = _Pending(
            entry=entry,
            opcode=opcode,
            gas=gas,
            static_gas=static_gas,
            wanted=stack[-1] if opcode in _CALLS and stack else 0,
            stipend=CALL_STIPEND if with_value else 0,
        )

    def leave(self, frame: Frame) -> None:
        pending = self._open.pop()
        if not frame.is_error or isinstance(frame.error, Revert):
            _settle(pending, frame.meter.gas_remaining, returns=True)
        elif pending.entry is not None:
            pending.entry["error"] = error_text(frame)
        if self._open:
            # a call is settled by what it left, a creation by what its frame used
            self._open[-1].consumed = frame.msg.gas - frame.meter.gas_remaining

    def finish(self, state: State, result: CallResult | TransactionResult) -> None:
        self._summary = {
            "gas": result.gas_used,
            "failed": not result.success,
            "returnValue": "0x" + result.output.hex(),
        }

    # -- storage

    def _note_slot(self, frame: Frame, opcode: int, stack: list[int], entry: dict[str, Any]) -> int:
        if len(stack) < (1 if opcode == _SLOAD else 2):
            return 0
        address = frame.msg.storage_address
        slot = stack[-1]
        value = frame.vm.accounts.storage(address, slot) if opcode == _SLOAD else stack[-2]
        slots = self._slots.setdefault(address, {})
        slots[f"0x{slot:064x}"] = f"0x{value:064x}"
        entry["storage"] = dict(slots)
        return 128 * len(slots)


def _settle(pending: _Pending, gas: int, *, returns: bool = False) -> None:
    """Fill in what the last step cost, `gas` being what is left after it."""
    if pending.entry is None:
        return
    cost = pending.gas - gas
    if not returns:
        if pending.opcode in _CREATIONS:
            cost -= pending.consumed
        elif pending.opcode in _CALLS:
            cost = _call_cost(pending, gas)
    pending.entry["gasCost"] = cost


def _call_cost(pending: _Pending, gas: int) -> int:
    """A call's own gas and what it gave, before what came back."""
    # own + given = before - after + returned, where the callee had given + stipend and used `consumed`
    before_giving = gas - pending.stipend + pending.consumed
    given = min(pending.wanted, before_giving - before_giving // 64)
    return pending.gas - before_giving + given
