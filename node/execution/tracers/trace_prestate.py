"""The prestate tracer: what an execution found in the state, and in diff mode what it made of it."""

from dataclasses import dataclass, field
from typing import Any

from node.execution.evm.calls import delegation_of
from node.execution.evm.machine import MAX_INITCODE_BYTES
from node.execution.evm.results import CallResult, TransactionResult
from node.execution.frame.frame import Frame
from node.execution.state.state import State
from node.execution.tracers.tracing import TraceBudget, TracedExecution, Tracer
from node.primitives.basics import Address, keccak_fast
from node.primitives.births import contract_address

_ADDRESS_MASK = (1 << 160) - 1
_SLOAD, _SSTORE, _CREATE, _CREATE2 = 0x54, 0x55, 0xF0, 0xF5
_ADDRESS_ON_TOP = frozenset({0x31, 0x3B, 0x3C, 0x3F, 0xFF})  # BALANCE, EXTCODE*, SELFDESTRUCT
_CALLS = frozenset({0xF1, 0xF2, 0xF4, 0xFA})
_ACCOUNT_BYTES = 128
_SLOT_BYTES = 192


@dataclass(slots=True)
class _Found:
    balance: int
    nonce: int
    code: bytes
    slots: dict[int, int] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        return not (self.balance or self.nonce or self.code)


class PrestateTracer(Tracer):
    """`result` is JSON in the shape of geth's prestateTracer.

    Without `diff`: every account that was accessed, with the balance, nonce, code and accessed slots
    it had before. With `diff`: {"pre", "post"} of what changed; `post` has only the changed fields.
    """

    watched = frozenset({_SLOAD, _SSTORE, _CREATE, _CREATE2}) | _ADDRESS_ON_TOP | _CALLS

    def __init__(self, *, diff: bool = False, budget: TraceBudget | None = None) -> None:
        self._diff = diff
        self._budget = budget if budget is not None else TraceBudget()
        self._found: dict[bytes, _Found] = {}
        self._created: set[bytes] = set()
        self._post: dict[str, Any] = {}

    def result(self) -> dict[str, Any]:
        pre = {"0x" + address.hex(): _shown(found) for address, found in self._found.items()}
        return {"pre": pre, "post": self._post} if self._diff else pre

    # -- Tracer

    def start(self, state: State, execution: TracedExecution) -> None:
        self._account(state, execution.sender)
        self._account(state, execution.to)
        self._account(state, execution.coinbase)
        for authority in execution.authorities:
            self._account(state, authority)
        if execution.creates:
            self._created.add(execution.to)
        self._delegate(state, execution.to)

    def step(self, frame: Frame, offset: int, opcode: int, static_gas: int) -> None:
        stack: list[int] = frame._stack.values
        state = frame.vm.accounts
        here = frame.msg.storage_address
        height = len(stack)
        if opcode in (_SLOAD, _SSTORE):
            if height:
                self._slot(state, here, stack[-1])
        elif opcode in _ADDRESS_ON_TOP:
            if height:
                self._account(state, _address(stack[-1]))
        elif opcode in _CALLS:
            if height > 1:
                target = _address(stack[-2])
                self._account(state, target)
                self._delegate(state, target)
        elif opcode == _CREATE:
            self._creation(state, contract_address(here, state.nonce(here)))
        elif height > 3:
            self._create2(frame, stack)

    def finish(self, state: State, result: CallResult | TransactionResult) -> None:
        if self._diff:
            for address, found in list(self._found.items()):
                changes = _changes(state, address, found)
                if changes:
                    self._post["0x" + address.hex()] = changes
                else:
                    del self._found[address]
        for address in self._created:
            if address in self._found and self._found[address].is_empty:
                del self._found[address]

    # -- looking up

    def _account(self, state: State, address: bytes) -> _Found:
        found = self._found.get(address)
        if found is None:
            code = state.code(address)
            self._budget.spend(_ACCOUNT_BYTES + 2 * len(code))
            found = _Found(state.balance(address), state.nonce(address), code)
            self._found[address] = found
        return found

    def _slot(self, state: State, address: bytes, slot: int) -> None:
        slots = self._account(state, address).slots
        if slot not in slots:
            self._budget.spend(_SLOT_BYTES)
            slots[slot] = state.storage(address, slot)

    def _delegate(self, state: State, address: bytes) -> None:
        delegate = delegation_of(state.code(address))
        if delegate is not None:
            self._account(state, delegate)

    def _creation(self, state: State, address: bytes) -> None:
        self._account(state, address)
        self._created.add(address)

    def _create2(self, frame: Frame, stack: list[int]) -> None:
        at, size, salt = stack[-2], stack[-3], stack[-4]
        if size > MAX_INITCODE_BYTES:
            return  # it will fail
        memory: bytearray = frame._memory._bytes
        code = bytes(memory[at : at + size]).ljust(size, b"\0")
        seed = b"\xff" + frame.msg.storage_address + salt.to_bytes(32, "big") + keccak_fast(code)
        self._creation(frame.vm.accounts, keccak_fast(seed)[12:])


def _address(word: int) -> Address:
    return Address((word & _ADDRESS_MASK).to_bytes(20, "big"))


def _word(value: int) -> str:
    return f"0x{value:064x}"


def _shown(found: _Found) -> dict[str, Any]:
    out: dict[str, Any] = {"balance": hex(found.balance)}
    if found.nonce:
        out["nonce"] = found.nonce
    if found.code:
        out["code"] = "0x" + found.code.hex()
    if found.slots:
        out["storage"] = {_word(slot): _word(value) for slot, value in found.slots.items()}
    return out


def _changes(state: State, address: bytes, found: _Found) -> dict[str, Any]:
    """The fields that differ now. Slots of `found` that did not change, or were zero, are removed."""
    out: dict[str, Any] = {}
    if state.balance(address) != found.balance:
        out["balance"] = hex(state.balance(address))
    if state.nonce(address) != found.nonce:
        out["nonce"] = state.nonce(address)
    if state.code(address) != found.code:
        out["code"] = "0x" + state.code(address).hex()
    written = {}
    changed = False
    for slot, before in list(found.slots.items()):
        after = state.storage(address, slot)
        if before == after or not before:
            del found.slots[slot]
        if before != after:
            changed = True
            if after:
                written[_word(slot)] = _word(after)
    if changed:
        out["storage"] = written
    return out
