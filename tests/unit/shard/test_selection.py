"""The choice of transactions for a block: none keeps others out without paying for it."""

import pytest

from node.primitives.transaction import Authorization
from node.shard.block_frame import DoesNotFit
from node.shard.selection import ChosenTransactions, draw

LIMIT = 30_000_000


def test_large_ones_that_may_never_fit_leave_room_for_all_others(world):
    """What they use at least is as much as two blocks have; yet they may be skipped, and then pay nothing."""
    far = world.users[0][3].address
    data = bytes([1]) * 60_000  # an intrinsic gas of almost a million
    large = [world.users[0][n % 2].tx(far, 0, data, LIMIT, nonce=n // 2) for n in range(100)]
    small = [world.users[0][2].tx(far, 1, nonce=n) for n in range(50)]
    chosen = draw(ChosenTransactions(large + small), gas=2 * LIMIT, count=2_000)
    assert chosen == large + small
    few = draw(ChosenTransactions(large + small), gas=2 * LIMIT, count=60)
    assert [tx.gas == LIMIT for tx in few].count(True) == 30
    assert few[30:] == small[:30]


def test_small_ones_are_counted_by_what_they_use(world):
    far = world.users[0][3].address
    txs = [world.users[0][0].tx(far, 1, nonce=n) for n in range(50)]
    assert len(draw(ChosenTransactions(txs), gas=10 * 21_000, count=2_000)) == 10


def test_one_that_does_not_fit_costs_the_builder_nothing(world, monkeypatch):
    """Its authorizations are a tenth of a second's work."""
    alice, bob, carol = world.users[0][:3]
    tx = bob.tx(carol.address, gas=LIMIT, authorizations=[carol.authorize(bytes(20), 0)])
    run = world.run()
    run.run_transaction(alice.tx(carol.address, 1))

    def recovers(_):
        raise AssertionError("the signer is recovered")

    monkeypatch.setattr(Authorization, "authority", recovers)
    with pytest.raises(DoesNotFit):
        run.run_transaction(tx)
    with pytest.raises(AssertionError, match="recovered"):
        world.run().run_transaction(tx)
