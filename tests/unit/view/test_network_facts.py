"""Committees, the headers behind a network block, blocks of shards, and votes."""

import pytest

from rpc.errors import ResourceNotFound, ResourceUnavailable


async def test_committees(net):
    backend = net.views().backend
    found = await backend.atoll.committees("latest")
    assert [row["members"][0]["address"] for row in found["shards"]] == [
        "0x" + v.address.hex() for v in net.validators
    ]
    assert [row["nodes"] for row in found["shards"]] == [["v0"], ["v1"]]
    assert len(found["beacon"]) == 2


async def test_the_headers_behind_a_network_block(net):
    backend = net.views().backend
    net.step(0)
    net.step(0)
    number = net.crosslink()
    found = await backend.atoll.network_block("latest")
    assert found["number"] == number
    assert found["hash"] == "0x" + net.beacon.head.hash.hex()
    assert [(link["shard"], link["height"]) for link in found["crosslinks"]] == [(0, 1), (0, 2)]
    assert [shard["tip"]["height"] for shard in found["shards"]] == [2, 0]
    assert found["shards"][0]["tip"]["stateRoot"] == "0x" + net.chains[0].head.state_root.hex()
    assert await backend.atoll.network_block(99) is None


async def test_a_block_that_a_shard_has_decided_is_told_before_the_beacon_has_it(net):
    backend = net.views().backend
    alice, carol = net.users[0][0], net.users[1][0]
    await backend.chain(None).send_raw_transaction(alice.sign(carol.address, 1, gas=50_000))
    net.step(0)
    found = await backend.atoll.shard_block(0, None)
    assert found["hash"] == "0x" + net.chains[0].head.hash.hex()
    assert found["proposer"] == "0x" + net.validators[0].address.hex()
    assert (found["height"], found["anchor"], found["networkBlock"]) == (1, 0, None)
    assert (found["transactions"], found["arrivals"]) == (1, 0)
    number = net.crosslink()
    assert (await backend.atoll.shard_block(0, 1))["networkBlock"] == number
    net.step(1)  # on another node of the network
    arrived = await backend.atoll.shard_block(1, 1)
    assert (arrived["transactions"], arrived["arrivals"]) == (0, 1)
    assert (arrived["shard"], arrived["anchor"]) == (1, number)


async def test_what_is_no_block_of_a_shard_is_refused(net):
    backend = net.views().backend
    with pytest.raises(ResourceNotFound, match="there is no shard 2"):
        await backend.atoll.shard_block(2, None)
    for shard in (0, 1):
        with pytest.raises(ResourceUnavailable):
            await backend.atoll.shard_block(shard, 5)


async def test_votes_are_those_of_the_certificates(devnet_class):
    net = devnet_class(per_shard=4)
    backend = net.views().backend
    net.absent = {net.members[0][2].address}
    net.step(0)
    net.step(1)
    number = net.crosslink()
    first, second, beacon = await backend.atoll.votes("latest", 1)
    assert [row["shard"] for row in (first, second, beacon)] == [0, 1, None]
    assert [row["networkBlock"] for row in (first, second, beacon)] == [number] * 3
    assert (first["height"], first["hash"]) == (1, "0x" + net.chains[0].head.hash.hex())
    assert (beacon["height"], beacon["hash"]) == (number, "0x" + net.beacon.head.hash.hex())
    missing = "0x" + net.members[0][2].address.hex()
    for row, committee in ((first, 4), (second, 4), (beacon, 8)):
        assert len(row["votes"]) == committee
        assert [v["address"] for v in row["votes"]] == sorted(v["address"] for v in row["votes"])
        assert int(row["power"], 16) == sum(int(vote["power"], 16) for vote in row["votes"])
        away = [vote["address"] for vote in row["votes"] if not vote["voted"]]
        assert away == ([] if row is second else [missing])


async def test_votes_of_several_blocks_come_in_order_and_the_genesis_has_none(net):
    backend = net.views().backend
    assert await backend.atoll.votes("latest", 64) == []
    numbers = [net.round() for _ in range(3)]
    found = await backend.atoll.votes("latest", 64)
    assert [row["networkBlock"] for row in found] == [n for n in numbers for _ in range(3)]
    assert [row["networkBlock"] for row in await backend.atoll.votes(numbers[1], 1)] == [
        numbers[1]
    ] * 3


async def test_a_jailed_validator_is_not_asked_for_its_vote_any_more(devnet_class):
    net = devnet_class(per_shard=4)
    backend = net.views().backend
    net.round()
    jailed = "0x" + net.members[0][1].address.hex()
    number = net.jail(0, 1)
    net.round()
    net.round()
    before, *_, after = [
        row for row in await backend.atoll.votes("latest", 64) if row["shard"] is None
    ]
    assert before["networkBlock"] < number < after["networkBlock"]
    assert jailed in [vote["address"] for vote in before["votes"]]
    assert jailed not in [vote["address"] for vote in after["votes"]]
