"""Calls that read accounts of other shards (`state.guests`), and change none of them.

Code of a guest runs with the guest's storage. Where it would change its account, or wei would come to it with a
call, that call fails with the words of `border`: in a transaction it could not be made at all.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from node.execution.evm.border import border_reason
from node.execution.evm.machine import Machine
from node.execution.evm.results import REVERTED, CallResult
from node.execution.evm.simulate import SimulatedCall, simulate
from node.execution.evm.timed import TimedEvm, TimedMachine
from node.execution.frame.context import BlockContext
from node.execution.frame.frame import EvmMessage, Frame
from node.execution.frame.pyevm import Revert
from node.execution.state.guests import SpanningState, Wanted, WantsTooMuch
from node.execution.state.state import BalanceOutOfRange, State
from node.execution.trie.errors import ExecutionTimedOut
from node.primitives.basics import Address
from node.primitives.errors import InvalidTransaction

GUESSING = 0.5
"""Seconds that an execution may go on after something was wanted: what it finds then is a guess."""


class ChangesGuest(Revert):  # type: ignore[misc]  # Any
    """Code would change an account of another shard. The frame reverts with `output`."""

    def __init__(self, output: bytes) -> None:
        super().__init__(REVERTED)
        self.output = output


class ReadingMachine(TimedMachine):
    """A machine on a `SpanningState`."""

    def __init__(
        self, deadline: float, state: SpanningState, context: BlockContext, **options: Any
    ):
        super().__init__(deadline, state, context, **options)
        self._state = state
        state.on_write = self._refuse_change
        state.on_wanted = partial(self.hurry, GUESSING)
        if state.wants:
            self.hurry(GUESSING)

    def _refuse_change(self, address: bytes) -> None:
        """Raises ChangesGuest, in the frame of the guest."""
        raise self._refusal(address)

    def _refusal(self, address: bytes) -> ChangesGuest:
        self._state.changed = self._state.changed or Address(address)
        return ChangesGuest(border_reason(address, self._state.shard_of(address) or 0))

    def execute(self, message: EvmMessage) -> Frame:
        state, paid = self._state, message.value and message.transfers
        if paid and message.depth and state.is_guest_contract(message.sender):
            raise self._refusal(message.sender)  # in the frame of the guest, which made this call
        if paid and state.is_guest_contract(message.storage_address):
            if message.data:
                refusal = self._refusal(message.storage_address)
                return self.refuse(message, refusal, refusal.output)
            message.code = b""  # a transfer: the wei go there, and nothing runs
        frame = super().execute(message)
        if isinstance(frame._error, ChangesGuest):
            frame._output = frame._error.output
        return frame

    def increment_nonce(self, address: bytes) -> None:
        if self._state.is_guest_contract(address):  # it creates
            self._refuse_change(address)
        super().increment_nonce(address)

    def self_destruct(self, message: EvmMessage, gas: int, target: int) -> int:
        left = super().self_destruct(message, gas, target)
        if self._state.is_guest_contract(message.storage_address):
            self._refuse_change(message.storage_address)  # the frame undoes it
        return left

    def elsewhere(self, _: bytes) -> None:
        """Nothing is out of reach."""


class ReadingEvm(TimedEvm):
    """An EVM for states that span shards."""

    def machine(self, state: State, context: Any, **options: Any) -> Machine:
        assert isinstance(state, SpanningState)
        machine = ReadingMachine(self.deadline, state, context, **options)
        machine.precompiles = self.precompiles
        return machine


def read_call(
    evm: ReadingEvm,
    state: SpanningState,
    context: BlockContext,
    call: SimulatedCall,
    prepare: Callable[[State], None],
) -> CallResult | list[Wanted]:
    """The result of `call`, or what has to be among the guests for it to have one.

    `prepare` applies the overrides of the call to the state. Raises what it and `simulate` raise, and
    ExecutionTimedOut; not while something is wanted, for then the reason may be a guess.
    """
    result: CallResult | None = None
    try:
        prepare(state)
        result = simulate(evm, state, context, call)
    except (InvalidTransaction, BalanceOutOfRange, ExecutionTimedOut, WantsTooMuch):
        if not state.wants:
            raise
    return state.wanted() if result is None or state.wants else result
