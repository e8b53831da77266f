"""What methods answer at the edges: unknown blocks and transactions, tags, calls that fail."""

import json

import pytest

from node.primitives import rlp
from node.primitives.basics import keccak256
from rpc.dispatch import Dispatcher
from rpc.errors import TransactionRejected
from rpc.limits import Limits

UNKNOWN = "0x" + "ab" * 32
NUMBER = "0xffffff"
NOT_FOUND = {"code": -32000, "message": "header not found"}

NULL = [
    ("eth_getBlockByHash", [UNKNOWN, False]),
    ("eth_getBlockByNumber", [NUMBER, False]),
    ("eth_getBlockReceipts", [UNKNOWN]),
    ("eth_getBlockReceipts", [NUMBER]),
    ("eth_getBlockTransactionCountByHash", [UNKNOWN]),
    ("eth_getBlockTransactionCountByNumber", [NUMBER]),
    ("eth_getUncleCountByBlockHash", [UNKNOWN]),
    ("eth_getTransactionByHash", [UNKNOWN]),
    ("eth_getTransactionReceipt", [UNKNOWN]),
    ("eth_getTransactionByBlockHashAndIndex", [UNKNOWN, "0x0"]),
    ("eth_getTransactionByBlockNumberAndIndex", [NUMBER, "0x0"]),
    ("eth_getTransactionByBlockNumberAndIndex", ["latest", "0xffff"]),
    ("eth_getTransactionByBlockNumberAndIndex", ["earliest", "0x0"]),
    ("eth_getRawTransactionByHash", [UNKNOWN]),
]


@pytest.fixture(params=[None, 0, 1], ids=["network", "shard 0", "shard 1"])
def scope(request):
    return request.param


@pytest.fixture
def ask(net, scope):
    net.round()
    dispatcher = Dispatcher(net.views().backend, Limits())

    async def send(method, *params, at=scope):
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return json.loads(await dispatcher.handle(json.dumps(body).encode(), at))

    return send


async def test_what_is_unknown_is_null(ask):
    for method, params in NULL:
        assert (await ask(method, *params))["result"] is None, (method, params)


async def test_state_at_an_unknown_block_is_an_error(net, ask):
    who = "0x" + net.users[0][0].address.hex()
    call = {"to": who}
    for block in (NUMBER, UNKNOWN, {"blockHash": UNKNOWN, "requireCanonical": True}):
        for method, params in (
            ("eth_getBalance", [who]),
            ("eth_getCode", [who]),
            ("eth_getTransactionCount", [who]),
            ("eth_getStorageAt", [who, "0x0"]),
            ("eth_getProof", [who, []]),
            ("eth_call", [call]),
            ("eth_estimateGas", [call]),
            ("eth_createAccessList", [call]),
            ("debug_traceCall", [call]),
            ("eth_simulateV1", [{"blockStateCalls": [{"calls": [call]}]}]),
        ):
            assert (await ask(method, *params, block)).get("error") == NOT_FOUND, (method, block)
    error = (await ask("eth_getLogs", {"blockHash": UNKNOWN}))["error"]
    assert error == {"code": -32000, "message": "unknown block"}
    error = (await ask("debug_traceTransaction", UNKNOWN))["error"]
    assert error == {"code": -32000, "message": "transaction not found"}
    error = (await ask("debug_traceBlockByHash", UNKNOWN))["error"]
    assert error == {"code": -32000, "message": f"block {UNKNOWN} not found"}
    assert (await ask("debug_getRawBlock", UNKNOWN))["error"]["code"] == -32001
    assert (await ask("debug_getRawTransaction", UNKNOWN))["result"] == "0x"


async def test_tags(net, ask):
    latest = (await ask("eth_getBlockByNumber", "latest", False))["result"]
    for tag in ("safe", "finalized"):
        assert (await ask("eth_getBlockByNumber", tag, False))["result"] == latest
    assert (await ask("eth_getBlockByNumber", "earliest", False))["result"]["number"] == "0x0"
    pending = (await ask("eth_getBlockByNumber", "pending", False))["result"]
    assert int(pending["number"], 16) == int(latest["number"], 16) + 1
    assert (pending["hash"], pending["parentHash"]) == (None, latest["hash"])
    who = "0x" + net.users[0][0].address.hex()
    balances = [
        (await ask("eth_getBalance", who, block))["result"]
        for block in (
            *("latest", "safe", "finalized", "pending"),
            latest["number"],
            latest["hash"],
            {"blockNumber": latest["number"]},
            {"blockHash": latest["hash"], "requireCanonical": True},
        )
    ]
    assert len(set(balances)) == 1


@pytest.mark.parametrize("home", [0, 1])
async def test_a_call_that_reverts(net, code, home):
    """Code 3 and the data, from every method that runs it, on both shards."""
    user = net.users[home][0]
    views = net.views()
    contract = keccak256(rlp.encode([user.address, b""]))[12:]
    await views.network.send_raw_transaction(user.sign(None, data=code[0], gas=300_000))
    net.settle()
    dispatcher = Dispatcher(views.backend, Limits())
    call = {"to": "0x" + contract.hex(), "input": "0x" + "00" * 32}
    for method in ("eth_call", "eth_estimateGas"):
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": [call]}
        answer = json.loads(await dispatcher.handle(json.dumps(body).encode(), None))
        assert answer["error"]["code"] == 3
        assert answer["error"]["message"] == "execution reverted: zero"
        assert answer["error"]["data"].startswith("0x08c379a0")


@pytest.mark.parametrize("home", [0, 1])
async def test_refusals_are_in_the_words_of_geth(net, home):
    """Those that a node of another shard gives are the same."""
    user, view = net.users[home][0], net.views().network
    net.round()
    me = user.address
    good = user.sign(me, 1)
    await view.send_raw_transaction(good)
    net.round()
    queued = user.sign(me, nonce=5)
    await view.send_raw_transaction(queued)  # a gap is no mistake
    wrong = bytearray(user.sign(me, nonce=6))
    wrong[-32:] = b"\xff" * 32  # s above half of the order
    for raw, text in (
        (good, "nonce too low: next nonce 1, tx nonce 0"),
        (queued, "already known"),
        (user.sign(me, 1, nonce=5), "replacement transaction underpriced"),
        (user.sign(me, 10**24, nonce=1), "insufficient funds for gas \\* price \\+ value"),
        (user.sign(me, chain_id=1, nonce=1), "invalid chain id for signer: have 1 want 1337"),
        (bytes(wrong), "invalid sender"),
    ):
        with pytest.raises(TransactionRejected, match=text) as caught:
            await view.send_raw_transaction(raw)
        assert caught.value.code == -32000
