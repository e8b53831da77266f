"""Committees, and the headers behind a network block."""


async def test_committees(net):
    backend = net.views().backend
    found = await backend.committees("latest")
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
    found = await backend.network_block("latest")
    assert found["number"] == number
    assert found["hash"] == "0x" + net.beacon.head.hash.hex()
    assert [(link["shard"], link["height"]) for link in found["crosslinks"]] == [(0, 1), (0, 2)]
    assert [shard["tip"]["height"] for shard in found["shards"]] == [2, 0]
    assert found["shards"][0]["tip"]["stateRoot"] == "0x" + net.chains[0].head.state_root.hex()
    assert await backend.network_block(99) is None
