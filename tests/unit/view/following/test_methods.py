"""Homes, shards, and the audit at every block."""

import msgspec
import pytest

from node.primitives.placement import home_by_range
from node.query.questions import SupplyQuestion
from rpc.errors import ResourceUnavailable
from tests.unit.view.conftest import Instead

ETHER = 10**18


async def test_homes_and_shards(net):
    views = net.views()
    for shard, users in enumerate(net.users):
        for user in users:
            assert await views.atoll.home(user.address) == shard
    net.step(1)
    first, second = await views.backend.atoll.shards()
    assert first == {
        "id": 0,
        "height": 0,
        "crosslinked": 0,
        "hash": "0x" + net.chains[0].head.hash.hex(),
        "nodes": ["v0"],
    }
    assert (second["height"], second["crosslinked"]) == (1, 0)


async def test_a_shard_that_is_away_is_still_listed(net):
    rows = await net.views(sources={1: Instead()}).backend.atoll.shards()
    assert [row["height"] for row in rows] == [0, None]


async def test_the_audit_balances_at_every_block_with_value_under_way(net, code):
    views = net.views()
    alice, carol = net.users[0][0], net.users[1][0]
    reports = []
    for turn in range(6):
        await views.network.send_raw_transaction(alice.sign(carol.address, ETHER, gas=50_000))
        await views.network.send_raw_transaction(carol.sign(alice.address, 2 * ETHER, gas=60_000))
        await views.network.send_raw_transaction(
            net.users[turn % 2][1].sign(None, data=code[0], gas=300_000)
        )
        net.round()
    for _ in range(2):
        net.round()
    for number in range(net.head_height() + 1):
        report = await views.backend.atoll.audit(number)
        assert report["balanced"] is True, report
        assert report["difference"] == "0x0"
        assert report["block"] == number
        reports.append(report)
    assert int(reports[1]["inFlight"], 16) > 3 * ETHER
    assert reports[1]["lanes"][0]["sent"] == 1
    assert reports[-1]["genesis"] == hex(6 * 1000 * ETHER)
    assert int(reports[-1]["burned"], 16) > 0
    assert await net.views(own=1).backend.atoll.audit("latest") == reports[-1]


async def test_the_audit_finds_a_wei_that_came_from_nowhere(net):
    views = net.views()
    net.genesis.alloc["0x" + "11" * 20] = 1
    report = await net.views().backend.atoll.audit("latest")
    assert (report["balanced"], report["difference"]) == (False, "-0x1")
    assert (await views.backend.atoll.audit("latest"))["balanced"]


async def test_the_audit_names_the_shard_that_has_a_wei_too_much(net):
    """Also where another has one too few: the differences are not added up first."""

    def with_more(shard, wei):
        honest = net.source(shard)

        async def another(question):
            told = await honest.ask(question)
            wrong = int.from_bytes(told.balances, "big") + wei
            return msgspec.structs.replace(told, balances=wrong.to_bytes(32, "big"))

        return Instead(honest, {SupplyQuestion: another})

    for other, difference in ((0, "0x1"), (-1, "0x0")):
        sources = {0: with_more(0, other), 1: with_more(1, 1)}
        report = await net.views(sources=sources).backend.atoll.audit("latest")
        assert (report["balanced"], report["difference"]) == (False, difference)
        assert [row["difference"] for row in report["shards"]] == [hex(other), "0x1"]


async def test_the_audit_names_the_shard_it_cannot_ask(net):
    with pytest.raises(ResourceUnavailable, match="shard 1 is unavailable: gone"):
        await net.views(sources={1: Instead()}).backend.atoll.audit("latest")


def test_users_live_where_the_tests_say(net):
    for shard, users in enumerate(net.users):
        assert {home_by_range(user.address, 2) for user in users} == {shard}
