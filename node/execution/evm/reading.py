"""Calls that read accounts of other shards (`state.guests`), and change none of them.

Code of a guest runs with the guest's storage. Where it would change its account, or wei would come to it with a
call, that call fails: in a transaction it could not be made either.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any

from eth_utils.address import to_checksum_address

from node.execution.evm.evm import Evm
from node.execution.evm.machine import Machine
from node.execution.evm.precompile_table import PRECOMPILES, Precompile
from node.execution.evm.results import CallResult
from node.execution.evm.simulate import SimulatedCall, simulate
from node.execution.evm.timed import TimedEvm, TimedMachine
from node.execution.frame.context import BlockContext
from node.execution.frame.frame import EvmMessage, Frame
from node.execution.frame.pyevm import Revert
from node.execution.state.guests import SpanningState, Wanted, WantsTooMuch
from node.execution.state.state import State
from node.execution.trie.errors import ExecutionTimedOut
from node.primitives.errors import InvalidTransaction

GUESSING = 0.5
"""Seconds that an execution may go on after something was wanted: what it finds then is a guess."""

_ERROR_SELECTOR = bytes.fromhex("08c379a0")


def border_reason(address: bytes, shard: int) -> bytes:
    body = (
        f"{to_checksum_address(address)} lives on shard {shard}; reach it with MESSENGER.send"
    ).encode()
    words = (32).to_bytes(32, "big") + len(body).to_bytes(32, "big")
    return _ERROR_SELECTOR + words + body + bytes(-len(body) % 32)


class ChangesGuest(Revert):  # type: ignore[misc]  # Any
    """Code would change an account of another shard. The frame reverts with `output`."""

    def __init__(self, output: bytes) -> None:
        super().__init__("execution reverted")
        self.output = output


class ReadingMachine(TimedMachine):
    """A machine on a `SpanningState`."""

    def __init__(self, deadline: float, state: SpanningState, context: BlockContext, **options: Any):
        super().__init__(deadline, state, context, **options)
        self._state = state
        state.on_write = self._refuse_change
        state.on_wanted = self._hurry
        if state.wants:
            self._hurry()

    def _hurry(self) -> None:
        self.deadline = min(self.deadline, monotonic() + GUESSING)

    def _refuse_change(self, address: bytes) -> None:
        """Raises ChangesGuest, in the frame of the guest."""
        raise self._refusal(address)

    def _refusal(self, address: bytes) -> ChangesGuest:
        return ChangesGuest(border_reason(address, self._state.shard_of(address) or 0))

    def execute(self, message: EvmMessage) -> Frame:
        state, paid = self._state, message.value and message.transfers
        if paid and message.depth and state.is_guest_contract(message.sender):
            raise self._refusal(message.sender)  # in the frame of the guest, which made this call
        if paid and state.is_guest_contract(message.storage_address):
            if message.data:
                return _told(self.refuse(message, self._refusal(message.storage_address)))
            message.code = b""  # a transfer: the wei go there, and nothing runs
        return _told(super().execute(message))

    def create(self, message: EvmMessage) -> Frame:
        if self._state.is_guest_contract(message.sender):
            self._refuse_change(message.sender)
        return super().create(message)

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


def _told(frame: Frame) -> Frame:
    """The frame, with the reason as its output if it was refused."""
    if isinstance(frame._error, ChangesGuest):
        frame._output = frame._error.output
    return frame


def read_call(
    evm: ReadingEvm, state: SpanningState, context: BlockContext, call: SimulatedCall
) -> CallResult | list[Wanted]:
    """The result of `call`, or what has to be among the guests for it to have one.

    The overrides of the call were applied to `state`. Raises as `simulate` does, and ExecutionTimedOut; not while
    something is wanted, for then the reason may be a guess.
    """
    result: CallResult | None = None
    try:
        result = simulate(evm, state, context, call)
    except (InvalidTransaction, ExecutionTimedOut, WantsTooMuch):
        if not state.wants:
            raise
    return state.wanted() if result is None or state.wants else result
