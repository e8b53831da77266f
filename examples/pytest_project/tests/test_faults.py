"""What the users of a contract see when validators fail."""

import pytest
from atoll.testing import until

ETHER = 10**18


def test_a_shard_that_is_away_gets_its_deposit_later(atoll, savings, saver):
    someone = saver(0)
    with atoll.faults.kill("s1v0"):  # the only validator of shard 1; started again at the end
        assert not atoll.node("s1v0").is_running
        tx = someone.send(savings.functions.deposit(), value=ETHER, gas=200_000)
        atoll.wait_for(until.shard_stalled(1, seconds=2))

    atoll.wait_for(until.receipt(tx))
    atoll.wait_for(until.blocks(1, shard=1))
    assert savings.functions.savings(someone.address).call() == ETHER
    assert atoll.audit()["balanced"]


@pytest.mark.atoll(shards=1, validators=4)
def test_one_validator_of_four_is_not_missed(atoll):
    atoll.faults.partition([["s0v3"]], cut=True)  # from the other three; healed after the test
    atoll.wait_for(until.blocks(3, shard=0))
