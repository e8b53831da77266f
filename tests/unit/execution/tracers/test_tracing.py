"""Tracers: their results in geth's shape, their limits, and that nothing is changed by them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from node.execution.evm.evm import Evm
from node.execution.evm.simulate import SimulatedCall
from node.execution.frame.context import BlockContext
from node.execution.state.genesis import GenesisAccount, build_genesis
from node.execution.state.state import State
from node.execution.tracers.trace_calls import CallTracer, revert_reason
from node.execution.tracers.trace_prestate import PrestateTracer
from node.execution.tracers.trace_steps import StructLogTracer
from node.execution.tracers.tracing import (
    TraceBudget,
    TracedEvm,
    TraceLimits,
    Tracer,
    trace_call,
)
from node.execution.trie.errors import InsufficientFunds, TraceTooLarge
from node.primitives import rlp
from node.primitives.basics import Address, keccak256
from node.primitives.births import contract_address
from node.primitives.keys import SigningKey
from node.primitives.transaction import Authorization, Transaction
from tests.support.deep_stack import run_with_stack

EVM = Evm(1)
SENDER = SigningKey(b"\1" * 32).address
TARGET, OTHER, COINBASE = (Address(bytes([n]) * 20) for n in (0x22, 0x33, 0xC0))
CONTEXT = BlockContext(
    chain_id=1, number=1, timestamp=1, coinbase=COINBASE, gas_limit=1 << 50, base_fee=7
)
ETHER = 10**20
STORE = "602a5f55"  # sstore(0, 42)
LOG = "5f5fa0"
REVERT = "5f5ffd"
REASON = (
    "08c379a0" + f"{0x20:064x}" + f"{2:064x}" + b"no".hex().ljust(64, "0")
)  # what revert("no") gives in Solidity


def call(address: bytes, *, opcode: str = "f1", value: str = "5f") -> str:
    """A call without data, its success popped."""
    middle = value if opcode in ("f1", "f2") else ""
    return f"5f5f5f5f{middle}73{address.hex()}5a{opcode}50"


def revert_with(data: str) -> str:
    size = len(data) // 2
    return f"60{size:02x}80600a5f395ffd00" + data  # codecopy(0, 10, size), revert(0, size)


def opened(**code: str) -> State:
    named = {"target": TARGET, "other": OTHER}
    alloc = {SENDER: GenesisAccount(balance=ETHER)}
    for name, text in code.items():
        alloc[named[name]] = GenesisAccount(
            nonce=1, balance=5, code=bytes.fromhex(text), storage={7: 8}
        )
    delta = build_genesis(alloc)
    return State(delta.nodes.get, delta.root)


def tx(**changes: Any) -> Transaction:
    fields: dict[str, Any] = {
        "type": 2,
        "chain_id": 1,
        "nonce": 0,
        "max_priority_fee_per_gas": 2,
        "max_fee_per_gas": 100,
        "gas": 200_000,
        "to": TARGET,
        "value": 0,
        "data": b"",
        "v": 0,
        "r": 1,
        "s": 1,
        "raw": b"",
        "sender": SENDER,
    }
    return Transaction(**{**fields, **changes})


def traced(tracer: Any, state: State, transaction: Transaction | None = None) -> Any:
    TracedEvm(1, tracer).apply_transaction(
        state, CONTEXT, transaction or tx(), gas_available=CONTEXT.gas_limit
    )
    return tracer.result()


def steps(code: str, **options: Any) -> list[dict[str, Any]]:
    result = traced(StructLogTracer(**options), opened(target=code, other=STORE))
    logs: list[dict[str, Any]] = result["structLogs"]
    return logs


class TestCallTracer:
    def test_the_tree(self) -> None:
        state = opened(target=LOG + call(OTHER, value="6001") + LOG, other=STORE)
        root = traced(CallTracer(with_logs=True), state, tx(value=3))
        assert (root["type"], root["from"], root["to"]) == (
            "CALL",
            "0x" + SENDER.hex(),
            "0x" + TARGET.hex(),
        )
        assert (root["value"], root["input"], root["gas"]) == ("0x3", "0x", hex(200_000))
        assert "output" not in root
        assert "error" not in root
        assert [log["position"] for log in root["logs"]] == ["0x0", "0x1"]
        assert [log["index"] for log in root["logs"]] == ["0x0", "0x1"]
        (inner,) = root["calls"]
        assert (inner["type"], inner["value"], inner["from"]) == ("CALL", "0x1", root["to"])
        assert int(inner["gasUsed"], 16) == 3 + 2 + 22_100

    @pytest.mark.parametrize(
        ("opcode", "name"), [("f2", "CALLCODE"), ("f4", "DELEGATECALL"), ("fa", "STATICCALL")]
    )
    def test_the_other_calls(self, opcode: str, name: str) -> None:
        root = traced(CallTracer(), opened(target=call(OTHER, opcode=opcode), other="00"))
        (inner,) = root["calls"]
        assert (inner["type"], inner["from"], inner["to"]) == (
            name,
            "0x" + TARGET.hex(),
            "0x" + OTHER.hex(),
        )
        assert ("value" in inner) == (name != "STATICCALL")

    def test_a_failed_call_has_its_reason_and_no_logs(self) -> None:
        state = opened(target=call(OTHER) + LOG, other=revert_with(REASON))
        inner = traced(CallTracer(with_logs=True), state)["calls"][0]
        assert inner["error"] == "execution reverted"
        assert inner["revertReason"] == "no"
        assert inner["output"] == "0x" + REASON
        state = opened(target=call(OTHER) + LOG + "fe", other=LOG)
        root = traced(CallTracer(with_logs=True), state)
        assert root["error"] == "invalid opcode: 0xfe"
        assert "logs" not in root
        assert "logs" not in root["calls"][0]
        assert root["gasUsed"] == root["gas"]

    def test_what_is_refused_is_listed(self) -> None:
        root = traced(CallTracer(), opened(target=call(OTHER, value="60ff"), other=STORE))
        (inner,) = root["calls"]
        assert inner["error"] == "insufficient balance for transfer"
        assert inner["gasUsed"] == "0x0"

    def test_creations(self) -> None:
        # create(0, 0, 0), create2(0, 0, 0, 5), create of the init code 0xfe
        code = "5f5f5ff050" + "60055f5f5ff550" + "60fe5f536001" + "5f5ff050"
        root = traced(CallTracer(), opened(target=code))
        names = [(inner["type"], "to" in inner, "error" in inner) for inner in root["calls"]]
        assert names == [
            ("CREATE", True, False),
            ("CREATE2", True, False),
            ("CREATE", False, True),
        ]
        root = traced(CallTracer(), opened(), tx(to=None, data=b"\x00"))
        assert (root["type"], root["to"]) == ("CREATE", "0x" + contract_address(SENDER, 0).hex())
        assert root["input"] == "0x00"

    def test_a_collision_at_the_top(self) -> None:
        state = opened()
        state.set_code(contract_address(SENDER, 0), b"\x00")
        root = traced(CallTracer(), state, tx(to=None, data=b"\x00"))
        assert (root["type"], root["error"]) == ("CREATE", "contract address collision")
        assert root["gasUsed"] == root["gas"]

    def test_self_destruct_and_precompiles_are_listed(self) -> None:
        state = opened(target=call(b"\0" * 19 + b"\4", opcode="fa") + f"73{OTHER.hex()}ff")
        first, second = traced(CallTracer(), state)["calls"]
        assert (first["to"], first["gasUsed"]) == ("0x" + "00" * 19 + "04", "0xf")
        assert (second["type"], second["value"]) == ("SELFDESTRUCT", "0x5")
        assert second["to"] == "0x" + OTHER.hex()

    def test_only_the_top(self) -> None:
        state = opened(target=call(OTHER), other=STORE)
        assert "calls" not in traced(CallTracer(only_top_call=True, with_logs=True), state)

    def test_a_delegated_account_is_what_is_called(self) -> None:
        state = opened(target=call(OTHER, opcode="f4"), other=STORE)
        state.set_code(COINBASE, b"\xef\x01\x00" + OTHER)
        state.set_code(TARGET, bytes.fromhex(call(COINBASE)))
        (inner,) = traced(CallTracer(), state)["calls"]
        assert inner["to"] == "0x" + COINBASE.hex()
        assert state.storage(COINBASE, 0) == 42


class TestRevertReason:
    def test_text(self) -> None:
        assert revert_reason(bytes.fromhex(REASON)) == "no"
        panic = bytes.fromhex("4e487b71") + (0x11).to_bytes(32, "big")
        assert revert_reason(panic) == "arithmetic underflow or overflow"
        assert revert_reason(panic[:-1] + b"\x77") == "unknown panic code: 0x77"

    @pytest.mark.parametrize(
        "data", ["", "08c379a0", "00" * 68, REASON[:100], "08c379a0" + "f" * 200]
    )
    def test_what_is_none(self, data: str) -> None:
        assert revert_reason(bytes.fromhex(data)) is None


class TestStructLogs:
    def test_each_step(self) -> None:
        found = steps("6001600201005b", memory=True)
        assert [(s["pc"], s["op"], s["gasCost"]) for s in found] == [
            (0, "PUSH1", 3),
            (2, "PUSH1", 3),
            (4, "ADD", 3),
            (5, "STOP", 0),
        ]
        assert [s["stack"] for s in found] == [[], ["0x1"], ["0x1", "0x2"], ["0x3"]]
        assert found[0]["gas"] == 179_000
        assert found[1]["gas"] == 178_997
        assert {s["depth"] for s in found} == {1}

    def test_the_code_ends_in_a_stop(self) -> None:
        assert [s["op"] for s in steps("5b5f6001")] == ["JUMPDEST", "PUSH0", "PUSH1", "STOP"]
        assert [(s["pc"], s["op"]) for s in steps("61aa")] == [(0, "PUSH2"), (3, "STOP")]

    def test_jumps_are_followed(self) -> None:
        assert [s["pc"] for s in steps("600456fe5b00")] == [0, 2, 4, 5]
        assert [s["pc"] for s in steps("5f600657fe5b00")] == [0, 1, 3, 4]

    def test_memory_and_storage(self) -> None:
        found = steps("602a5f5260076001555f545000", memory=True)
        assert found[2]["memory"] == []
        assert found[3]["memory"] == [f"0x{42:064x}"]
        store, load = (s for s in found if "storage" in s)
        assert store["storage"] == {f"0x{1:064x}": f"0x{7:064x}"}
        assert load["storage"] == {f"0x{1:064x}": f"0x{7:064x}", f"0x{0:064x}": f"0x{0:064x}"}
        assert (store["gasCost"], load["gasCost"]) == (22_100, 2100)
        assert found[2]["gasCost"] == 6  # MSTORE with its memory

    def test_a_call_costs_what_it_gives(self) -> None:
        found = steps(call(OTHER, value="6001") + "00")
        at = next(n for n, s in enumerate(found) if s["op"] == "CALL")
        own = 2600 + 9000
        left = found[at]["gas"] - own
        assert found[at]["gasCost"] == own + left - left // 64
        assert found[at + 1]["gas"] == left - left // 64 + 2300
        assert found[at + 1]["depth"] == 2
        refused = steps(call(OTHER, value="60ff") + "00")
        assert refused[at]["gasCost"] == found[at]["gasCost"]

    def test_a_creation_costs_its_own(self) -> None:
        (creation,) = (s for s in steps("60fe5f5360015f5ff000") if s["op"] == "CREATE")
        assert creation["gasCost"] == 32_000 + 2

    @pytest.mark.parametrize(
        ("code", "op", "error"),
        [
            ("01", "ADD", "stack underflow (0 <=> 2)"),
            ("5fff", "", None),
            ("0c", "opcode 0xc not defined", "invalid opcode: 0xc"),
            ("60ff56", "JUMP", "invalid jump destination"),
            (REVERT, "", None),
        ],
    )
    def test_the_step_that_fails(self, code: str, op: str, error: str | None) -> None:
        last = steps(code)[-1]
        assert last.get("error") == error
        if op:
            assert last["op"] == op

    def test_the_summary(self) -> None:
        result = traced(StructLogTracer(), opened(target="602a5f5260205ffd"))
        assert (result["failed"], result["returnValue"]) == (True, f"0x{42:064x}")
        assert result["gas"] == 21_000 + 3 + 2 + 6 + 3 + 2

    def test_what_is_not_asked_for_is_absent(self) -> None:
        found = steps("602a5f5500", stack=False, storage=False)
        assert all(set(s) <= {"pc", "op", "gas", "gasCost", "depth", "refund"} for s in found)


class TestPrestate:
    def test_what_was_there(self) -> None:
        state = opened(target="60075450" + call(OTHER) + "00", other=STORE)
        before = state.code(TARGET)
        found = traced(PrestateTracer(), state, tx(value=1))
        assert found["0x" + SENDER.hex()] == {"balance": hex(ETHER)}
        assert found["0x" + COINBASE.hex()] == {"balance": "0x0"}
        assert found["0x" + TARGET.hex()] == {
            "balance": "0x5",
            "nonce": 1,
            "code": "0x" + before.hex(),
            "storage": {f"0x{7:064x}": f"0x{8:064x}"},
        }
        assert found["0x" + OTHER.hex()]["storage"] == {f"0x{0:064x}": f"0x{0:064x}"}

    def test_the_difference(self) -> None:
        # slot 0 is set, slot 7 cleared, slot 9 only read, nothing of OTHER changes
        state = opened(target=STORE + "5f600755" + "60095450" + call(OTHER), other="00")
        found = traced(PrestateTracer(diff=True), state, tx(value=1))
        target, sender = "0x" + TARGET.hex(), "0x" + SENDER.hex()
        assert set(found["pre"]) == {target, sender, "0x" + COINBASE.hex()}
        assert found["pre"][target]["storage"] == {f"0x{7:064x}": f"0x{8:064x}"}
        assert found["post"][target] == {
            "balance": "0x6",
            "storage": {f"0x{0:064x}": f"0x{42:064x}"},
        }
        assert found["post"][sender]["nonce"] == 1

    def test_created_contracts_were_not_there(self) -> None:
        found = traced(PrestateTracer(diff=True), opened(target="60055f5f5ff550"))
        (created,) = set(found["post"]) - set(found["pre"])
        assert found["post"][created] == {"nonce": 1}
        assert created not in traced(PrestateTracer(), opened(target="60055f5f5ff550"))
        found = traced(PrestateTracer(diff=True), opened(), tx(to=None))
        assert "0x" + contract_address(SENDER, 0).hex() in set(found["post"]) - set(found["pre"])

    def test_authorities(self) -> None:
        key = SigningKey(b"\2" * 32)
        signature = key.sign_digest(_authorization_digest())
        authorization = Authorization(
            chain_id=1,
            address=OTHER,
            nonce=0,
            y_parity=signature[64],
            r=int.from_bytes(signature[:32], "big"),
            s=int.from_bytes(signature[32:64], "big"),
        )
        assert authorization.authority() == key.address
        found = traced(
            PrestateTracer(diff=True), opened(other="00"), tx(authorizations=(authorization,))
        )
        assert found["post"]["0x" + key.address.hex()]["code"] == "0xef0100" + OTHER.hex()
        assert found["pre"]["0x" + key.address.hex()] == {"balance": "0x0"}


class TestLimits:
    @pytest.mark.parametrize(
        "make",
        [
            lambda limits: StructLogTracer(budget=TraceBudget(limits)),
            lambda limits: CallTracer(budget=TraceBudget(limits)),
            lambda limits: PrestateTracer(budget=TraceBudget(limits)),
        ],
    )
    def test_a_trace_is_bounded(self, make: Callable[[TraceLimits], Tracer]) -> None:
        # calls OTHER with a kilobyte and stores to a new slot, for ever
        code = "5b5f5f6104005f5f73" + OTHER.hex() + "5af1505a5a55" + "5f56"
        state = opened(target=code, other="00")
        with pytest.raises(TraceTooLarge, match="more than 10 entries"):
            traced(make(TraceLimits(entries=10)), state, tx(gas=5_000_000))
        state = opened(target=code, other="00")
        with pytest.raises(TraceTooLarge, match="more than 5000 bytes"):
            traced(make(TraceLimits(size=5000)), state, tx(gas=5_000_000))


class TestUse:
    def test_calls(self) -> None:
        request = SimulatedCall(sender=SENDER, to=TARGET, gas=100_000, value=1)
        tracer = CallTracer()
        result = trace_call(EVM, opened(target=STORE), CONTEXT, request, tracer)
        assert result.success
        assert tracer.result()["gasUsed"] == hex(result.gas_used)
        with pytest.raises(InsufficientFunds):
            trace_call(EVM, opened(), CONTEXT, replace(request, value=2 * ETHER), CallTracer())

    def test_arrivals(self) -> None:
        arguments: dict[str, Any] = {
            "sender": SENDER,
            "to": TARGET,
            "data": b"\1",
            "gas": 50_000,
            "gas_price": 1,
            "origin": SENDER,
        }
        tracer = CallTracer()
        state = opened(target=STORE)
        result = TracedEvm(1, tracer).apply_call(state, CONTEXT, value=1, **arguments)
        assert result == EVM.apply_call(opened(target=STORE), CONTEXT, value=1, **arguments)
        assert tracer.result()["gasUsed"] == hex(result.gas_used)
        tracer = CallTracer()
        TracedEvm(1, tracer).apply_call(state, CONTEXT, value=2 * ETHER, **arguments)
        assert tracer.result()["error"] == "insufficient balance for transfer"

    def test_calls_as_deep_as_they_may_be(self) -> None:
        def run() -> dict[str, Any]:
            state = opened(target=call(TARGET))
            root: dict[str, Any] = traced(CallTracer(), state, tx(gas=1 << 50))
            return root

        inner = run_with_stack(lambda: _deepest(run()))
        assert inner == (1025, "max call depth exceeded")


def _authorization_digest() -> bytes:
    return keccak256(b"\x05" + rlp.encode([b"\1", OTHER, b""]))


def _deepest(call: dict[str, Any]) -> tuple[int, str | None]:
    depth = 0
    while "calls" in call:
        (call,) = call["calls"]
        depth += 1
    return depth, call.get("error")
