"""The transaction pool: admission, replacement, order of selection, eviction, commit."""

from dataclasses import dataclass, field

import pytest

from node.primitives.basics import Address
from node.primitives.errors import InvalidTransaction
from node.primitives.transaction import TYPE_DYNAMIC_FEE, Transaction
from node.shard.pool import (
    AlreadyKnown,
    PoolLimits,
    PoolRejected,
    TransactionPool,
)

ETHER = 10**18
A, B, C, D = (Address(bytes([n]) * 20) for n in (0xA, 0xB, 0xC, 0xD))


@dataclass
class Accounts:
    nonces: dict[Address, int] = field(default_factory=dict)
    balances: dict[Address, int] = field(default_factory=dict)

    def nonce(self, address: Address) -> int:
        return self.nonces.get(address, 0)

    def balance(self, address: Address) -> int:
        return self.balances.get(address, ETHER)


@pytest.fixture
def accounts() -> Accounts:
    return Accounts()


def tx(
    sender: Address,
    nonce: int,
    tip: int = 1,
    *,
    fee: int | None = None,
    gas: int = 21_000,
    value: int = 0,
    size: int = 100,
) -> Transaction:
    """A transaction as decoding would give it; the pool looks at neither signature nor payload."""
    fee = tip if fee is None else fee
    raw = b"%s/%d/%d/%d/%d/%d|" % (sender.hex().encode(), nonce, tip, fee, gas, value)
    return Transaction(
        type=TYPE_DYNAMIC_FEE,
        chain_id=1,
        nonce=nonce,
        max_priority_fee_per_gas=tip,
        max_fee_per_gas=fee,
        gas=gas,
        to=D,
        value=value,
        data=b"",
        v=0,
        r=1,
        s=1,
        raw=raw.ljust(size, b"."),
        sender=sender,
    )


def held(pool: TransactionPool) -> list[tuple[Address, int]]:
    content = pool.content()
    return sorted(
        (sender, nonce)
        for part in (content.pending, content.queued)
        for sender, nonces in part.items()
        for nonce in nonces
    )


def refusal(pool: TransactionPool, item: Transaction, accounts: Accounts, base_fee: int = 0) -> str:
    before = held(pool), pool.size_bytes, pool.counts()
    with pytest.raises(PoolRejected) as caught:
        pool.add(item, accounts, base_fee)
    assert (held(pool), pool.size_bytes, pool.counts()) == before
    return str(caught.value)


def selected(pool: TransactionPool, accounts: Accounts, base_fee: int = 0) -> list[Transaction]:
    return list(pool.best(accounts, base_fee))


# -- admission


def test_an_accepted_transaction_is_found_by_hash(accounts: Accounts) -> None:
    pool = TransactionPool(PoolLimits())
    item = tx(A, 0)
    assert pool.add(item, accounts) is True
    assert item.hash in pool
    assert pool.get(item.hash) is item
    assert len(pool) == 1
    assert pool.size_bytes == len(item.raw)
    assert pool.get(tx(A, 1).hash) is None
    assert tx(A, 1).hash not in pool


def test_the_same_transaction_twice_is_already_known(accounts: Accounts) -> None:
    pool = TransactionPool(PoolLimits())
    pool.add(tx(A, 0), accounts)
    with pytest.raises(AlreadyKnown, match=r"^already known$"):
        pool.add(tx(A, 0), accounts)
    assert issubclass(AlreadyKnown, PoolRejected)
    assert issubclass(PoolRejected, InvalidTransaction)


def test_a_used_nonce_is_refused(accounts: Accounts) -> None:
    pool = TransactionPool(PoolLimits())
    accounts.nonces[A] = 7
    assert refusal(pool, tx(A, 6), accounts) == "nonce too low: next nonce 7, tx nonce 6"


def test_a_nonce_far_beyond_the_first_missing_one_is_refused(accounts: Accounts) -> None:
    pool = TransactionPool(PoolLimits(max_nonce_gap=3))
    pool.add(tx(A, 0), accounts)
    assert refusal(pool, tx(A, 5), accounts) == "nonce too high: tx nonce 5, gapped nonce 1"
    assert pool.add(tx(A, 4), accounts)


def test_the_last_nonce_of_all_cannot_be_used(accounts: Accounts) -> None:
    pool = TransactionPool(PoolLimits())
    accounts.nonces[A] = 2**64 - 2
    assert pool.add(tx(A, 2**64 - 2), accounts)
    assert refusal(pool, tx(A, 2**64 - 1), accounts) == (
        f"nonce has max value: address 0x{A.hex()}, nonce: {2**64 - 1}"
    )


def test_a_transaction_that_cannot_be_paid_is_refused(accounts: Accounts) -> None:
    pool = TransactionPool(PoolLimits())
    accounts.balances[A] = 100
    assert refusal(pool, tx(A, 0, 2, gas=40, value=30), accounts) == (
        "insufficient funds for gas * price + value: balance 100, tx cost 110, overshot 10"
    )


def test_funds_must_also_cover_what_is_queued_before(accounts: Accounts) -> None:
    pool = TransactionPool(PoolLimits())
    accounts.balances[A] = 100
    pool.add(tx(A, 0, 1, gas=40), accounts)
    pool.add(tx(A, 2, 1, gas=50), accounts)
    assert refusal(pool, tx(A, 3, 1, gas=20), accounts) == (
        "insufficient funds for gas * price + value: "
        "balance 100, queued cost 90, tx cost 20, overshot 10"
    )
    assert pool.add(tx(A, 1, 1, gas=60), accounts)  # what comes after nonce 1 does not count


def test_funds_of_a_replacement_do_not_count_what_it_replaces(accounts: Accounts) -> None:
    pool = TransactionPool(PoolLimits())
    accounts.balances[A] = 100
    pool.add(tx(A, 0, 10, gas=9), accounts)
    assert pool.add(tx(A, 0, 11, gas=9), accounts)


def test_funds_of_committed_transactions_count_no_more(accounts: Accounts) -> None:
    pool = TransactionPool(PoolLimits())
    accounts.balances[A] = 100
    pool.add(tx(A, 0, 1, gas=90), accounts)
    accounts.nonces[A], accounts.balances[A] = 1, 10
    assert pool.add(tx(A, 1, 1, gas=10), accounts)  # the pool has not heard of the block yet
    assert held(pool) == [(A, 1)]


# -- replacement


def test_a_replacement_must_raise_both_fees_by_the_bump(accounts: Accounts) -> None:
    pool = TransactionPool(PoolLimits())
    old = tx(A, 0, 100, fee=1000)
    pool.add(old, accounts)
    for tip, fee in ((110, 1099), (109, 1100), (200, 1000), (100, 2000), (99, 1100)):
        assert refusal(pool, tx(A, 0, tip, fee=fee), accounts) == (
            "replacement transaction underpriced"
        )
    new = tx(A, 0, 110, fee=1100)
    assert pool.add(new, accounts)
    assert old.hash not in pool
    assert pool.get(new.hash) is new
    assert len(pool) == 1


def test_a_replacement_must_rise_even_where_the_bump_rounds_to_nothing(accounts: Accounts) -> None:
    pool = TransactionPool(PoolLimits())
    pool.add(tx(A, 0, 1, value=1), accounts)
    assert refusal(pool, tx(A, 0, 1, value=2), accounts) == "replacement transaction underpriced"
    assert pool.add(tx(A, 0, 2), accounts)


def test_a_replacement_counts_its_own_size(accounts: Accounts) -> None:
    pool = TransactionPool(PoolLimits())
    pool.add(tx(A, 0, 1, size=500), accounts)
    pool.add(tx(A, 0, 2, size=200), accounts)
    assert pool.size_bytes == 200


# -- nonces and counts


def test_next_nonce_is_the_first_gap_from_the_state_nonce_on(accounts: Accounts) -> None:
    pool = TransactionPool(PoolLimits())
    assert pool.next_nonce(A, 5) == 5
    accounts.nonces[A] = 5
    for nonce in (5, 6, 8):
        pool.add(tx(A, nonce), accounts)
    assert pool.next_nonce(A, 5) == 7
    assert pool.next_nonce(A, 6) == 7
    assert pool.next_nonce(A, 8) == 9
    assert pool.next_nonce(A, 3) == 3
    pool.add(tx(A, 7), accounts)
    assert pool.next_nonce(A, 5) == 9


def test_counts_and_content_tell_executable_from_waiting(accounts: Accounts) -> None:
    pool = TransactionPool(PoolLimits())
    items = {n: tx(A, n) for n in (0, 1, 3)}
    for item in items.values():
        pool.add(item, accounts)
    pool.add(tx(B, 1), accounts)
    assert pool.has_executable
    assert pool.counts() == (2, 2)
    content = pool.content()
    assert content.pending == {A: {0: items[0], 1: items[1]}}
    assert content.queued == {A: {3: items[3]}, B: {1: tx(B, 1)}}
    pool.remove(items[0].hash)
    assert pool.counts() == (0, 3)
    pool.add(items[0], accounts)
    pool.add(tx(A, 2), accounts)
    assert pool.counts() == (4, 1)


# -- selection


def test_selection_merges_senders_by_tip_and_keeps_nonce_order(accounts: Accounts) -> None:
    pool = TransactionPool(PoolLimits())
    a = [tx(A, n, tip) for n, tip in enumerate((5, 90, 1))]
    b = [tx(B, n, tip) for n, tip in enumerate((50, 2))]
    for item in (a[2], a[1], a[0], *b):
        pool.add(item, accounts)
    assert selected(pool, accounts) == [b[0], a[0], a[1], b[1], a[2]]
    assert len(pool) == 5


def test_equal_tips_go_by_arrival(accounts: Accounts) -> None:
    pool = TransactionPool(PoolLimits())
    items = [tx(s, 0, 3) for s in (C, A, B)]
    for item in items:
        pool.add(item, accounts)
    assert selected(pool, accounts) == items


def test_the_effective_tip_depends_on_the_base_fee(accounts: Accounts) -> None:
    pool = TransactionPool(PoolLimits())
    a, b = tx(A, 0, 10, fee=20), tx(B, 0, 6, fee=100)
    pool.add(a, accounts)
    pool.add(b, accounts)
    assert selected(pool, accounts, 10) == [a, b]
    assert selected(pool, accounts, 15) == [b, a]
    assert selected(pool, accounts, 20) == [b, a]
    assert selected(pool, accounts, 21) == [b]


def test_a_fee_cap_below_the_base_fee_ends_the_senders_sequence(accounts: Accounts) -> None:
    pool = TransactionPool(PoolLimits())
    first = tx(A, 0, 5, fee=50)
    for item in (first, tx(A, 1, 5, fee=9), tx(A, 2, 5, fee=50)):
        pool.add(item, accounts)
    assert selected(pool, accounts, 10) == [first]


def test_selection_starts_at_the_nonce_of_the_view_it_is_given(accounts: Accounts) -> None:
    pool = TransactionPool(PoolLimits())
    for nonce in (0, 1, 2, 4):
        pool.add(tx(A, nonce), accounts)
    ahead = Accounts(nonces={A: 1})
    assert [t.nonce for t in selected(pool, ahead)] == [1, 2]
    assert [t.nonce for t in selected(pool, Accounts(nonces={A: 3}))] == []
    assert [t.nonce for t in selected(pool, accounts)] == [0, 1, 2]


def test_a_dropped_sender_is_left_out_from_then_on(accounts: Accounts) -> None:
    pool = TransactionPool(PoolLimits())
    for nonce in range(3):
        pool.add(tx(A, nonce, 9), accounts)
        pool.add(tx(B, nonce, 5), accounts)
    selection = pool.best(accounts, 0)
    assert selection.next() == tx(A, 0, 9)
    selection.drop_sender(A)
    assert selection.next() == tx(B, 0, 5)
    selection.drop_sender(C)
    assert selection.next() == tx(B, 1, 5)
    selection.drop_sender(B)
    assert selection.next() is None
    assert selection.next() is None


def test_a_sender_dropped_while_its_next_one_waits_is_left_out(accounts: Accounts) -> None:
    pool = TransactionPool(PoolLimits())
    pool.add(tx(A, 0, 9), accounts)
    pool.add(tx(B, 0, 5), accounts)
    pool.add(tx(B, 1, 5), accounts)
    selection = pool.best(accounts, 0)
    selection.drop_sender(B)
    assert list(selection) == [tx(A, 0, 9)]


def test_selection_follows_changes_of_the_pool(accounts: Accounts) -> None:
    pool = TransactionPool(PoolLimits())
    for sender in (A, B, C):
        for nonce in range(2):
            pool.add(tx(sender, nonce, 10), accounts)
    selection = pool.best(accounts, 0)
    assert selection.next() == tx(A, 0, 10)
    pool.reject(tx(A, 0, 10).hash)
    pool.remove(tx(B, 0, 10).hash)  # nothing of B can follow
    pool.add(tx(C, 0, 20), accounts)  # C's first is another now
    pool.add(tx(A, 1, 30), accounts)
    assert list(selection) == [tx(A, 1, 30), tx(C, 0, 20), tx(C, 1, 10)]


# -- leaving the pool


def test_commit_removes_the_included_and_the_stale(accounts: Accounts) -> None:
    pool = TransactionPool(PoolLimits())
    for nonce in range(4):
        pool.add(tx(A, nonce), accounts)
    pool.add(tx(B, 0), accounts)
    pool.add(tx(C, 0), accounts)
    accounts.nonces |= {A: 2, C: 1}
    pool.on_committed([(A, 0), (A, 1), (C, 0), (D, 9)], accounts)
    assert held(pool) == [(A, 2), (A, 3), (B, 0)]
    assert pool.counts() == (3, 0)
    assert pool.size_bytes == 300


def test_commit_of_a_transaction_the_pool_never_saw_removes_its_rival(accounts: Accounts) -> None:
    pool = TransactionPool(PoolLimits())
    pool.add(tx(A, 0, 5), accounts)
    pool.add(tx(A, 2, 5), accounts)
    accounts.nonces[A] = 2
    pool.on_committed([(A, 1)], accounts)
    assert held(pool) == [(A, 2)]
    assert pool.counts() == (1, 0)


def test_removing_leaves_later_nonces_waiting(accounts: Accounts) -> None:
    pool = TransactionPool(PoolLimits())
    first = tx(A, 0)
    pool.add(first, accounts)
    pool.add(tx(A, 1), accounts)
    assert pool.remove(first.hash) is first
    assert pool.remove(first.hash) is None
    assert selected(pool, accounts) == []
    assert pool.next_nonce(A, 0) == 0
    pool.add(first, accounts)
    assert [t.nonce for t in selected(pool, accounts)] == [0, 1]


def test_a_rejected_transaction_stays_out_until_the_next_commit(accounts: Accounts) -> None:
    pool = TransactionPool(PoolLimits())
    item = tx(A, 0)
    pool.add(item, accounts)
    pool.reject(item.hash)
    pool.reject(item.hash)
    assert refusal(pool, item, accounts) == "transaction was found invalid in the current state"
    assert pool.add(tx(A, 0, 2), accounts)
    pool.remove(tx(A, 0, 2).hash)
    pool.on_committed([], accounts)
    assert pool.add(item, accounts)


def test_the_memory_of_rejections_is_bounded(accounts: Accounts) -> None:
    pool = TransactionPool(PoolLimits(max_transactions=2))
    items = [tx(A, 0, tip) for tip in (1, 2, 3)]
    for item in items:
        pool.add(item, accounts)
        pool.reject(item.hash)
    assert pool.add(items[0], accounts)
    refusal(pool, items[2], accounts)


# -- a full pool


def test_the_lowest_tip_leaves_a_full_pool(accounts: Accounts) -> None:
    pool = TransactionPool(PoolLimits(max_transactions=3))
    for sender, tip in ((A, 5), (B, 3), (C, 4)):
        pool.add(tx(sender, 0, tip), accounts)
    assert refusal(pool, tx(D, 0, 3), accounts) == "txpool is full"
    assert pool.add(tx(D, 0, 4), accounts)
    assert held(pool) == [(A, 0), (C, 0), (D, 0)]
    assert refusal(pool, tx(B, 0, 4), accounts) == "txpool is full"
    assert pool.add(tx(B, 0, 5), accounts)
    assert held(pool) == [(A, 0), (B, 0), (C, 0)]  # of equal tips the later one went


def test_only_last_nonces_are_evicted(accounts: Accounts) -> None:
    pool = TransactionPool(PoolLimits(max_transactions=3))
    for nonce, tip in enumerate((1, 1, 50)):
        pool.add(tx(A, nonce, tip), accounts)
    assert refusal(pool, tx(B, 0, 40), accounts) == "txpool is full"
    assert pool.add(tx(B, 0, 60), accounts)
    assert held(pool) == [(A, 0), (A, 1), (B, 0)]
    assert pool.add(tx(B, 1, 2), accounts)
    assert held(pool) == [(A, 0), (B, 0), (B, 1)]


def test_waiting_transactions_leave_before_executable_ones(accounts: Accounts) -> None:
    pool = TransactionPool(PoolLimits(max_transactions=2))
    pool.add(tx(A, 0, 1), accounts)
    pool.add(tx(B, 1, 1000), accounts)
    assert pool.add(tx(C, 0, 1), accounts)
    assert held(pool) == [(A, 0), (C, 0)]
    assert refusal(pool, tx(B, 1, 1000), accounts) == "txpool is full"


def test_what_fills_a_gap_of_a_full_pool_displaces_what_waited_behind_it(
    accounts: Accounts,
) -> None:
    pool = TransactionPool(PoolLimits(max_transactions=3))
    pool.add(tx(A, 1, 9), accounts)
    pool.add(tx(B, 0, 1), accounts)
    pool.add(tx(C, 0, 2), accounts)
    assert pool.add(tx(A, 0, 1), accounts)
    assert held(pool) == [(A, 0), (B, 0), (C, 0)]


def test_no_room_is_made_by_evicting_what_the_transaction_follows(accounts: Accounts) -> None:
    pool = TransactionPool(PoolLimits(max_transactions=2))
    pool.add(tx(A, 0, 1), accounts)
    pool.add(tx(A, 1, 1), accounts)
    assert refusal(pool, tx(A, 2, 100), accounts) == "txpool is full"
    assert pool.add(tx(B, 0, 2), accounts)  # and A is still up for eviction
    assert held(pool) == [(A, 0), (B, 0)]


def test_eviction_ranks_by_the_tip_at_the_base_fee(accounts: Accounts) -> None:
    pool = TransactionPool(PoolLimits(max_transactions=2))
    pool.add(tx(A, 0, 10, fee=20), accounts)
    pool.add(tx(B, 0, 6, fee=100), accounts)
    assert refusal(pool, tx(C, 0, 6, fee=100), accounts, 5) == "txpool is full"
    assert pool.add(tx(C, 0, 6, fee=100), accounts, 15)
    assert held(pool) == [(B, 0), (C, 0)]


def test_bytes_are_limited_and_several_may_have_to_leave(accounts: Accounts) -> None:
    pool = TransactionPool(PoolLimits(max_bytes=1000))
    for nonce in range(5):
        pool.add(tx(A, nonce, 1), accounts)
    for nonce in range(5):
        pool.add(tx(B, nonce, 3), accounts)
    assert refusal(pool, tx(C, 0, 2, size=600), accounts) == "txpool is full"
    assert refusal(pool, tx(C, 0, 9, size=1001), accounts) == "txpool is full"
    assert pool.add(tx(C, 0, 2, size=300), accounts)
    assert held(pool) == [(A, 0), (A, 1), *((B, n) for n in range(5)), (C, 0)]
    assert pool.size_bytes == 1000
    assert pool.counts() == (8, 0)


def test_a_refused_addition_restores_the_order_of_eviction(accounts: Accounts) -> None:
    pool = TransactionPool(PoolLimits(max_bytes=300))
    for sender, tip in ((A, 1), (B, 2), (C, 9)):
        pool.add(tx(sender, 0, tip), accounts)
    assert refusal(pool, tx(D, 0, 5, size=250), accounts) == "txpool is full"
    assert pool.add(tx(D, 0, 5), accounts)
    assert held(pool) == [(B, 0), (C, 0), (D, 0)]


def test_a_replacement_needs_only_the_bytes_it_adds(accounts: Accounts) -> None:
    pool = TransactionPool(PoolLimits(max_transactions=2, max_bytes=200))
    pool.add(tx(A, 0, 1), accounts)
    pool.add(tx(B, 0, 5), accounts)
    assert pool.add(tx(A, 0, 2), accounts)
    assert refusal(pool, tx(A, 0, 3, size=101), accounts) == "txpool is full"
    assert pool.add(tx(A, 0, 9, size=101), accounts)
    assert held(pool) == [(A, 0)]


def test_a_sender_at_its_limit_is_refused_more(accounts: Accounts) -> None:
    pool = TransactionPool(PoolLimits(max_per_sender=2))
    pool.add(tx(A, 0), accounts)
    pool.add(tx(A, 1), accounts)
    assert refusal(pool, tx(A, 2), accounts) == "account limit exceeded: pooled 2"
    assert pool.add(tx(A, 1, 2), accounts)
    assert pool.add(tx(B, 0), accounts)


def test_a_full_sender_can_still_fill_its_gap(accounts: Accounts) -> None:
    pool = TransactionPool(PoolLimits(max_per_sender=2))
    pool.add(tx(A, 1, 9), accounts)
    pool.add(tx(A, 2, 9), accounts)
    assert pool.add(tx(A, 0), accounts)
    assert held(pool) == [(A, 0), (A, 1)]
    assert pool.counts() == (2, 0)


def test_a_full_sender_of_one_can_still_fill_its_gap(accounts: Accounts) -> None:
    pool = TransactionPool(PoolLimits(max_per_sender=1))
    pool.add(tx(A, 1, 9), accounts)
    assert pool.add(tx(A, 0), accounts)
    assert held(pool) == [(A, 0)]
    accounts.nonces[A] = 1
    pool.on_committed([(A, 0)], accounts)
    assert len(pool) == 0
    assert pool.size_bytes == 0


def test_two_pools_given_the_same_choose_the_same(accounts: Accounts) -> None:
    limits = PoolLimits(max_transactions=40)
    senders = [Address(bytes([n * 7 % 251]) * 20) for n in range(30)]
    pools = TransactionPool(limits), TransactionPool(limits)
    for pool in pools:
        for k in range(300):
            item = tx(senders[k * 11 % 30], k // 30 % 4, k * 17 % 23)
            try:
                pool.add(item, accounts, k % 3)
            except PoolRejected:
                pass
    first, second = (selected(pool, accounts, 2) for pool in pools)
    assert first == second
    assert len(first) > 20


def test_a_view_that_is_behind_hides_nothing(accounts: Accounts) -> None:
    pool = TransactionPool(PoolLimits())
    pool.add(tx(A, 3), Accounts(nonces={A: 3}))
    assert pool.add(tx(A, 2), Accounts(nonces={A: 2}))
    assert pool.counts() == (2, 0)
    assert pool.next_nonce(A, 2) == 4


def test_a_pool_of_what_waits_for_a_nonce_has_nothing_executable(accounts: Accounts) -> None:
    pool = TransactionPool()
    assert not pool.has_executable
    pool.add(tx(A, 1, 1), accounts)
    assert pool.counts() == (0, 1)
    assert not pool.has_executable
    pool.add(tx(A, 0, 1), accounts)
    assert pool.has_executable
