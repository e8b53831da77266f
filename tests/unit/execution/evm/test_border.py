"""What execution does where it would need an account of another shard."""

from dataclasses import replace
from typing import Any

import pytest
from eth_abi import decode
from eth_utils.address import to_checksum_address

from node.execution.evm.border import border_reason, delegate_reason, error_string, unread_reason
from node.execution.evm.evm import DELEGATION_PREFIX, Evm
from node.execution.evm.results import CallResult
from node.execution.evm.simulate import SimulatedCall, estimate_gas, simulate
from node.execution.frame.context import BlockContext
from node.execution.state.genesis import GenesisAccount, build_genesis
from node.execution.state.state import State
from node.execution.tracers.trace_calls import CallTracer, revert_reason
from node.execution.tracers.trace_steps import StructLogTracer
from node.execution.tracers.tracing import TracedEvm
from node.execution.trie.errors import ExecutionFailed
from node.primitives.basics import Address
from node.primitives.births import contract_address
from node.primitives.fields import U256
from tests.support.borders import Borders

SENDER, HERE, INNER, AUTHORITY, EMPTY, AWAY = (
    Address(bytes([n]) * 20) for n in (0x11, 0x22, 0x33, 0x44, 0x55, 0xEE)
)
IDENTITY = Address(bytes(19) + b"\4")
CALL, CALLCODE, DELEGATECALL, STATICCALL = "f1", "f2", "f4", "fa"
CODESIZE, CODEHASH = "3b", "3f"
BUBBLE = "503d5f5f3e3d5ffd"  # pop, then revert with what the last call returned
SUCCESS = "5f5260205ff3"  # return the word on the stack
SILENT = "5f5ffd"
CONTEXT = BlockContext(
    chain_id=1,
    number=5,
    timestamp=1,
    coinbase=Address(b"\xc0" * 20),
    gas_limit=30_000_000,
    base_fee=1,
    beacon=Borders(frozenset({AWAY})),
)
ALONE = replace(CONTEXT, beacon=None)


def call(opcode: str, to: bytes, *, size: int = 4, value: int = 0) -> str:
    """A call with `size` bytes of data; its success stays on the stack."""
    worth = f"60{value:02x}" if opcode in (CALL, CALLCODE) else ""
    return f"5f5f60{size:02x}5f{worth}73{to.hex()}5a{opcode}"


def look(opcode: str, at: bytes) -> str:
    return f"73{at.hex()}{opcode}50"


def opened(code: str, inner: str = "", authority: bytes = b"") -> State:
    alloc = {SENDER: GenesisAccount(balance=10**20), HERE: _contract(bytes.fromhex(code))}
    if inner:
        alloc[INNER] = _contract(bytes.fromhex(inner))
    if authority:
        alloc[AUTHORITY] = _contract(DELEGATION_PREFIX + authority)
    delta = build_genesis(alloc)
    return State(delta.nodes.get, delta.root)


def _contract(code: bytes) -> GenesisAccount:
    return GenesisAccount(nonce=1, balance=100, code=code)


def made(**changes: Any) -> SimulatedCall:
    return replace(SimulatedCall(sender=SENDER, to=HERE, gas=200_000), **changes)


def run(
    code: str, inner: str = "", *, context: BlockContext = CONTEXT, **changes: Any
) -> CallResult:
    return simulate(Evm(1), opened(code, inner), context, made(**changes))


def reason(result: CallResult) -> str | None:
    assert not result.success
    assert result.error == "execution reverted"
    return revert_reason(result.output)


LIVES = f"{to_checksum_address(AWAY)} lives on shard 1; reach it with MESSENGER.send"

# ---------------------------------------------------------------------- calls


def test_the_reason_is_what_solidity_reverts_with() -> None:
    output = border_reason(AWAY, 1)
    assert output[:4].hex() == "08c379a0"
    assert decode(["string"], output[4:]) == (LIVES,)
    assert len(output) % 32 == 4
    assert revert_reason(error_string("")) == ""


@pytest.mark.parametrize("opcode", [CALL, CALLCODE, DELEGATECALL, STATICCALL])
def test_a_call_with_data_is_refused_and_its_reason_passed_on(opcode: str) -> None:
    assert reason(run(call(opcode, AWAY) + BUBBLE)) == LIVES
    assert run(call(opcode, AWAY) + SUCCESS).output == bytes(32)
    assert run(call(opcode, AWAY) + SUCCESS, context=ALONE).output[-1] == 1


@pytest.mark.parametrize("opcode", [CALLCODE, DELEGATECALL, STATICCALL])
def test_calls_that_only_run_code_are_refused_without_data_too(opcode: str) -> None:
    assert reason(run(call(opcode, AWAY, size=0) + BUBBLE)) == LIVES


@pytest.mark.parametrize("value", [0, 3])
def test_wei_and_empty_calls_go_on(value: int) -> None:
    state = opened(call(CALL, AWAY, size=0, value=value) + SUCCESS)
    assert simulate(Evm(1), state, CONTEXT, made()).output[-1] == 1
    assert state.balance(AWAY) == value


def test_a_refused_call_takes_no_wei_and_gives_its_gas_back() -> None:
    state = opened(call(CALL, AWAY, value=3) + SUCCESS)
    refused = simulate(Evm(1), state, CONTEXT, made())
    assert refused.output == bytes(32)
    assert (state.balance(AWAY), state.balance(HERE)) == (0, 100)
    unpaid = run(call(CALL, AWAY, value=0) + SUCCESS)
    # the price of value and of a new account, less the stipend that comes back
    assert refused.gas_used - unpaid.gas_used == 9000 + 25_000 - 2300


@pytest.mark.parametrize("opcode", [CALL, STATICCALL])
@pytest.mark.parametrize("to", [EMPTY, SENDER, IDENTITY])
def test_accounts_without_code_that_live_here_are_called(opcode: str, to: Address) -> None:
    assert run(call(opcode, to) + SUCCESS).output[-1] == 1


def test_what_has_code_or_a_nonce_here_lives_here() -> None:
    """A contract that was born here, wherever its range is, and one that is just being created."""
    born = contract_address(SENDER, 0)
    context = replace(CONTEXT, beacon=Borders(frozenset({born, INNER})))
    assert run(call(CALL, INNER) + SUCCESS, inner="00", context=context).output[-1] == 1
    creation = made(to=None, data=bytes.fromhex(call(CALL, born) + SUCCESS))
    assert simulate(Evm(1), opened(""), context, creation).output[-1] == 1


def test_funds_and_depth_come_first() -> None:
    result = run(call(CALL, AWAY, value=101) + "503d" + SUCCESS)
    assert int.from_bytes(result.output, "big") == 0  # no reason: that of Ethereum was the first


def test_a_precompile_that_was_moved_is_called() -> None:
    class Moved(Evm):
        def machine(self, *args: Any, **options: Any) -> Any:
            machine = super().machine(*args, **options)
            machine.precompiles = {AWAY: machine.precompiles[IDENTITY]}
            return machine

    result = simulate(Moved(1), opened(call(STATICCALL, AWAY) + SUCCESS), CONTEXT, made())
    assert result.output[-1] == 1


def test_a_transaction_to_an_account_of_another_shard_says_so() -> None:
    assert reason(run("00", to=AWAY, data=b"\1")) == LIVES
    assert run("00", to=AWAY).success
    with pytest.raises(ExecutionFailed, match="execution reverted") as caught:
        estimate_gas(
            Evm(1), lambda: opened(call(CALL, AWAY) + BUBBLE), CONTEXT, made(gas=0), 30_000_000
        )
    assert caught.value.output == border_reason(AWAY, 1)


# ---------------------------------------------------------------------- looking before a call


@pytest.mark.parametrize("opcode", [CODESIZE, CODEHASH])
def test_a_look_shows_no_code_and_a_revert_without_data_says_where_it_is(opcode: str) -> None:
    assert run(f"73{AWAY.hex()}{opcode}" + SUCCESS).output == bytes(32)
    assert reason(run(look(opcode, AWAY) + SILENT)) == LIVES


@pytest.mark.parametrize(
    "code",
    [
        SILENT,
        look(CODESIZE, EMPTY) + SILENT,
        look(CODESIZE, INNER) + SILENT,
        look(CODESIZE, AWAY) + look(CODESIZE, EMPTY) + SILENT,
        look(CODESIZE, AWAY) + look(CODEHASH, INNER) + SILENT,
        look(CODESIZE, AWAY) + call(CALL, INNER) + "50" + SILENT,
        look(CODESIZE, AWAY) + call(CALL, AWAY, size=0) + "50" + SILENT,
        look(CODESIZE, AWAY) + call(CALL, AWAY) + "50" + SILENT,
        look(CODESIZE, AWAY) + "5f5f5ff050" + SILENT,
        call(CALL, INNER) + "50" + SILENT,
    ],
)
def test_other_reverts_without_data_stay_so(code: str) -> None:
    assert run(code, inner=look(CODESIZE, AWAY) + "00").output == b""


def test_a_revert_with_data_keeps_them() -> None:
    assert run(look(CODESIZE, AWAY) + "60205ffd").output == bytes(32)


def test_the_frame_that_looked_is_the_one_that_says_it() -> None:
    inner = look(CODESIZE, AWAY) + SILENT
    assert run(call(CALL, INNER) + "50" + SILENT, inner=inner).output == b""
    assert reason(run(call(CALL, INNER) + BUBBLE, inner=inner)) == LIVES


def test_a_constructor_says_it_too() -> None:
    init = look(CODESIZE, AWAY) + SILENT
    assert reason(run("", to=None, data=bytes.fromhex(init))) == LIVES


def test_without_a_beacon_nothing_is_said() -> None:
    assert run(look(CODESIZE, AWAY) + SILENT, context=ALONE).output == b""


# ---------------------------------------------------------------------- reading


READS = [(f"73{{}}31{SUCCESS}", "balance"), (f"60205f5f73{{}}3c5f51{SUCCESS}", "code")]


@pytest.mark.parametrize(("code", "what"), READS)
def test_what_another_shard_knows_is_not_read_as_zero(code: str, what: str) -> None:
    result = run(code.format(AWAY.hex()))
    assert result.output == unread_reason(AWAY, 1, what)
    assert (
        reason(result)
        == f"{to_checksum_address(AWAY)} lives on shard 1; its {what} cannot be read here"
    )
    for here in (EMPTY, HERE, IDENTITY):
        assert run(code.format(here.hex())).success
    assert run(code.format(AWAY.hex()), context=ALONE).output == bytes(32)


def test_a_payment_under_way_is_no_balance() -> None:
    paid = call(CALL, AWAY, size=0, value=3) + "50" + f"73{AWAY.hex()}31{SUCCESS}"
    assert run(paid).output == unread_reason(AWAY, 1, "balance")


@pytest.mark.parametrize(("code", "what"), READS)
def test_a_read_that_reverts_costs_what_came_before_it(code: str, what: str) -> None:
    """The instructions behind it are of the same line of code, and were not run."""
    short = run(code.format(AWAY.hex())[: -len(SUCCESS)]).gas_used
    longer = code.format(AWAY.hex()) + "01" * 50
    assert run(longer).gas_used == short
    tracer = StructLogTracer()
    traced = TracedEvm(1, tracer).simulate(opened(longer), CONTEXT, made())
    assert (traced.gas_used, traced.output) == (short, unread_reason(AWAY, 1, what))


def test_a_read_after_too_little_gas_is_out_of_gas() -> None:
    result = run(f"73{AWAY.hex()}31{SUCCESS}", gas=21_010)
    assert result.error == "out of gas"


# ---------------------------------------------------------------------- delegations


def delegated(code: str, **changes: Any) -> CallResult:
    return simulate(Evm(1), opened(code, authority=AWAY), CONTEXT, made(**changes))


def test_an_account_that_delegates_to_code_of_another_shard_says_so() -> None:
    expected = (
        f"{to_checksum_address(AUTHORITY)} delegates to {to_checksum_address(AWAY)}, "
        "which lives on shard 1; nothing of it can run here"
    )
    for result in (
        delegated("", to=AUTHORITY, data=b"\1"),
        delegated(call(CALL, AUTHORITY) + BUBBLE),
    ):
        assert result.output == delegate_reason(AUTHORITY, AWAY, 1)
        assert reason(result) == expected
    assert delegated("", to=AUTHORITY, value=U256(1)).success
    assert delegated(call(CALL, AUTHORITY, size=0, value=1) + SUCCESS).output[-1] == 1


def test_a_delegate_that_lives_here_and_has_no_code_runs_nothing() -> None:
    state = opened("", authority=EMPTY)
    assert simulate(Evm(1), state, CONTEXT, made(to=AUTHORITY, data=b"\1")).success


# ---------------------------------------------------------------------- traces


def test_traces_show_the_refused_call_and_its_reason() -> None:
    tracer = CallTracer()
    TracedEvm(1, tracer).simulate(opened(call(CALL, AWAY) + BUBBLE), CONTEXT, made())
    root: Any = tracer.result()
    (inner,) = root["calls"]
    for each in (root, inner):
        assert each["error"] == "execution reverted"
        assert each["revertReason"] == LIVES
        assert each["output"] == "0x" + border_reason(AWAY, 1).hex()
    assert (inner["to"], inner["gasUsed"]) == ("0x" + AWAY.hex(), "0x0")
