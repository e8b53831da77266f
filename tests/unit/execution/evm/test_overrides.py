"""State overrides of simulated calls."""

import pytest

from node.execution.evm.overrides import StateOverride, apply_overrides
from node.execution.state.genesis import GenesisAccount, build_genesis
from node.execution.state.state import State
from node.primitives.basics import Address

HELD, NEW = Address(b"\x22" * 20), Address(b"\x33" * 20)


def opened() -> State:
    account = GenesisAccount(nonce=3, balance=5, code=b"\x00", storage={1: 10, 2: 20})
    delta = build_genesis({HELD: account})
    return State(delta.nodes.get, delta.root)


def test_only_what_is_given_changes() -> None:
    state = opened()
    apply_overrides(state, [StateOverride(address=HELD, balance=9, storage=((1, 11),))])
    assert (state.balance(HELD), state.nonce(HELD), state.code(HELD)) == (9, 3, b"\x00")
    assert (state.storage(HELD, 1), state.storage(HELD, 2)) == (11, 20)
    assert state.original_storage(HELD, 1) == 11
    assert state.touched() == set()


def test_a_whole_storage() -> None:
    state = opened()
    apply_overrides(state, [StateOverride(address=HELD, storage=((1, 11),), replace_storage=True)])
    assert (state.balance(HELD), state.nonce(HELD), state.code(HELD)) == (5, 3, b"\x00")
    assert (state.storage(HELD, 1), state.storage(HELD, 2)) == (11, 0)
    apply_overrides(state, [StateOverride(address=HELD, replace_storage=True)])
    assert not state.has_storage(HELD)


def test_an_account_that_was_not_there() -> None:
    state = opened()
    apply_overrides(state, [StateOverride(address=NEW, code=b"\xfe", nonce=1, storage=((5, 6),))])
    assert (state.code(NEW), state.nonce(NEW), state.storage(NEW, 5)) == (b"\xfe", 1, 6)
    apply_overrides(state, [StateOverride(address=NEW, code=b"")])
    assert state.code(NEW) == b""


def test_what_cannot_be() -> None:
    with pytest.raises(ValueError, match="balance"):
        apply_overrides(opened(), [StateOverride(address=HELD, balance=1 << 256)])
