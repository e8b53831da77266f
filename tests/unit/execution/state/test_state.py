"""Journalled accounts: what is undone, what is touched, what reaches the root."""

import pytest

from node.execution.state.account import Account, decode_account, encode_account
from node.execution.state.genesis import GenesisAccount, build_genesis
from node.execution.state.state import State
from node.execution.state.state_delta import StateDelta
from node.execution.state.state_store import StateStore
from node.execution.trie.trie_proof import iterate
from node.primitives.basics import (
    EMPTY_CODE_HASH,
    EMPTY_TRIE_ROOT,
    Address,
    keccak256,
)
from node.primitives.errors import CorruptData

A, B, C = (Address(bytes([n]) * 20) for n in (1, 2, 3))


def opened(delta: StateDelta) -> State:
    return State(delta.nodes.get, delta.root)


def genesis() -> StateDelta:
    return build_genesis(
        {
            A: GenesisAccount(balance=1000),
            B: GenesisAccount(balance=5, nonce=1, code=b"\x00", storage={1: 11, 2: 22}),
        }
    )


def test_reading_what_was_written() -> None:
    state = opened(genesis())
    assert (state.balance(A), state.nonce(A), state.code(A)) == (1000, 0, b"")
    assert (state.balance(B), state.nonce(B), state.code(B)) == (5, 1, b"\x00")
    assert [state.storage(B, slot) for slot in range(4)] == [0, 11, 22, 0]
    assert not state.exists(C)
    assert state.code_hash(C) == EMPTY_CODE_HASH


def test_balances_cannot_be_negative_nor_too_large() -> None:
    state = opened(genesis())
    with pytest.raises(ValueError, match="-1"):
        state.add_balance(A, -1001)
    with pytest.raises(ValueError, match="cannot become"):
        state.set_balance(A, 1 << 256)
    assert state.balance(A) == 1000


def test_revert_undoes_everything() -> None:
    delta = genesis()
    state = opened(delta)
    state.begin_transaction()
    snapshot = state.snapshot()
    state.add_balance(A, -10)
    state.set_nonce(C, 7)
    state.set_code(C, b"\x01\x02")
    state.set_storage(B, 1, 99)
    state.set_storage(C, 5, 5)
    state.set_transient(A, 1, b"x")
    state.mark_warm(A)
    state.delete_account(B)
    state.revert(snapshot)
    assert state.balance(A) == 1000
    assert not state.exists(C)
    assert state.storage(B, 1) == 11
    assert state.storage(B, 2) == 22
    assert state.code(B) == b"\x00"
    assert A not in state.warm
    assert not any(state.transient.values())
    assert state.touched() == set()
    sealed = state.seal()
    assert sealed.root == delta.root


def test_nested_snapshots() -> None:
    state = opened(genesis())
    outer = state.snapshot()
    state.set_storage(B, 1, 1)
    inner = state.snapshot()
    state.set_storage(B, 1, 2)
    state.commit(inner)
    assert state.storage(B, 1) == 2
    state.revert(outer)
    assert state.storage(B, 1) == 11


def test_a_snapshot_may_span_transactions() -> None:
    delta = genesis()
    state = opened(delta)
    outer = state.snapshot()
    for _ in range(3):
        state.begin_transaction()
        state.add_balance(A, 1)
        state.mark_warm(A)
    state.revert(outer)
    assert state.warm == set()
    assert state.seal().root == delta.root


def test_touched_lists_written_accounts_of_this_transaction() -> None:
    state = opened(genesis())
    state.begin_transaction()
    state.add_balance(C, 1)
    state.begin_transaction()
    state.set_nonce(B, 2)
    state.add_balance(A, 1)
    state.add_balance(C, 0)
    state.set_storage(B, 1, 7)
    inner = state.snapshot()
    state.set_balance(C, 50)
    state.revert(inner)
    assert state.touched() == {A, B}


def test_original_storage_is_that_of_the_transactions_start() -> None:
    state = opened(genesis())
    state.begin_transaction()
    state.set_storage(B, 1, 50)
    state.set_storage(B, 1, 60)
    assert state.original_storage(B, 1) == 11
    state.begin_transaction()
    assert state.original_storage(B, 1) == 60


def test_warmth_is_reported_once() -> None:
    state = State(dict[bytes, bytes]().get)
    assert state.mark_warm((A, 1))
    assert not state.mark_warm((A, 1))
    state.begin_transaction()
    assert state.mark_warm((A, 1))


def test_empty_accounts_are_removed() -> None:
    delta = genesis()
    state = opened(delta)
    state.set_balance(C, 1)
    state.set_balance(C, 0)
    state.set_balance(A, 0)
    nodes = {**delta.nodes, **(sealed := state.seal()).nodes}
    keys = {key for key, _ in iterate(nodes.get, sealed.root)}
    assert keys == {keccak256(B)}


def test_touching_removes_an_empty_account_that_was_there() -> None:
    delta = build_genesis({A: GenesisAccount(balance=1), C: GenesisAccount()})
    state = opened(delta)
    assert not state.exists(C)
    assert state.is_present(C)
    state.touch(C)
    assert not state.is_present(C)
    only_a = build_genesis({A: GenesisAccount(balance=1)})
    assert state.seal().root == only_a.root


def test_deleting_an_account_deletes_its_storage() -> None:
    delta = genesis()
    state = opened(delta)
    state.delete_account(B)
    assert (state.balance(B), state.storage(B, 1)) == (0, 0)
    state.set_balance(B, 9)
    sealed = state.seal()
    fresh = State({**delta.nodes, **sealed.nodes}.get, sealed.root)
    assert fresh.storage(B, 1) == 0
    assert fresh.balance(B) == 9


def test_storage_of_a_zero_is_absence() -> None:
    delta = genesis()
    state = opened(delta)
    state.set_storage(B, 1, 0)
    state.set_storage(B, 2, 0)
    account = state.account(B)
    assert account is not None
    sealed = state.seal()
    data = dict(iterate({**delta.nodes, **sealed.nodes}.get, sealed.root))
    assert decode_account(data[keccak256(B)]).storage_root == EMPTY_TRIE_ROOT


def test_code_of_a_reverted_creation_is_not_written() -> None:
    state = opened(genesis())
    snapshot = state.snapshot()
    state.set_code(C, b"\x60\x00")
    state.revert(snapshot)
    state.set_code(A, b"\x60\x01")
    nodes = state.seal().nodes
    assert keccak256(b"\x60\x01") in nodes
    assert keccak256(b"\x60\x00") not in nodes


def test_a_sealed_state_goes_on() -> None:
    delta = genesis()
    state = opened(delta)
    state.set_code(C, b"\x60\x02")
    state.set_storage(C, 1, 1)
    state.set_nonce(C, 1)
    first = state.seal()
    assert state.root == first.root
    assert state.code(C) == b"\x60\x02"
    state.set_storage(C, 2, 2)
    second = state.seal()
    nodes = {**delta.nodes, **first.nodes, **second.nodes}
    fresh = State(nodes.get, second.root)
    assert [fresh.storage(C, slot) for slot in (1, 2)] == [1, 2]


def test_missing_code_is_named() -> None:
    delta = genesis()
    lost = keccak256(b"\x00")
    del delta.nodes[lost]
    with pytest.raises(CorruptData, match=lost.hex()):
        opened(delta).code(B)


def test_account_encoding() -> None:
    account = Account(3, 1 << 200, EMPTY_TRIE_ROOT, EMPTY_CODE_HASH)
    assert decode_account(encode_account(account)) == account
    with pytest.raises(CorruptData):
        decode_account(b"\xc0")


class TestStore:
    def test_consecutive_blocks_do_not_read_again(self) -> None:
        delta = genesis()
        disk = dict(delta.nodes)
        reads = 0

        def read(key: bytes) -> bytes | None:
            nonlocal reads
            reads += 1
            return disk.get(key)

        store = StateStore(read)
        state = store.open(delta.root)
        state.add_balance(A, 1)
        state.set_storage(B, 1, state.storage(B, 2) - 10)
        second = state.seal()
        disk.update(second.nodes)
        reads = 0
        state = store.open(second.root)
        assert (state.balance(A), state.storage(B, 1), state.storage(B, 2)) == (1001, 12, 22)
        assert reads == 0

    def test_an_undecided_block_does_not_show(self) -> None:
        delta = genesis()
        disk = dict(delta.nodes)
        store = StateStore(disk.get)
        mine, theirs = store.open(delta.root), store.open(delta.root)
        mine.set_balance(A, 1)
        mine.set_storage(B, 1, 1)
        abandoned = mine.seal()
        theirs.set_balance(A, 2)
        theirs.set_storage(B, 1, 2)
        chosen = theirs.seal()
        disk.update(chosen.nodes)
        assert store.open(delta.root).balance(A) == 1000
        state = store.open(chosen.root)
        assert (state.balance(A), state.storage(B, 1)) == (2, 2)
        with pytest.raises(CorruptData):
            State(disk.get, abandoned.root).balance(A)

    def test_the_cache_is_bounded(self) -> None:
        disk: dict[bytes, bytes] = {}
        accounts = {
            Address(n.to_bytes(20, "big")): GenesisAccount(balance=n + 1) for n in range(3000)
        }
        delta = build_genesis(accounts)
        disk.update(delta.nodes)
        store = StateStore(disk.get, cache_nodes=500)
        root = delta.root
        for block in range(5):
            state = store.open(root)
            for address in list(accounts)[block * 500 : block * 500 + 500]:
                state.add_balance(address, 1)
            sealed = state.seal()
            disk.update(sealed.nodes)
            assert store.cached_nodes <= 500
            root = sealed.root
        state = State(disk.get, root)
        assert sum(state.balance(address) for address in accounts) == 3000 * 3001 // 2 + 2500
