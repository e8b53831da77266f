"""How much an offence costs: the table, and what holds for every stake."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.beacon.penalties import SLASHING_WINDOW, is_open, penalty
from node.beacon.validators import BEACON_CHAIN
from node.primitives.basics import Address

STAKE = 32 * 10**18


@pytest.mark.parametrize(
    ("base", "offences", "at_fault", "total", "expected"),
    [
        (3200, 1, 3200, 3200, 3200),  # a committee of one
        (3200, 1, 3200, 9600, 3200),  # one of three: a third can break safety
        (3200, 1, 3200, 12800, 2400),  # one of four
        (3200, 1, 6400, 12800, 3200),  # two of four
        (3200, 1, 3200, 51200, 600),  # one of 16
        (3200, 1, 3200, 307_200, 100),  # one of 96: three times the share is the least penalty
        (3200, 1, 3200, 3_276_800, 100),  # one of 1024: the least penalty, a 32nd
        (3200, 1, 1_092_267, 3_276_800, 3200),  # with a third of 1024
        (100, 1, 100, 1_000_100, 4),  # rounded up: 100 / 32
        (1, 1, 1, 10**30, 1),  # so never nothing
        (3200, 3, 3200, 3_276_800, 300),  # the least penalty is for each
        (3200, 40, 3200, 3_276_800, 3200),  # and never more than there is
        (0, 1, 0, 100, 0),
    ],
)
def test_the_table(base, offences, at_fault, total, expected):
    assert penalty(base, offences=offences, at_fault=at_fault, total=total) == expected


@given(st.integers(1, 2**96), st.integers(0, 2**96), st.integers(0, 2**96), st.integers(1, 50))
def test_more_at_fault_never_costs_less(base, others, honest, offences):
    total = base + others + honest
    alone = penalty(base, offences=offences, at_fault=base, total=total)
    together = penalty(base, offences=offences, at_fault=base + others, total=total)
    assert 0 < alone <= together <= base
    if 3 * (base + others) >= total:
        assert together == base


def test_the_window_is_half_open():
    assert is_open(5, 5)
    assert is_open(5, 5 + SLASHING_WINDOW - 1)
    assert not is_open(5, 5 + SLASHING_WINDOW)


def stakes(driver):
    return {r.address: r.stake for r in driver.chain.state.validators()}


def test_the_order_of_evidence_does_not_change_what_it_costs(make_net, make_driver):
    """Three keys with 8 of 100: together in a block, one by one, and in any order."""
    net = make_net(shards=1, per_shard=10, stakes=(3, 5, 2, 20, 1, 7, 13, 20, 20, 9))
    offenders = [1, 2, 4]
    together = make_driver(net, net.chain())
    together.grow(evidence=[net.double_vote(i) for i in offenders])
    for order in permutations(offenders):
        one_by_one = make_driver(net, net.chain())
        for index in order:
            one_by_one.grow(evidence=[net.double_vote(index)])
        assert stakes(one_by_one) == stakes(together)
    # 24 % of each, rounded down, at least a 32nd, rounded up
    assert [stakes(together)[net.keys[i].address] for i in offenders] == [4, 1, 0]


def test_a_share_is_of_the_committee_and_not_of_the_network(make_net, make_driver):
    net = make_net(shards=2, per_shard=4, stakes=(STAKE,))
    driver = make_driver(net, net.chain())
    driver.grow(evidence=[net.double_vote(1)])
    offender = driver.chain.state.validator(net.keys[1].address)
    assert (offender.stake, offender.slashed) == (STAKE // 4, 3 * STAKE // 4)
    assert driver.chain.state.slashed_total == 3 * STAKE // 4


def test_the_first_of_an_attack_is_charged_again_when_the_second_is_found(make_net, make_driver):
    net = make_net(shards=1, per_shard=4, stakes=(100,))
    driver = make_driver(net, net.chain())
    first, second = (net.keys[i].address for i in (1, 2))
    outcome = driver.grow(evidence=[net.double_vote(1)]).outcome
    assert [(c.address, c.wei) for c in outcome.charged] == [(first, 75)]
    outcome = driver.grow(evidence=[net.double_vote(2)]).outcome
    assert {(c.address, c.wei) for c in outcome.charged} == {(first, 25), (second, 100)}
    assert driver.chain.state.slashed_total == 200
    assert [s.charged for s in driver.chain.state.slashings()] == [100, 100]


def test_what_was_long_ago_does_not_count_together(make_net, make_driver, monkeypatch):
    monkeypatch.setattr("node.beacon.penalties.SLASHING_WINDOW", 3)
    net = make_net(shards=1, per_shard=8, stakes=(100,))
    driver = make_driver(net, net.chain())
    driver.grow(evidence=[net.double_vote(1)])
    driver.grow(evidence=[net.double_vote(2)])  # in the window: six 8ths for both
    driver.grow()
    driver.grow(evidence=[net.double_vote(3)])  # the first is out of it: six 8ths for two and three
    driver.grow()
    driver.grow()
    driver.grow(evidence=[net.double_vote(4)])
    left = [driver.chain.state.validator(net.keys[i].address).stake for i in (1, 2, 3, 4)]
    assert left == [25, 25, 25, 63]


def test_one_key_counts_once_on_each_chain(make_net, make_driver):
    """An offence on the beacon and one on the shard: the worse share counts, its stake once."""
    net = make_net(shards=2, per_shard=4, stakes=(160,))
    driver = make_driver(net, net.chain())
    driver.grow(evidence=[net.double_vote(0)])  # one of four on the shard
    address = Address(net.keys[0].address)
    assert driver.chain.state.validator(address).stake == 40
    driver.grow(evidence=[net.double_vote(0, chain=BEACON_CHAIN)])  # one of two on the beacon
    assert driver.chain.state.validator(address).stake == 0
    (slashing,) = driver.chain.state.slashings()
    assert slashing.base == slashing.charged == 160
    assert slashing.offences == ((0, 1), (BEACON_CHAIN, 1))
