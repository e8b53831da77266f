"""Who paid whom inside of executions, as the EVM tells it: what contracts do is theirs, not the ledger's."""

from dataclasses import dataclass, field
from typing import TypeAlias

from node.execution.evm.machine import Machine
from node.execution.evm.results import CallResult, TransactionResult
from node.execution.frame.frame import EvmMessage as Call
from node.execution.frame.frame import Frame
from node.execution.state.state import State
from node.execution.tracers.tracing import TracedEvm, TracedExecution, Tracer
from node.primitives.basics import Address
from node.shard.block import decode_item
from node.shard.run import BlockRun


@dataclass(frozen=True, slots=True)
class Paid:
    """Wei went from one account to another."""

    source: Address
    to: Address
    wei: int


@dataclass(frozen=True, slots=True)
class Created:
    """A contract came to be."""

    address: Address


@dataclass(frozen=True, slots=True)
class Ended:
    """SELFDESTRUCT: everything to the heir."""

    address: Address
    heir: Address


Move: TypeAlias = Paid | Created | Ended


@dataclass(slots=True)
class Executed:
    """One execution: what it was asked for, and what came of it. `moves` are those that were not undone."""

    sender: Address
    to: Address
    value: int
    success: bool = False
    gas_used: int = 0
    moves: list[Move] = field(default_factory=list)
    creators: set[Address] = field(default_factory=set)
    """Accounts whose code creates, or tries to."""


class MoveTracer(Tracer):
    """Keeps the executions of one item of a block."""

    def __init__(self) -> None:
        self.executions: list[Executed] = []
        self._open: list[list[Move]] = []

    def start(self, state: State, execution: TracedExecution) -> None:
        made = Executed(sender=execution.sender, to=execution.to, value=execution.value)
        self.executions.append(made)
        self._open = [made.moves]

    def enter(self, vm: Machine, message: Call) -> None:
        moves: list[Move] = []
        to = Address(message.storage_address)
        if message.is_create:
            moves.append(Created(to))
            if len(self._open) > 1:
                self.executions[-1].creators.add(Address(message.sender))
        if message.value and message.transfers:
            moves.append(Paid(Address(message.sender), to, message.value))
        self._open.append(moves)

    def self_destruct(self, message: Call, beneficiary: Address, balance: int) -> None:
        self._open[-1].append(Ended(Address(message.storage_address), beneficiary))

    def leave(self, frame: Frame) -> None:
        moves = self._open.pop()
        if not frame.is_error:
            self._open[-1] += moves

    def finish(self, state: State, result: CallResult | TransactionResult) -> None:
        made = self.executions[-1]
        made.success, made.gas_used = result.success, result.gas_used


def executions_of(run: BlockRun, items: tuple[bytes, ...]) -> list[list[Executed]]:
    """Run a decided block once more, as `run` begins it: what was executed for each item."""
    out = []
    for raw in items:
        tracer = MoveTracer()
        run.evm = TracedEvm(run.rules.chain_id, tracer)
        run.run_item(decode_item(raw))
        out.append(tracer.executions)
    return out
