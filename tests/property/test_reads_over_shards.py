"""A call that reads accounts of other shards against the same call on one state that holds all of them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

import pytest

from node.execution.evm.overrides import StateOverride, apply_overrides
from node.execution.evm.reading import ReadingEvm, read_call
from node.execution.evm.results import CallResult
from node.execution.evm.simulate import SimulatedCall, simulate
from node.execution.evm.timed import TimedEvm
from node.execution.frame.context import BlockContext
from node.execution.state.genesis import GenesisAccount, build_genesis
from node.execution.state.guests import Border, Guest, Guests, Wanted
from node.execution.state.state import State
from node.execution.state.state_store import StateStore
from node.primitives.basics import EMPTY_TRIE_ROOT, Address
from node.primitives.errors import InvalidTransaction
from node.primitives.fields import U256, Word
from tests.support.effort import seeds

ADDRESSES = [Address(bytes([16 * n + n]) * 20) for n in range(1, 9)]
EMPTY, RICH, NOBODY = Address(b"\xa1" * 20), Address(b"\xa2" * 20), Address(bytes(20))
SHARDS = 4
GAS = 150_000  # not deeper than Python's own stack allows
ROUNDS = 200
CONTEXT = BlockContext(
    chain_id=1,
    number=9,
    timestamp=1,
    coinbase=Address(b"\xc0" * 20),
    gas_limit=30_000_000,
    base_fee=7,
)
Alloc = Mapping[Address, GenesisAccount]


def home(address: Address) -> int:
    """Where an address is at home: the one here by its first byte, as by range."""
    return address[0] % SHARDS


# ---------------------------------------------------------------------- programs

RESULT = bytes.fromhex("60405ff3")  # returns the first two words of memory
REVERT = bytes.fromhex("60405ffd")
DESTROY = b"\x73" + bytes(20) + b"\xff"


def push(value: int) -> bytes:
    raw = value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")
    return bytes([0x5F + len(raw)]) + raw


def keep(word: bytes) -> bytes:
    """Code that leaves a word on the stack, hashed into the first word of memory."""
    return word + bytes.fromhex("60205260405f205f52")


def call(opcode: int, address: bytes, value: int = 0, data: bool = False) -> bytes:
    """A call with half the gas; its success and the first word that it returns are kept."""
    operands = bytes.fromhex("60406080") + push(32 if data else 0) + b"\x5f"
    if opcode in (0xF1, 0xF2):
        operands += push(value)
    half_the_gas = bytes.fromhex("5a60019060011c01")
    return keep(operands + b"\x73" + address + half_the_gas + bytes([opcode])) + keep(
        push(128) + b"\x51"
    )


def unless(slot: int, code: bytes) -> bytes:
    """`code`, if a slot is zero."""
    ahead = push(len(code) + 5)
    return push(slot) + b"\x54\x58" + ahead + b"\x01\x57" + code + b"\x5b"


def creation(init: bytes) -> bytes:
    """CREATE of a contract by this init code; its address is kept."""
    stored = b"".join(
        b"\x7f" + init[at : at + 32].ljust(32, b"\0") + push(0x100 + at) + b"\x52"
        for at in range(0, len(init), 32)
    )
    return stored + keep(push(len(init)) + push(0x100) + bytes.fromhex("5ff0"))


class Draw:
    """Random accounts and code."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)

    def code(self) -> bytes:
        kind = self.random.random()
        if kind < 0.1:
            return b""
        if kind < 0.2:
            return b"\xef\x01\x00" + self.random.choice(ADDRESSES)
        return self.program(writes=kind > 0.9)

    def program(self, *, writes: bool) -> bytes:
        steps = [self._step(writes) for _ in range(self.random.randint(1, 6))]
        return b"".join(steps) + (REVERT if self.random.random() < 0.05 else RESULT)

    def _step(self, writes: bool) -> bytes:
        random = self.random
        kind = random.random()
        if writes and kind < 0.3:
            return self._write()
        if kind < 0.5:
            return self._read()
        if kind < 0.9:
            return self._call()
        if kind < 0.95:
            return unless(random.randrange(4), random.choice([self._call(), REVERT, DESTROY]))
        return creation(random.choice([self._read(), self._call()]) + RESULT)

    def _write(self) -> bytes:
        slot, value = push(self.random.randrange(4)), push(self.random.randrange(4))
        log = bytes.fromhex("5f515f5fa1")
        return self.random.choice([value + slot + b"\x55", value + slot + b"\x5d", log])

    def _read(self) -> bytes:
        who = b"\x73" + self.random.choice(ADDRESSES)
        slot = push(self.random.randrange(4))
        simple = self.random.choice(
            [bytes([op]) for op in (0x30, 0x32, 0x33, 0x34, 0x47, 0x5A, 0x3D)]
        )
        copied = bytes.fromhex("60405f6080") + who + bytes.fromhex("3c608051")
        loads = [slot + b"\x54"] * 4 + [slot + b"\x5c"]
        return keep(
            self.random.choice(
                [*loads, who + b"\x31", who + b"\x3b", who + b"\x3f", copied, simple]
            )
        )

    def _call(self) -> bytes:
        opcode = self.random.choice([0xF1, 0xF1, 0xF2, 0xF4, 0xFA])
        value = 2 if self.random.random() < 0.1 else 0
        return call(opcode, self.random.choice(ADDRESSES), value, self.random.random() < 0.5)

    def account(self) -> GenesisAccount:
        random = self.random
        return GenesisAccount(
            balance=random.choice([0, 5, 10**18]),
            nonce=random.randrange(3),
            code=self.code(),
            storage={slot: random.randint(1, 3) for slot in range(4) if random.random() < 0.7},
        )

    def override(self, address: Address) -> StateOverride:
        random = self.random
        return StateOverride(
            address=address,
            balance=random.choice([None, U256(7)]),
            nonce=random.choice([None, 3]),
            code=random.choice([None, None, self.code()]),
            storage=tuple(
                (Word(slot), Word(random.randrange(4))) for slot in range(random.randrange(3))
            ),
            replace_storage=random.random() < 0.3,
        )

    def request(self) -> SimulatedCall:
        random = self.random
        to = random.choice([*ADDRESSES, None])
        changed = random.sample(ADDRESSES, random.choice([0, 0, 1, 2]))
        return SimulatedCall(
            sender=random.choice([EMPTY, RICH, NOBODY, ADDRESSES[0]]),
            to=to,
            value=U256(random.choice([0, 0, 0, 3])),
            data=self.program(writes=True) if to is None else random.choice([b"", b"\1" * 32]),
            gas=GAS,
            accounts=tuple(self.override(address) for address in changed),
        )


# ---------------------------------------------------------------------- two ways to run a call


class WatchedState(State):
    """The one state of the reference. It notes whether a contract of another shard than `here` changes."""

    guests: frozenset[bytes] = frozenset()
    changed = False

    def set_storage(self, address: bytes, slot: int, value: int) -> None:
        self.changed |= address in self.guests
        super().set_storage(address, slot, value)

    def set_nonce(self, address: bytes, nonce: int) -> None:
        self.changed |= address in self.guests
        super().set_nonce(address, nonce)

    def add_balance(self, address: bytes, delta: int) -> None:
        self.changed |= bool(delta) and address in self.guests
        super().add_balance(address, delta)


@dataclass
class Network:
    """The accounts on their shards, and the same on one."""

    alloc: Alloc
    rounds: int = 0
    fetched: dict[bytes, Guest] = field(default_factory=dict)
    codes: dict[bytes, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.stores = [self._store(shard) for shard in range(SHARDS)]

    def _store(self, shard: int | None) -> tuple[StateStore, bytes]:
        held = {a: x for a, x in self.alloc.items() if shard is None or home(a) == shard}
        delta = build_genesis({a: x for a, x in held.items() if x.balance or x.nonce or x.code})
        return StateStore(dict(delta.nodes).get), delta.root

    def reference(self, request: SimulatedCall) -> tuple[Any, bool]:
        """The outcome on one state, and whether it changed a guest."""
        store, root = self._store(None)
        state = WatchedState(store._read, root)
        apply_overrides(state, request.accounts)
        recoded = {o.address for o in request.accounts if o.code is not None}
        here = home(request.to or request.sender)
        state.guests = frozenset(
            address
            for address, account in self.alloc.items()
            if account.code and home(address) != here and address not in recoded
        )
        sender_is_guest = request.sender in state.guests
        outcome = _outcome(lambda: simulate(TimedEvm(1, math.inf), state, CONTEXT, request))
        return outcome, state.changed or sender_is_guest

    def over_shards(self, request: SimulatedCall) -> Any:
        here = home(request.to or request.sender)
        for self.rounds in range(1, ROUNDS):
            found = _outcome(lambda: self._run(here, request))
            if not isinstance(found, list):
                return found
            assert found, "it wants nothing, and has no result"
            for wanted in found:
                self._fetch(here, wanted)
        raise AssertionError(f"no result in {ROUNDS} rounds")

    def _run(self, here: int, request: SimulatedCall) -> CallResult | list[Wanted]:
        store, root = self.stores[here]
        guests = Guests(accounts=tuple(self.fetched.values()), codes=tuple(self.codes.values()))
        state = store.open_spanning(root, Border(here=here, home=home), guests)
        prepare = partial(apply_overrides, overrides=request.accounts)
        return read_call(ReadingEvm(1, math.inf), state, CONTEXT, request, prepare)

    def _fetch(self, here: int, wanted: Wanted) -> None:
        address = wanted.address
        assert home(address) != here
        store, root = self.stores[home(address)]
        state = store.open(root)
        before = self.fetched.get(address)
        known = dict(before.slots) if before else {}
        assert before is None or wanted.code or set(wanted.slots) - set(known), "asked for again"
        known |= {slot: Word(state.storage(address, slot)) for slot in wanted.slots}
        account = state.account(address)
        self.fetched[address] = Guest(
            address=address,
            nonce=state.nonce(address),
            balance=U256(state.balance(address)),
            storage_root=account.storage_root if account else EMPTY_TRIE_ROOT,
            code_hash=state.code_hash(address),
            slots=tuple(known.items()),
        )
        if wanted.code:
            self.codes[state.code_hash(address)] = state.code(address)


def _outcome(run: Any) -> Any:
    """The result, or the text of the refusal."""
    try:
        return run()
    except InvalidTransaction as error:
        return str(error)


@pytest.mark.parametrize("batch", seeds(12))
def test_a_call_over_shards_is_as_on_one(batch: int) -> None:
    for seed in range(batch * 100, batch * 100 + 100):
        draw = Draw(seed)
        accounts = {address: draw.account() for address in ADDRESSES}
        network = Network({**accounts, RICH: GenesisAccount(balance=10**18, nonce=4)})
        request = draw.request()
        expected, changed = network.reference(request)
        found = network.over_shards(request)
        if not changed:
            assert found == expected, seed
