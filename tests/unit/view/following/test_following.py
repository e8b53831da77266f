"""Following a message and what a transaction caused, at every stage and from every node."""

from itertools import count
from pathlib import Path

import pytest
import vyper
from eth_abi import abi

from node.primitives.basics import keccak256
from node.query.questions import ArrivalQuestion, ItemQuestion
from node.view.following import trace
from node.view.following.feed import MessageFeed
from rpc.errors import ResourceUnavailable
from tests.unit.view.conftest import Instead

ETHER = 10**18
REVERT = bytes(32)


def hexed(value: bytes) -> str:
    return "0x" + value.hex()


async def deploy(net, code, shard: int) -> bytes:
    """The contract of `code` on a shard."""
    backend = net.views().backend
    user = net.users[shard][0]
    tx_hash = await backend.chain(None).send_raw_transaction(
        user.sign(None, data=code[0], gas=300_000)
    )
    net.settle()
    return (await backend.chain(None).transaction_receipt(tx_hash)).contract_address


def nodes(tree):
    """Every node of a tree with its depth, the root first."""

    def walk(node, depth):
        yield depth, node
        for child in node["children"]:
            yield from walk(child, depth + 1)

    return list(walk(tree["root"], 0))


async def both(net, question):
    """The answer of the nodes of both shards, which must be the same."""
    first, second = [await question(net.views(own=own).backend) for own in net.ids]
    assert first == second
    return first


async def test_a_message_is_sent_then_finalised_then_delivered(net):
    views = net.views()
    alice, carol = net.users[0][0], net.users[1][0]
    raw = alice.sign(carol.address, ETHER, gas=25_000)
    tx_hash = await views.network.send_raw_transaction(raw)
    net.step(0)
    ((_, message),) = net.chains[0].sent_in(1)

    async def story():
        path = await both(net, lambda backend: backend.atoll.message(message.id))
        (leg,) = path["legs"]
        assert path["status"] == leg["status"]
        return path, leg

    path, leg = await story()
    assert (path["status"], path["outcome"]) == ("sent", None)
    assert leg["sent"] == {
        "shard": 0,
        "block": 1,
        "blockHash": hexed(net.chains[0].head.hash),
        "index": 0,
        "item": hexed(tx_hash),
    }
    assert (leg["finalised"], leg["delivered"]) == (None, None)
    first = net.crosslink()
    path, leg = await story()
    assert (path["status"], leg["finalised"]) == ("finalised", {"networkBlock": first})
    assert leg["delivered"] is None
    net.step(1)
    path, leg = await story()
    assert (path["status"], path["outcome"]) == ("delivered", "ok")
    assert leg["delivered"]["networkBlock"] is None
    second = net.crosslink()
    path, leg = await story()
    delivered = leg["delivered"]
    (credit,) = net.chains[1].sent_in(1)
    assert delivered == {
        "shard": 1,
        "block": 1,
        "blockHash": hexed(net.chains[1].head.hash),
        "index": 0,
        "networkBlock": second,
        "outcome": "ok",
        "gasUsed": 0,
        "value": hex(ETHER),
        "receipt": {"status": 1, "gasUsed": 0, "logs": [], "logsTruncated": 0},
        "caused": [
            {
                "relation": "credit",
                "id": hexed(credit[1].id),
                "kind": "CREDIT",
                "dst": 0,
                "to": hexed(alice.address),
                "value": hex(credit[1].value),
            }
        ],
        "truncated": 0,
    }
    assert path["value"] == hex(ETHER)
    assert (path["gas"], path["depth"], path["data"]) == (4_000, 0, "0x")
    assert path["originTx"] == hexed(tx_hash)
    assert await views.backend.atoll.message(b"\1" * 32) is None


async def test_a_call_that_fails_shows_its_refund(net, code):
    contract = await deploy(net, code, 1)
    backend, alice = net.views().backend, net.users[0][0]
    raw = alice.sign(contract, ETHER, data=REVERT, gas=200_000)
    await backend.chain(None).send_raw_transaction(raw)
    net.settle()
    height = net.chains[0].head.number
    sent = [m for h in range(1, height + 1) for _, m in net.chains[0].sent_in(h)]
    path = await both(net, lambda backend: backend.atoll.message(sent[-1].id))
    assert (path["status"], path["outcome"]) == ("delivered", "failed")
    delivered = path["legs"][0]["delivered"]
    assert delivered["receipt"]["status"] == 0
    assert delivered["gasUsed"] > 0
    (credit,) = delivered["caused"]
    assert int(credit["value"], 16) > ETHER  # with the gas that was not used
    tree = await both(net, lambda backend: backend.atoll.trace(keccak256(raw)))
    assert [(depth, n["kind"], n["outcome"], n["shard"]) for depth, n in nodes(tree)] == [
        (0, "TRANSACTION", "departed", 0),
        (1, "CALL", "failed", 1),
        (2, "CREDIT", "ok", 0),
    ]


async def test_a_transaction_that_stays_is_a_single_node(net):
    backend, alice = net.views().backend, net.users[0][0]
    tx_hash = await backend.chain(None).send_raw_transaction(alice.sign(alice.address, 1))
    waiting = await both(net, lambda backend: backend.atoll.trace(tx_hash))
    assert (waiting["complete"], waiting["root"]["status"]) == (False, "pending")
    assert waiting["root"]["block"] is None
    net.step(0)
    included = await both(net, lambda backend: backend.atoll.trace(tx_hash))
    assert (included["complete"], included["root"]["status"]) == (True, "included")
    net.crosslink()
    found = await both(net, lambda backend: backend.atoll.trace(tx_hash))
    assert found == {
        "hash": hexed(tx_hash),
        "complete": True,
        "messages": 0,
        "underWay": 0,
        "truncated": False,
        "root": {
            "kind": "TRANSACTION",
            "id": hexed(tx_hash),
            "src": 0,
            "from": hexed(alice.address),
            "to": hexed(alice.address),
            "value": "0x1",
            "gas": 21_000,
            "status": "finalised",
            "outcome": "ok",
            "shard": 0,
            "block": 1,
            "index": 0,
            "networkBlock": 1,
            "gasUsed": 21_000,
            "children": [],
            "truncated": 0,
        },
    }
    assert await backend.atoll.trace(b"\1" * 32) is None


async def test_a_tree_only_grows_until_it_is_complete(net, code):
    contract = await deploy(net, code, 1)
    backend, alice = net.views().backend, net.users[0][0]
    raw = alice.sign(contract, data=(7).to_bytes(32, "big"), gas=200_000)
    tx_hash = await backend.chain(None).send_raw_transaction(raw)
    seen = []
    steps = [lambda: net.step(0), net.crosslink, lambda: net.step(1), net.crosslink] * 2
    for step in [lambda: None, *steps]:
        step()
        tree = await both(net, lambda backend: backend.atoll.trace(tx_hash))
        assert tree["underWay"] == sum(n["block"] is None for depth, n in nodes(tree) if depth)
        seen.append((len(nodes(tree)), tree["underWay"], tree["complete"]))
    assert [size for size, _, _ in seen] == sorted(size for size, _, _ in seen)
    assert seen[:5] == [
        (1, 0, False),  # in the pool
        (2, 1, False),  # departed
        (2, 1, False),  # finalised
        (3, 1, False),  # ran; the gas that it did not use goes back
        (3, 1, False),
    ]
    assert seen[-1] == (3, 0, True)
    call, credit = (node for _, node in nodes(tree)[1:])
    assert (call["kind"], call["src"], call["shard"], call["outcome"]) == ("CALL", 0, 1, "ok")
    assert (credit["kind"], credit["src"], credit["shard"]) == ("CREDIT", 1, 0)
    assert credit["to"] == hexed(alice.address)
    below = await both(net, lambda backend: backend.atoll.trace(bytes.fromhex(call["id"][2:])))
    assert below["root"] == call  # a message has a tree of its own


async def test_what_does_not_fit_is_counted_where_it_is_missing(net, code, monkeypatch):
    contract = await deploy(net, code, 1)
    backend, alice = net.views().backend, net.users[0][0]
    raw = alice.sign(contract, data=(7).to_bytes(32, "big"), gas=200_000)
    tx_hash = await backend.chain(None).send_raw_transaction(raw)
    net.settle()
    for limit in ("MAX_NODES", "MAX_DEPTH"):
        with monkeypatch.context() as patch:
            patch.setattr(trace, limit, 1)
            tree = await backend.atoll.trace(tx_hash)
        assert (tree["truncated"], tree["complete"], tree["messages"]) == (True, False, 1)
        assert [n["truncated"] for _, n in nodes(tree)] == [0, 1]
    assert (await backend.atoll.trace(tx_hash))["truncated"] is False


async def test_a_node_that_names_other_things_is_not_believed(net):
    views = net.views()
    alice, carol = net.users[0][0], net.users[1][0]
    tx_hash = await views.network.send_raw_transaction(alice.sign(carol.address, ETHER))
    net.settle()
    honest = net.source(1)

    async def another(question):
        return await net.source(0).ask(ItemQuestion(height=1, index=0))

    backend = net.views(sources={1: Instead(honest, {ArrivalQuestion: another})}).backend
    with pytest.raises(ResourceUnavailable, match="named another message"):
        await backend.atoll.trace(tx_hash)


async def test_what_is_on_its_way_to_a_shard_that_is_away_is_shown(net):
    views = net.views()
    alice, carol = net.users[0][0], net.users[1][0]
    tx_hash = await views.network.send_raw_transaction(alice.sign(carol.address, ETHER))
    net.step(0)
    net.crosslink()

    away = net.views(sources={1: Instead()})
    trace = await away.backend.atoll.trace(tx_hash)
    (node,) = trace["root"]["children"]
    assert (trace["complete"], trace["underWay"], node["status"]) == (False, 1, "finalised")
    assert node["unavailable"] == "shard 1 is unavailable: gone"
    message = await away.backend.atoll.message(bytes.fromhex(node["id"][2:]))
    assert (message["status"], message["legs"][0]["delivered"]) == ("finalised", None)
    assert message["legs"][0]["unavailable"] == node["unavailable"]
    assert await away.network.transaction_receipt(tx_hash) is None

    net.settle()  # now the beacon knows that it has arrived
    for name in (tx_hash, bytes.fromhex(node["id"][2:])):
        with pytest.raises(ResourceUnavailable, match="shard 1 is unavailable: gone"):
            await net.views(sources={1: Instead()}).backend.atoll.trace(name)


@pytest.fixture(scope="module")
def asker() -> bytes:
    """Creation code of the contract that asks another shard and is told the outcome."""
    path = Path(__file__).parents[3] / "cluster" / "contracts" / "Asker.vy"
    compiled = vyper.compile_code(path.read_text(), output_formats=["bytecode"])
    return bytes.fromhex(compiled["bytecode"][2:])


@pytest.mark.parametrize(
    ("word", "reply_gas", "call_outcome", "reply_outcome"),
    [(7, 100_000, "ok", "ok"), (0, 100_000, "failed", "ok"), (7, 1_000, "ok", "failed")],
)
async def test_an_answer_is_a_child_of_what_it_answers(
    net, code, asker, word, reply_gas, call_outcome, reply_outcome
):
    there, here = await deploy(net, code, 1), await deploy(net, (asker,), 0)
    backend, alice = net.views().backend, net.users[0][1]
    follower = MessageFeed(
        net.beacon, net.views(own=1).shards, head_height=net.head_height, clock=count(1).__next__
    )
    cursor = (await follower.since(None)).cursor
    selector = keccak256(b"ask(address,bytes,uint256,uint256)")[:4]
    arguments = [there, word.to_bytes(32, "big"), 200_000, reply_gas]
    data = selector + abi.encode(["address", "bytes", "uint256", "uint256"], arguments)
    raw = alice.sign(here, ETHER, data=data, gas=500_000)
    tx_hash = await backend.chain(None).send_raw_transaction(raw)
    net.settle()
    tree = await both(net, lambda backend: backend.atoll.trace(tx_hash))
    assert tree["complete"]
    assert [(depth, n["kind"], n["outcome"], n["shard"]) for depth, n in nodes(tree)] == [
        (0, "TRANSACTION", "ok", 0),
        (1, "CALL", call_outcome, 1),
        (2, "REPLY", reply_outcome, 0),
        (2, "CREDIT", "ok", 0),
    ]
    call, reply, credit = (bytes.fromhex(n["id"][2:]) for _, n in nodes(tree)[1:])
    story = await both(net, lambda backend: backend.atoll.message(call))
    (leg,) = story["legs"]
    assert [c["relation"] for c in leg["delivered"]["caused"]] == ["reply", "credit"]
    assert (story["replyGas"], story["selector"]) == (reply_gas, "0x00000000")
    answer = await both(net, lambda backend: backend.atoll.message(reply))
    assert answer["inReplyTo"] == hexed(call)
    assert answer["legs"][0]["sent"]["item"] == hexed(call)
    assert (int(answer["value"], 16) > 0) == (call_outcome == "failed")
    assert answer["outcome"] == reply_outcome
    logs = answer["legs"][0]["delivered"]["receipt"]["logs"]
    assert [log["topics"][1] for log in logs] == ([hexed(call)] if reply_outcome == "ok" else [])
    told = [(e.event, e.id) for e in (await follower.since(cursor)).events]
    for message in (call, reply, credit):
        assert [name for name, of in told if of == message] == ["sent", "finalised", "delivered"]
    assert len(told) == 3 * tree["messages"]
