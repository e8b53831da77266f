"""Ranges of accounts and storage: what a snapshot is read with."""

import pytest

from node.execution.state.account import decode_account, decode_slot
from node.execution.state.genesis import GenesisAccount, build_genesis
from node.execution.state.state_store import StateStore
from node.execution.trie.errors import BadProof
from node.execution.trie.trie_proof import MAX_PROOF_NODES
from node.execution.trie.trie_range import verify_range
from node.primitives.basics import EMPTY_TRIE_ROOT, Address, keccak256
from node.primitives.errors import CorruptData

FIRST = b"\0" * 32
CONTRACT = Address(b"\xcc" * 20)
SLOTS = {slot: slot * 7 + 1 for slot in range(300)}


@pytest.fixture(scope="module")
def store() -> tuple[StateStore, bytes, dict[bytes, bytes]]:
    accounts = {Address(n.to_bytes(20, "big")): GenesisAccount(balance=n + 1) for n in range(1000)}
    accounts[CONTRACT] = GenesisAccount(nonce=1, code=b"\x01", storage=SLOTS)
    delta = build_genesis(accounts)
    disk = dict(delta.nodes)
    return StateStore(disk.get), delta.root, disk


def test_accounts_page_by_page(store: tuple[StateStore, bytes, dict[bytes, bytes]]) -> None:
    states, root, _ = store
    start, balances, pages, more = FIRST, 0, 0, True
    while more:
        page = states.accounts(root, start, 64)
        more = verify_range(root, start, page.items, page.proof)
        balances += sum(decode_account(value).balance for _, value in page.items)
        pages += 1
        start = (int.from_bytes(page.items[-1][0], "big") + 1).to_bytes(32, "big")
    assert (balances, pages) == (1000 * 1001 // 2, 16)


def test_storage_of_one_account(store: tuple[StateStore, bytes, dict[bytes, bytes]]) -> None:
    states, root, _ = store
    account = keccak256(CONTRACT)
    page = states.accounts(root, account, 1)
    assert verify_range(root, account, page.items, page.proof) in (True, False)
    ((key, value),) = page.items
    assert key == account
    storage_root = decode_account(value).storage_root
    found = states.storage(root, account, FIRST, 1000)
    assert not verify_range(storage_root, FIRST, found.items, found.proof)
    assert {key: decode_slot(value) for key, value in found.items} == {
        keccak256(slot.to_bytes(32, "big")): value for slot, value in SLOTS.items()
    }


def test_an_account_without_storage_or_none(
    store: tuple[StateStore, bytes, dict[bytes, bytes]],
) -> None:
    states, root, _ = store
    for account in (keccak256(Address(bytes(20))), keccak256(b"nobody")):
        found = states.storage(root, account, FIRST, 10)
        assert found.items == found.proof == ()
        assert not verify_range(EMPTY_TRIE_ROOT, FIRST, found.items, found.proof)


def test_the_end_of_the_trie(store: tuple[StateStore, bytes, dict[bytes, bytes]]) -> None:
    states, root, _ = store
    last = b"\xff" * 32
    found = states.accounts(root, last, 10)
    assert found.items == ()
    assert not verify_range(root, last, found.items, found.proof)
    with pytest.raises(BadProof, match="are not those of the trie"):
        verify_range(root, FIRST, (), states.accounts(root, FIRST, 1).proof)


def test_a_limit_of_nothing(store: tuple[StateStore, bytes, dict[bytes, bytes]]) -> None:
    with pytest.raises(ValueError, match="0 keys"):
        store[0].accounts(store[1], FIRST, 0)


def test_a_missing_node(store: tuple[StateStore, bytes, dict[bytes, bytes]]) -> None:
    states, root, disk = store
    lost = keccak256(states.accounts(root, FIRST, 1).proof[1])
    with pytest.raises(CorruptData, match=lost.hex()):
        StateStore({k: v for k, v in disk.items() if k != lost}.get).accounts(root, FIRST, 5000)
    assert states.accounts(root, FIRST, 5000)


@pytest.mark.parametrize(
    ("items", "proof", "message"),
    [
        ((), (b"\xc0",) * (2 * MAX_PROOF_NODES + 1), "too long"),
        (((b"short", b"v"),), (), "another length"),
        (((FIRST, b""),), (), "empty values"),
        (((b"\1" * 32, b"v"), (b"\1" * 32, b"w")), (), "ascending"),
        ((), (), "is missing from the proof"),
    ],
)
def test_what_is_refused(
    items: tuple[tuple[bytes, bytes], ...], proof: tuple[bytes, ...], message: str
) -> None:
    with pytest.raises(BadProof, match=message):
        verify_range(b"\1" * 32, FIRST, items, proof)
