"""Calls over accounts of several shards: what they want, what they guess, and what they may not change."""

import math
import time

import pytest

from node.execution.evm import reading
from node.execution.evm.border import border_reason
from node.execution.evm.reading import ReadingEvm, read_call
from node.execution.evm.results import CallResult
from node.execution.evm.simulate import SimulatedCall
from node.execution.frame.context import BlockContext
from node.execution.state.genesis import GenesisAccount, build_genesis
from node.execution.state.guests import MAX_WANTED, Border, Guest, Guests, SpanningState, Wanted
from node.execution.state.state_store import StateStore
from node.execution.trie.errors import ExecutionTimedOut
from node.primitives.basics import EMPTY_CODE_HASH, Address, keccak256
from node.primitives.fields import U256, Word

SENDER, HERE, AWAY, OTHER = (Address(bytes([n]) * 20) for n in (0x11, 0x22, 0x33, 0x44))
SHARD = 3
BORDER = Border(here=0, home=lambda address: 0 if address in (SENDER, HERE) else SHARD)
CONTEXT = BlockContext(
    chain_id=1,
    number=5,
    timestamp=1,
    coinbase=Address(b"\xc0" * 20),
    gas_limit=30_000_000,
    base_fee=1,
)
ROOT = keccak256(b"a storage root")
BUBBLE = "503d5f5f3e3d5ffd"  # pop, then revert with what the last call returned
OR_REVERT = "58600801575f5ffd5b"  # reverts where the word on the stack is zero


def call(to: bytes, *, size: int = 0, value: int = 0, opcode: str = "f1") -> str:
    worth = f"60{value:02x}" if opcode in ("f1", "f2") else ""
    return f"5f5f60{size:02x}5f{worth}73{to.hex()}5a{opcode}"


def look(address: bytes) -> str:
    return f"73{address.hex()}3150"


def guest(address: Address, code: str, **values: int) -> tuple[Guest, bytes]:
    body = bytes.fromhex(code)
    slots = tuple((Word(int(slot[1:])), Word(value)) for slot, value in values.items())
    made = Guest(
        address=address,
        nonce=1,
        balance=U256(9),
        storage_root=ROOT,
        code_hash=keccak256(body),
        slots=slots,
    )
    return made, body


def run(
    code: str,
    *guests: tuple[Guest, bytes],
    seconds: float = math.inf,
    balance: int = 0,
    gas: int = 5_000_000,
    sender: Address = SENDER,
) -> CallResult | list[Wanted]:
    alloc = {
        SENDER: GenesisAccount(balance=10**18),
        HERE: GenesisAccount(nonce=1, balance=balance, code=bytes.fromhex(code)),
    }
    delta = build_genesis(alloc)
    table = Guests(accounts=tuple(g for g, _ in guests), codes=tuple(b for _, b in guests if b))
    state: SpanningState = StateStore(dict(delta.nodes).get).open_spanning(
        delta.root, BORDER, table
    )
    request = SimulatedCall(sender=sender, to=HERE, gas=gas)
    return read_call(
        ReadingEvm(1, time.monotonic() + seconds), state, CONTEXT, request, lambda _: None
    )


def reverted(result: CallResult | list[Wanted]) -> bytes:
    assert isinstance(result, CallResult), result
    assert not result.success
    return result.output


def test_an_account_is_wanted_with_its_code_only_where_that_is_looked_at() -> None:
    assert run(look(AWAY)) == [Wanted(address=AWAY)]
    assert run(call(AWAY)) == [Wanted(address=AWAY, code=True)]
    assert run(f"73{AWAY.hex()}3b50") == [Wanted(address=AWAY, code=True)]


def test_one_run_finds_many_accounts_though_each_is_looked_at_as_solidity_does() -> None:
    """There must be code, the call must succeed and return a word; else the contract reverts."""
    accounts = [Address(bytes([n]) * 20) for n in range(0x60, 0xC0)]
    ask = "".join(
        f"73{a.hex()}3b{OR_REVERT}{call(a, size=4)}{OR_REVERT}601f3d11{OR_REVERT}" for a in accounts
    )
    assert run(ask) == [Wanted(address=a, code=True) for a in accounts]


def test_the_code_of_a_guest_runs_with_the_slots_of_the_guest() -> None:
    reads = "5f545f5260205ff3"
    ask = f"60205f5f5f73{AWAY.hex()}5afa5060205ff3"
    assert run(ask, guest(AWAY, reads)) == [Wanted(address=AWAY, slots=(Word(0),))]
    found = run(ask, guest(AWAY, reads, s0=77))
    assert isinstance(found, CallResult)
    assert found.output == (77).to_bytes(32, "big")


def test_a_sender_of_another_shard_is_read_only_if_it_is_looked_at_and_has_sent_this_call() -> None:
    hash_of_caller = "333f5f5260205ff3"
    assert isinstance(run("00", sender=OTHER), CallResult)
    assert run(hash_of_caller, sender=OTHER) == [Wanted(address=OTHER)]
    found = run(hash_of_caller, (Guest(address=OTHER), b""), sender=OTHER)
    assert isinstance(found, CallResult)
    assert found.output == EMPTY_CODE_HASH  # with a nonce of 1 it is no empty account


def test_a_code_that_is_known_by_its_hash_is_not_asked_for() -> None:
    reads, _ = guest(AWAY, "00")
    assert run(call(AWAY), (reads, b"")) == [Wanted(address=AWAY, code=True)]
    assert isinstance(run(call(AWAY), (reads, b"\0")), CallResult)


@pytest.mark.parametrize(
    "code",
    [
        "60015f55",  # SSTORE
        "5f5f5ff0",  # CREATE
        "33ff",  # SELFDESTRUCT
        call(OTHER, value=1),
        call(OTHER, value=1, size=4),
    ],
    ids=["store", "create", "destroy", "pay", "pay and call"],
)
def test_a_guest_cannot_change_and_the_call_of_it_says_why(code: str) -> None:
    other, _ = guest(OTHER, "00")
    result = run(call(AWAY) + BUBBLE, guest(AWAY, code, s0=0), (other, b"\0"))
    assert reverted(result) == border_reason(AWAY, SHARD)


def test_a_paying_call_of_a_guest_says_why_and_a_payment_runs_nothing() -> None:
    fails, body = guest(AWAY, "5f5ffd")
    paying = run(call(AWAY, value=1, size=4) + BUBBLE, (fails, body), balance=5)
    assert reverted(paying) == border_reason(AWAY, SHARD)
    paid = run(call(AWAY, value=1) + f"73{AWAY.hex()}3160a052602060a0f3", (fails, body), balance=5)
    assert isinstance(paid, CallResult)
    assert paid.success
    assert int.from_bytes(paid.output, "big") == 10


def test_under_staticcall_a_guest_that_writes_fails_as_everywhere() -> None:
    result = run(call(AWAY, opcode="fa") + BUBBLE, guest(AWAY, "60015f55", s0=0))
    assert reverted(result) == b""


def test_what_is_delegated_to_a_guest_changes_the_account_that_is_here() -> None:
    ask = call(AWAY, opcode="f4") + "5f545f5260205ff3"
    found = run(ask, guest(AWAY, "602a5f55"))
    assert isinstance(found, CallResult)
    assert int.from_bytes(found.output, "big") == 42


def test_a_guess_that_never_ends_tells_what_was_wanted_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reading, "GUESSING", 0.0)
    for_ever = f"5b60{len(look(AWAY)) // 2:02x}56"
    assert run(look(AWAY) + for_ever, gas=1 << 60) == [Wanted(address=AWAY)]
    with pytest.raises(ExecutionTimedOut):
        run("5b5f56", seconds=0.0)


def test_so_many_accounts_at_once_and_no_more() -> None:
    """It looks at 1, 2, 3 and so on, and would never come to an end."""
    code = "5f5b60010180315060015600"
    found = run(code)
    assert isinstance(found, list)
    assert len(found) == MAX_WANTED
