"""Plain tests: calls between shards, time, and that tests do not see each other."""

import pytest
from atoll.testing import RpcRefused, TransactionFailed, until

ETHER = 10**18
DAY = 86_400


@pytest.mark.parametrize("shard", [0, 1])
def test_a_deposit_from_any_shard(atoll, savings, saver, shard):
    someone = saver(shard)
    tx = someone.send(savings.functions.deposit(), value=3 * ETHER)
    # The receipt of a call to another shard is there when it has run there.
    receipt = atoll.wait_for(until.receipt(tx))
    assert int(receipt["logs"][0]["topics"][1], 16) == int(someone.address, 16)
    assert savings.functions.savings(someone.address).call() == 3 * ETHER


def test_what_a_transaction_causes_on_all_shards(atoll, savings, saver):
    someone = saver(0)
    trace = atoll.wait_for(until.settled(someone.send(savings.functions.deposit(), value=ETHER)))
    call = trace["root"]["children"][0]
    assert (call["kind"], call["src"], call["shard"], call["outcome"]) == ("CALL", 0, 1, "ok")
    atoll.wait_for(until.delivered(call["id"]))
    atoll.wait_for(until.lanes_empty())
    assert atoll.audit()["balanced"]


def test_it_is_closed_for_a_day(atoll, savings, saver):
    someone = saver(0)
    atoll.wait_for(until.receipt(someone.send(savings.functions.deposit(), value=ETHER)))

    with pytest.raises(TransactionFailed):
        atoll.wait_for(until.receipt(someone.send(savings.functions.withdraw(), gas=200_000)))

    atoll.time.increase(DAY)
    before = someone.balance()
    atoll.wait_for(until.settled(someone.send(savings.functions.withdraw(), gas=200_000)))
    gained = someone.balance() - before
    assert ETHER - ETHER // 100 < gained < ETHER  # all of it, less the gas


@pytest.mark.parametrize("time", ["first", "second"])
def test_every_test_finds_the_same_network(atoll, time):
    alice, bob = atoll.account(shard=0), atoll.account(shard=1, index=1)
    assert int(atoll.request("eth_getBalance", bob.address, "latest"), 16) == 10_000 * ETHER
    assert int(atoll.request("eth_getTransactionCount", alice.address, "latest"), 16) == 0
    atoll.wait_for(until.settled(atoll.send(alice, bob.address, value=5 * ETHER)))
    assert int(atoll.request("eth_getBalance", bob.address, "latest"), 16) == 10_005 * ETHER


def test_errors_are_those_of_ethereum(atoll):
    poor = atoll.new_account(shard=0, ether=0)
    with pytest.raises(RpcRefused, match="insufficient funds"):
        atoll.send(poor, atoll.account(shard=1).address, value=1, gas=30_000)
