"""Random programs: a traced execution is the untraced one, and its steps add up."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.execution.evm.evm import Evm
from node.execution.evm.results import TransactionResult
from node.execution.frame.context import BlockContext
from node.execution.state.genesis import GenesisAccount, build_genesis
from node.execution.state.state import State
from node.execution.tracers.trace_calls import CallTracer
from node.execution.tracers.trace_prestate import PrestateTracer
from node.execution.tracers.trace_steps import StructLogTracer
from node.execution.tracers.tracing import TracedEvm, Tracer
from node.primitives.basics import Address
from node.primitives.transaction import Transaction
from tests.support.effort import examples

SENDER, FIRST, SECOND = (Address(bytes([n]) * 20) for n in (0x11, 0x22, 0x33))
CONTEXT = BlockContext(
    chain_id=1,
    number=5,
    timestamp=1,
    coinbase=Address(b"\xc0" * 20),
    gas_limit=30_000_000,
    base_fee=1,
)
GAS = 300_000

pushes = st.builds(
    lambda value: bytes([0x60, value]), st.sampled_from([0, 1, 2, 4, 7, 31, 32, 33, 64, 200, 255])
)
addresses = st.sampled_from([SENDER, FIRST, SECOND, Address(b"\0" * 19 + b"\4")])
calls = st.builds(
    lambda opcode, target, value, gas: (
        bytes.fromhex("602060006020600060") + bytes([value, 0x73]) + target + gas + bytes([opcode])
    ),
    st.sampled_from([0xF1, 0xF2, 0xF4, 0xFA]),
    addresses,
    st.sampled_from([0, 0, 1, 99]),
    st.sampled_from([b"\x5a", b"\x61\x27\x10", b"\x5f"]),
)
plain = st.sampled_from(
    [op for op in range(256) if op <= 0x4A or 0x50 <= op <= 0x5F or 0x80 <= op <= 0xA4]
    + [0xF0, 0xF5, 0xF3, 0xFD, 0xFE, 0xFF, 0x54, 0x55, 0x54, 0x55, 0x5B, 0x5B, 0x5A]
).map(lambda op: bytes([op]))
jumps = st.builds(
    lambda at, op: bytes([0x60, at, op]), st.integers(0, 60), st.sampled_from([0x56, 0x57])
)
programs = st.lists(st.one_of(pushes, pushes, plain, plain, calls, jumps), max_size=60).map(
    lambda parts: bytes.fromhex("6001600260036004600560066007") + b"".join(parts)
)


def run(evm: Evm, first: bytes, second: bytes) -> tuple[TransactionResult, bytes]:
    delta = build_genesis(
        {
            SENDER: GenesisAccount(balance=10**18),
            FIRST: GenesisAccount(nonce=1, balance=50, code=first, storage={1: 1, 2: 2}),
            SECOND: GenesisAccount(nonce=1, code=second, storage={1: 1}),
        }
    )
    state = State(delta.nodes.get, delta.root)
    transaction = Transaction(
        type=2,
        chain_id=1,
        nonce=0,
        max_priority_fee_per_gas=1,
        max_fee_per_gas=2,
        gas=GAS,
        to=FIRST,
        value=3,
        data=b"\1\2\3",
        v=0,
        r=1,
        s=1,
        raw=b"",
        sender=SENDER,
    )
    result = evm.apply_transaction(state, CONTEXT, transaction, gas_available=GAS)
    return result, state.seal().root


@pytest.mark.slow
@settings(max_examples=examples(300))
@given(first=programs, second=programs)
def test_a_traced_execution_is_the_untraced_one(first: bytes, second: bytes) -> None:
    plainly = run(Evm(1), first, second)
    steps = StructLogTracer(memory=True, return_data=True)
    tracers: list[Tracer] = [
        CallTracer(with_logs=True),
        PrestateTracer(),
        PrestateTracer(diff=True),
        steps,
    ]
    for tracer in tracers:
        result, root = run(TracedEvm(1, tracer), first, second)
        assert root == plainly[1]
        # where a block of code has several faults, its frame's error text is that of one of them
        assert (result.error is None) == (plainly[0].error is None)
        assert replace(result, error=plainly[0].error) == plainly[0]
    check_steps(steps.result())


def check_steps(trace: dict[str, Any]) -> None:
    """Within a frame, an instruction that calls nothing costs what is missing at the next."""
    before: dict[int, dict[str, Any]] = {}
    for step in trace["structLogs"]:
        depth = step["depth"]
        before = {at: last for at, last in before.items() if at <= depth}
        last = before.get(depth)
        assert step["gas"] <= GAS
        assert step["gasCost"] >= 0
        if last is not None and "CALL" not in last["op"] and "CREATE" not in last["op"]:
            # a frame may also end here and another begin: then the last one stops or fails
            ended = last["op"] in ("STOP", "RETURN", "REVERT", "SELFDESTRUCT") or "error" in last
            assert ended or last["gas"] - last["gasCost"] == step["gas"]
        before[depth] = step
