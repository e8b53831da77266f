"""Random programs beside a border: nothing of another shard runs, and nobody is told that it did."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from node.execution.evm.border import border_reason
from node.execution.evm.evm import Evm
from node.execution.evm.machine import Machine
from node.execution.evm.results import TransactionResult
from node.execution.frame.context import BlockContext
from node.execution.frame.frame import EvmMessage, Frame
from node.execution.state.genesis import GenesisAccount, build_genesis
from node.execution.state.state import State
from node.execution.tracers.trace_steps import StructLogTracer
from node.execution.tracers.tracing import TracedEvm, Tracer
from node.primitives.basics import Address
from node.primitives.transaction import Transaction
from tests.support.borders import Borders
from tests.support.effort import examples

SENDER, FIRST, SECOND, HERE, AWAY, FAR = (
    Address(bytes([n]) * 20) for n in (0x11, 0x22, 0x33, 0x44, 0xEE, 0xFF)
)
IDENTITY = Address(bytes(19) + b"\4")
ELSEWHERE = frozenset({AWAY, FAR})
CONTEXT = BlockContext(
    chain_id=1,
    number=5,
    timestamp=1,
    coinbase=Address(b"\xc0" * 20),
    gas_limit=30_000_000,
    base_fee=1,
    beacon=Borders(ELSEWHERE),
)
CALL = 0xF1

accounts = st.sampled_from([FIRST, SECOND, HERE, AWAY, FAR, IDENTITY, Address(bytes(20))])
calls = st.builds(
    lambda opcode, to, value, size: (
        bytes([0x5F, 0x5F, 0x60, size, 0x5F])
        + (bytes([0x60, value]) if opcode in (0xF1, 0xF2) else b"")
        + b"\x73"
        + to
        + bytes([0x5A, opcode])
    ),
    st.sampled_from([0xF1, 0xF2, 0xF4, 0xFA]),
    accounts,
    st.sampled_from([0, 0, 1, 99]),
    st.sampled_from([0, 0, 1, 4, 36]),
)
looks = st.builds(
    lambda to, opcode: b"\x73" + to + bytes([opcode]), accounts, st.sampled_from([0x31, 0x3B, 0x3F])
)
copies = st.builds(
    lambda to, size: bytes([0x60, size, 0x5F, 0x5F, 0x73]) + to + b"\x3c",
    accounts,
    st.integers(0, 64),
)
others = st.sampled_from(
    [
        *("50", "5f5ff3", "5f5ffd", "60045ffd", "5a50", "5f35", "3d5f5f3e", "3d5f5f3e3d5ffd", "6001600101"),
        *("5f5f5ff0", "602a5f55", "5f5fa0", "30ff", "73" + AWAY.hex() + "ff", "00", "fe"),
    ]
).map(bytes.fromhex)  # fmt: skip
programs = st.lists(st.one_of(calls, calls, looks, copies, others), max_size=12).map(b"".join)


class Watch(Tracer):
    """All calls that began, with how they ended."""

    def __init__(self) -> None:
        self.ended: list[tuple[EvmMessage, Frame]] = []

    def leave(self, frame: Frame) -> None:
        self.ended.append((frame.msg, frame))

    def refused(self) -> Iterator[tuple[EvmMessage, Frame]]:
        """The calls that need something of another shard to run."""
        for message, frame in self.ended:
            runs = message.data or message.opcode != CALL
            if not message.is_create and runs and message.code_address in ELSEWHERE:
                yield message, frame


def opened(first: bytes, second: bytes) -> State:
    codes = {FIRST: first, SECOND: second}
    alloc = {SENDER: GenesisAccount(balance=10**20)}
    alloc |= {a: GenesisAccount(nonce=1, balance=500, code=code) for a, code in codes.items()}
    delta = build_genesis(alloc)
    return State(delta.nodes.get, delta.root)


def applied(
    evm: Evm, state: State, to: Address, context: BlockContext = CONTEXT
) -> TransactionResult:
    fields: dict[str, Any] = {
        "type": 2,
        "chain_id": 1,
        "nonce": 0,
        "max_priority_fee_per_gas": 0,
        "max_fee_per_gas": 1,
        "gas": 200_000,
        "to": to,
        "value": 1,
        "data": b"\1",
        "v": 0,
        "r": 1,
        "s": 1,
        "raw": b"",
        "sender": SENDER,
    }
    return evm.apply_transaction(state, context, Transaction(**fields), gas_available=30_000_000)


@settings(max_examples=examples(300))
@given(programs, programs, accounts)
def test_no_call_with_data_succeeds_on_another_shard(
    first: bytes, second: bytes, to: Address
) -> None:
    watch = Watch()
    state = opened(first, second)
    applied(TracedEvm(1, watch), state, to)
    for message, frame in watch.refused():
        assert frame.is_error, message.opcode
        assert frame.meter.gas_remaining == message.gas
        assert frame.result in (border_reason(message.code_address, 1), b"")  # b"": depth or funds
    for account in ELSEWHERE:
        assert state.code(account) == b""
        assert state.nonce(account) == 0
        assert not state.has_storage(account)


@settings(max_examples=examples(200))
@given(programs, programs, accounts)
def test_traces_and_gas_are_the_same_with_a_border(
    first: bytes, second: bytes, to: Address
) -> None:
    plain = opened(first, second)
    result = applied(Evm(1), plain, to)
    root = plain.seal().root
    for tracer in (StructLogTracer(), Watch()):
        traced = opened(first, second)
        assert applied(TracedEvm(1, tracer), traced, to) == result
        assert traced.seal().root == root


@settings(max_examples=examples(200))
@given(programs, programs, accounts)
def test_where_no_border_is_touched_there_is_none(first: bytes, second: bytes, to: Address) -> None:
    """A program that asks for nothing of another shard runs as on one chain."""

    class Asked(Machine):
        asked = False

        def elsewhere(self, address: bytes) -> int | None:
            shard = super().elsewhere(address)
            Asked.asked |= shard is not None
            return shard

    class Asking(Evm):
        def machine(self, *args: Any, **options: Any) -> Machine:
            return Asked(*args, **options)

    beside, alone = opened(first, second), opened(first, second)
    result = applied(Asking(1), beside, to)
    without = applied(Evm(1), alone, to, replace(CONTEXT, beacon=None))
    if not Asked.asked:
        assert result == without
        assert beside.seal().root == alone.seal().root
