"""Watching an execution: the seam, the traced machine, and how to run a transaction or a call under it.

Nothing of this costs an execution without a tracer anything: a `TracedEvm` is another `Evm`, whose
machine overrides what a frame's life consists of. Wherever an `Evm` is taken a `TracedEvm` may be
given, so a block's arrivals and transactions are traced by the code that runs them. A tracer serves one
transaction or call. Gas, status and state are the same with a tracer as without; the
text of a failure may be another where the code has several in a row.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from node.execution.evm.evm import Evm
from node.execution.evm.machine import Machine, check_init_code
from node.execution.evm.precompile_table import PRECOMPILES, Precompile
from node.execution.evm.results import CallResult, TransactionResult
from node.execution.evm.simulate import SimulatedCall, simulate
from node.execution.evm.timed import TimedEvm, TimedMachine
from node.execution.evm.validity import gas_of
from node.execution.frame.context import BlockContext
from node.execution.frame.frame import EvmMessage, Frame
from node.execution.frame.program import Program
from node.execution.frame.pyevm import VMError
from node.execution.state.state import State
from node.execution.tracers.trace_program import TracedProgram
from node.execution.trie.errors import TraceTooLarge
from node.primitives.basics import Address
from node.primitives.births import contract_address
from node.primitives.transaction import Authorization, Transaction

MAX_TRACE_ENTRIES = 250_000
MAX_TRACE_BYTES = 128 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceLimits:
    """Bounds of one trace: entries (steps, calls, logs, accounts, slots) and about the bytes they take."""

    entries: int = MAX_TRACE_ENTRIES
    size: int = MAX_TRACE_BYTES


class TraceBudget:
    """The remainder of a trace's limits. Several tracers may share one."""

    def __init__(self, limits: TraceLimits = TraceLimits()) -> None:
        self._limits = limits
        self._entries = limits.entries
        self._size = limits.size

    def spend(self, size: int) -> None:
        """Count one entry of `size` bytes. Raises TraceTooLarge."""
        self._entries -= 1
        self._size -= size
        if self._entries < 0:
            raise TraceTooLarge(f"the trace has more than {self._limits.entries} entries")
        if self._size < 0:
            raise TraceTooLarge(f"the trace has more than {self._limits.size} bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedExecution:
    """The execution that is about to begin. `to` of a creation is its address; `gas` is the whole gas limit."""

    sender: Address
    to: Address
    creates: bool
    value: int
    data: bytes = field(repr=False)
    gas: int
    coinbase: Address
    authorities: tuple[Address, ...] = ()


class Tracer:
    """An observer of executions; this one ignores everything. Every method may raise TraceTooLarge to stop the
    execution.

    `watched` are the opcodes before which `step` is called: None stands for all. Watching any makes
    code run instruction by instruction; watching none leaves it at full speed.
    """

    watched: Collection[int] | None = frozenset()

    def start(self, state: State, execution: TracedExecution) -> None:
        """Before anything is paid or moved."""

    def enter(self, vm: Machine, message: EvmMessage) -> None:
        """A call or creation begins; its value has not moved."""

    def step(self, frame: Frame, offset: int, opcode: int, static_gas: int) -> None:
        """An instruction is next; `frame.meter` has the gas before it. It may still fail its checks."""

    def self_destruct(self, message: EvmMessage, beneficiary: Address, balance: int) -> None:
        """SELFDESTRUCT sent `balance` wei."""

    def leave(self, frame: Frame) -> None:
        """The call or creation that was entered last has ended; failed or not, the frame tells."""

    def finish(self, state: State, result: CallResult | TransactionResult) -> None:
        """After everything is paid."""

    def result(self) -> Any:
        """The observations, ready for JSON."""
        return {}


class TracedMachine(TimedMachine):
    """A machine that tells a tracer."""

    def __init__(self, tracer: Tracer, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._tracer = tracer
        self._programs: dict[bytes, Program] = {}
        if tracer.watched is None or tracer.watched:
            self.program_of = self._traced_program

    def _traced_program(self, code: bytes) -> Program:
        program = self._programs.get(code)
        if program is None:
            tracer = self._tracer
            program = self._programs[code] = TracedProgram(code, tracer.step, tracer.watched)
        return program

    def execute(self, message: EvmMessage) -> Frame:
        if message.is_create:  # entered and left in `create`, whose deposit is part of it
            return super().execute(message)
        self._tracer.enter(self, message)
        frame = super().execute(message)
        self._tracer.leave(frame)
        return frame

    def create(self, message: EvmMessage) -> Frame:
        check_init_code(message)
        self._tracer.enter(self, message)
        frame = super().create(message)
        self._tracer.leave(frame)
        return frame

    def refuse(self, message: EvmMessage, error: VMError, output: bytes = b"") -> Frame:
        self._tracer.enter(self, message)
        frame = super().refuse(message, error, output)
        self._tracer.leave(frame)
        return frame

    def self_destruct(self, message: EvmMessage, gas: int, target: int) -> int:
        balance = self.accounts.balance(message.storage_address)
        left = super().self_destruct(message, gas, target)
        beneficiary = Address((target & ((1 << 160) - 1)).to_bytes(20, "big"))
        self._tracer.self_destruct(message, beneficiary, balance)
        return left


class TracedEvm(TimedEvm):
    """An EVM whose next transaction or call `tracer` watches. System calls are not traced.

    `deadline` as in `TimedEvm`. `paid` is gas that was used for the same transaction elsewhere: the tracer
    is told of limit and use with it.
    """

    def __init__(
        self,
        chain_id: int,
        tracer: Tracer,
        *,
        deadline: float = math.inf,
        paid: int = 0,
        precompiles: Mapping[bytes, Precompile] = PRECOMPILES,
    ) -> None:
        super().__init__(chain_id, deadline, precompiles)
        self._tracer = tracer
        self._paid = paid

    def machine(self, state: State, context: BlockContext, **options: Any) -> Machine:
        machine = TracedMachine(self._tracer, self.deadline, state, context, **options)
        machine.precompiles = self.precompiles
        return machine

    def apply_transaction(
        self,
        state: State,
        context: BlockContext,
        tx: Transaction,
        *,
        gas_available: int,
    ) -> TransactionResult:
        execution = TracedExecution(
            sender=tx.sender,
            to=tx.to if tx.to is not None else contract_address(tx.sender, tx.nonce),
            creates=tx.to is None,
            value=tx.value,
            data=tx.data,
            gas=tx.gas,
            coinbase=context.coinbase,
            authorities=_authorities(tx.authorizations),
        )
        self._tracer.start(state, execution)
        result = super().apply_transaction(state, context, tx, gas_available=gas_available)
        self._tracer.finish(state, result)
        return result

    def apply_call(
        self,
        state: State,
        context: BlockContext,
        *,
        sender: Address,
        to: Address,
        value: int,
        data: bytes,
        gas: int,
        gas_price: int,
        origin: Address,
    ) -> CallResult:
        execution = TracedExecution(
            sender=sender,
            to=to,
            creates=False,
            value=value,
            data=data,
            gas=gas + self._paid,
            coinbase=context.coinbase,
        )
        self._tracer.start(state, execution)
        result = super().apply_call(
            state,
            context,
            sender=sender,
            to=to,
            value=value,
            data=data,
            gas=gas,
            gas_price=gas_price,
            origin=origin,
        )
        self._tracer.finish(state, replace(result, gas_used=result.gas_used + self._paid))
        return result

    def simulate(self, state: State, context: BlockContext, call: SimulatedCall) -> CallResult:
        """`simulate.simulate` under the tracer."""
        if call.credit:  # traced by `apply_call`
            return simulate(self, state, context, call)
        nonce = state.nonce(call.sender)
        execution = TracedExecution(
            sender=call.sender,
            to=call.to if call.to is not None else contract_address(call.sender, nonce),
            creates=call.to is None,
            value=call.value,
            data=call.data,
            gas=call.gas,
            coinbase=context.coinbase,
            authorities=_authorities(call.authorizations),
        )
        self._tracer.start(state, execution)
        result = simulate(self, state, context, call)
        self._tracer.finish(state, result)
        return result


def trace_call(
    evm: Evm, state: State, context: BlockContext, call: SimulatedCall, tracer: Tracer
) -> CallResult:
    """`simulate` under `tracer`. Raises InvalidTransaction and TraceTooLarge. `state` is changed.

    The time and the precompiles are those of `evm`, if it is a `TimedEvm`.
    """
    paid = 0 if call.credit is None else max(gas_of(call))
    if isinstance(evm, TimedEvm):
        traced = TracedEvm(
            evm.chain_id, tracer, deadline=evm.deadline, paid=paid, precompiles=evm.precompiles
        )
    else:
        traced = TracedEvm(evm.chain_id, tracer, paid=paid)
    return traced.simulate(state, context, call)


def _authorities(authorizations: tuple[Authorization, ...]) -> tuple[Address, ...]:
    found = (item.authority() for item in authorizations)
    return tuple(authority for authority in found if authority is not None)
