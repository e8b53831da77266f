"""Committees, lanes, the headers behind a network block, and all that a transaction caused."""

import pytest

from node.primitives.basics import keccak256
from node.runtime.view import trace
from rpc.errors import LimitExceeded, ServerError

ETHER = 10**18


async def test_committees_and_lanes(net):
    backend = net.views().backend
    found = await backend.committees("latest")
    assert [row["members"][0]["address"] for row in found["shards"]] == [
        "0x" + v.address.hex() for v in net.validators
    ]
    assert [row["nodes"] for row in found["shards"]] == [["v0"], ["v1"]]
    assert len(found["beacon"]) == 2
    alice, carol = net.users[0][0], net.users[1][0]
    await backend.send_raw_transaction(None, alice.sign(carol.address, ETHER, gas=25_000))
    net.step(0)
    net.crosslink()
    there, back = await backend.lanes("latest")
    assert (there["src"], there["dst"], there["sent"], there["inFlight"]) == (0, 1, 1, 1)
    assert back["sent"] == 0
    net.settle()
    assert [lane["inFlight"] for lane in await backend.lanes("latest")] == [0, 0]
    assert (await backend.lanes(1))[0]["inFlight"] == 1
    with pytest.raises(ServerError, match="header not found"):
        await backend.lanes(99)


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


async def test_a_transaction_that_stays_has_a_single_execution(net):
    backend, alice = net.views().backend, net.users[0][0]
    tx_hash = await backend.send_raw_transaction(None, alice.sign(alice.address, 1))
    assert await backend.trace(tx_hash) is None  # it has not run
    net.round()
    found = await backend.trace(tx_hash)
    assert found == {
        "transactionHash": "0x" + tx_hash.hex(),
        "pending": 0,
        "shard": 0,
        "height": 1,
        "networkBlock": 1,
        "index": 0,
        "status": 1,
        "gasUsed": 21_000,
        "messages": [],
    }


async def test_what_a_crossing_caused_is_a_tree(net, code, monkeypatch):
    backend = net.views().backend
    alice, carol = net.users[0][0], net.users[1][0]
    await backend.send_raw_transaction(None, carol.sign(None, data=code[0], gas=300_000))
    net.settle()
    contract = (await backend.block_receipts(None, 1))[0].contract_address
    raw = alice.sign(contract, data=(7).to_bytes(32, "big"), gas=200_000)
    tx_hash = await backend.send_raw_transaction(None, raw)
    net.step(0)
    under_way = await backend.trace(tx_hash)
    assert under_way["pending"] == 1
    assert under_way["messages"][0]["delivery"] is None
    net.settle()
    found = await backend.trace(tx_hash)
    (call,) = found["messages"]
    assert (call["kind"], call["src"], call["dst"]) == ("CALL", 0, 1)
    assert call["originTx"] == "0x" + keccak256(raw).hex()
    assert (call["delivery"]["shard"], call["delivery"]["status"]) == (1, 1)
    (credit,) = call["delivery"]["messages"]  # the gas that was not used
    assert (credit["kind"], credit["dst"]) == ("CREDIT", 0)
    assert credit["delivery"]["shard"] == 0
    assert found["pending"] == 0
    monkeypatch.setattr(trace, "MAX_NODES", 1)
    with pytest.raises(LimitExceeded, match="more than 1 messages"):
        await backend.trace(tx_hash)
