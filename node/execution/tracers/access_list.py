"""eth_createAccessList: the access list (EIP-2930) that a call would want."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from node.execution.evm.evm import Evm
from node.execution.evm.precompile_table import PRECOMPILES
from node.execution.evm.simulate import SimulatedCall
from node.execution.frame.context import BlockContext
from node.execution.frame.frame import Frame
from node.execution.state.state import State
from node.execution.tracers.tracing import Tracer, trace_call
from node.primitives.basics import Address
from node.primitives.births import contract_address
from node.primitives.fields import Word
from node.primitives.transaction import AccessList

MAX_ROUNDS = 16
"""A call may look at its gas to access something new each time; what was found by then is given."""

_ADDRESS_MASK = (1 << 160) - 1
_SLOTS = frozenset({0x54, 0x55})
_ADDRESS_ON_TOP = frozenset({0x31, 0x3B, 0x3C, 0x3F, 0xFF})
_CALLS = frozenset({0xF1, 0xF2, 0xF4, 0xFA})


class CreatedAccessList(NamedTuple):
    """The list, the gas that the call uses with it, and how it failed with it, None if it did not."""

    access_list: AccessList
    gas_used: int
    error: str | None


class AccessListTracer(Tracer):
    """Collects the addresses and slots that are accessed, on top of a list given.

    `excluded` addresses are warm anyway: they are listed only for the sake of their slots.
    """

    watched = _SLOTS | _ADDRESS_ON_TOP | _CALLS

    def __init__(self, excluded: frozenset[bytes], known: AccessList = ()) -> None:
        self._excluded = excluded
        self._found: dict[bytes, dict[int, None]] = {}
        for address, slots in known:
            if slots or address not in excluded:
                self._found.setdefault(address, {}).update(dict.fromkeys(slots))

    def step(self, frame: Frame, offset: int, opcode: int, static_gas: int) -> None:
        stack: list[int] = frame._stack.values
        if opcode in _SLOTS:
            if stack:
                self._found.setdefault(frame.msg.storage_address, {})[stack[-1]] = None
            return
        at = 2 if opcode in _CALLS else 1
        if len(stack) >= at:
            address = (stack[-at] & _ADDRESS_MASK).to_bytes(20, "big")
            if address not in self._excluded:
                self._found.setdefault(address, {})

    def result(self) -> AccessList:
        """In the order of first access."""
        return tuple(
            (Address(address), tuple(map(Word, slots))) for address, slots in self._found.items()
        )


def create_access_list(
    evm: Evm, open_state: Callable[[], State], context: BlockContext, call: SimulatedCall
) -> CreatedAccessList:
    """The list with which `call` accesses nothing else, found by running it until it grows no more.

    As geth does, the sender, the recipient and precompiles are left out unless slots of theirs are
    used; `call.access_list` is where it starts. A call that arrives from elsewhere has no use for a list;
    what it accesses is found all the same. `open_state` gives a fresh state each time. The size
    is bounded by the gas of `call`. Raises InvalidTransaction where it cannot be made.
    """
    to = call.to
    if to is None:
        to = contract_address(call.sender, open_state().nonce(call.sender))
    excluded = frozenset({call.sender, to, *PRECOMPILES})
    wanted = AccessListTracer(excluded, call.access_list).result()
    for _ in range(MAX_ROUNDS):
        listed = wanted
        tracer = AccessListTracer(excluded, listed)
        result = trace_call(evm, open_state(), context, replace(call, access_list=listed), tracer)
        wanted = tracer.result()
        if wanted == listed:
            break
    return CreatedAccessList(listed, result.gas_used, result.error)
