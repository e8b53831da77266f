"""What `atoll_lanes` says of a lane while messages go along it."""

import pytest
from msgspec.structs import replace

from node.primitives.message import message_id
from rpc.errors import ServerError
from tests.unit.view.conftest import Instead

ETHER = 10**18
EMPTY = {"count": 0, "asked": 0, "gas": 0}
TWO = {"count": 2, "asked": 2, "gas": 8_000}


async def send(net, count=1, gas=25_000):
    alice, carol = net.users[0][0], net.users[1][0]
    for _ in range(count):
        raw = alice.sign(carol.address, ETHER, gas=gas)
        await net.views().backend.chain(None).send_raw_transaction(raw)


async def test_a_lane_while_messages_go_along_it(net):
    backend = net.views().backend

    async def lane():
        there, back = await backend.atoll.lanes("latest")
        assert await net.views(own=1).backend.atoll.lanes("latest") == [there, back]
        assert (back["src"], back["dst"]) == (1, 0)
        return there

    assert await lane() == {
        "src": 0,
        "dst": 1,
        "outbox": {**EMPTY, "block": 0},
        "crosslinked": EMPTY,
        "consumed": EMPTY,
        "inbox": {**EMPTY, "block": 0},
        "waiting": EMPTY,
        "window": {"count": 4096, "gas": 600_000_000},
        "full": False,
        "oldest": None,
    }
    await send(net, 2)
    net.step(0)
    first = {"id": "0x" + message_id(0, 1, 0).hex(), "seq": 0, "block": 1}
    found = await lane()
    assert found["outbox"] == {**TWO, "block": 1}
    assert (found["crosslinked"], found["waiting"]) == (EMPTY, TWO)
    assert found["oldest"] == {**first, "networkBlock": None, "age": None}
    number = net.crosslink()
    net.crosslink()
    found = await lane()
    assert found["crosslinked"] == TWO
    assert found["oldest"] == {**first, "networkBlock": number, "age": 1}
    net.step(1)
    found = await lane()
    assert found["inbox"] == {**TWO, "block": 1}
    assert found["oldest"] is None
    assert found["waiting"]["count"] == 2  # until the beacon knows
    net.settle()
    assert (await lane())["waiting"] == EMPTY
    past = (await backend.atoll.lanes(number))[0]
    assert past["outbox"] == {**TWO, "block": 1}
    assert past["inbox"] == {**EMPTY, "block": 0}
    assert past["oldest"] == {**first, "networkBlock": number, "age": 0}
    with pytest.raises(ServerError, match="header not found"):
        await backend.atoll.lanes(99)


@pytest.mark.parametrize("window", [{"lane_window": 2}, {"lane_gas_window": 8_000}])
async def test_a_full_lane_says_so(net, window):
    net.genesis = replace(net.genesis, params=replace(net.genesis.params, **window))
    await send(net, 2)
    net.step(0)
    there, back = await net.views().backend.atoll.lanes("latest")
    assert (there["full"], back["full"]) == (True, False)


async def test_a_shard_that_is_away_leaves_its_ends_open(net):
    await send(net)
    net.step(0)
    there, back = await net.views(sources={1: Instead()}).backend.atoll.lanes("latest")
    assert (there["inbox"], back["outbox"]) == (None, None)
    assert there["outbox"]["count"] == there["waiting"]["count"] == 1
    assert there["oldest"]["seq"] == 0
    assert back["waiting"] == EMPTY
