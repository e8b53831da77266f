"""The reason why a transaction failed."""

import json

import pytest

from node.primitives import rlp
from node.primitives.basics import keccak256
from node.primitives.errors import DecodeError
from node.view.reasons import MAX_DATA, reason_in
from rpc.dispatch import Dispatcher
from rpc.errors import ServerError
from rpc.limits import Limits

NO = "0x" + (
    "08c379a0" + f"{32:064x}" + f"{7:064x}" + b"not now".ljust(32, b"\0").hex()
)  # Error("not now")
OVERFLOW = "0x4e487b71" + f"{0x11:064x}"
CUSTOM = "0x12345678" + "00" * 64


def call(to, error=None, output="0x", *calls, **others):
    found = {"type": "CALL", "to": name(to), "gas": hex(90_000), "output": output, **others}
    if error is not None:
        found["error"] = error
    if calls:
        found["calls"] = list(calls)
    return found


def reverts(to, output="0x", *calls):
    return call(to, "execution reverted", output, *calls)


def told(root):
    found = reason_in(json.dumps(root).encode())
    return found.text, tuple(account and account[-1] for account in found.path)


def name(letter):
    return "0x" + letter * 40


@pytest.mark.parametrize(
    ("output", "text"),
    [
        (NO, "not now"),
        (OVERFLOW, "arithmetic underflow or overflow"),
        (CUSTOM, "custom error 0x12345678 with 64 bytes of arguments"),
        ("0x", "reverted without a reason"),
        ("0x0102", "reverted with 2 bytes: 0x0102"),
    ],
)
def test_what_a_contract_returned(output, text):
    assert told(reverts("a", output)) == (text, ("a",))


def test_what_ran_out_of_gas_or_failed_otherwise():
    assert told(call("a", "out of gas")) == ("out of gas: it had 90000", ("a",))
    assert told(call("a", "invalid jump destination")) == ("invalid jump destination", ("a",))


def test_it_is_where_the_bytes_come_from():
    inner = reverts("c", NO)
    assert told(reverts("a", NO, call("d"), reverts("b", NO, inner))) == (
        "not now",
        ("a", "b", "c"),
    )


def test_a_call_that_a_contract_went_on_after_is_none():
    """It caught the error and failed for another reason, or another call came after it."""
    caught = reverts("b", CUSTOM)
    assert told(reverts("a", NO, caught)) == ("not now", ("a",))
    assert told(reverts("a", CUSTOM, caught, call("c"))) == (
        "custom error 0x12345678 with 64 bytes of arguments",
        ("a",),
    )


def test_an_empty_revert_after_a_call_without_gas_is_that_call():
    assert told(reverts("a", "0x", call("b", "out of gas")))[1] == ("a", "b")


def test_a_creation_has_no_address():
    root = reverts("a", NO, {**reverts("b", NO), "type": "CREATE"})
    del root["calls"][0]["to"]
    assert told(root) == ("not now", ("a", None))


def test_a_success_has_no_reason():
    assert reason_in(json.dumps(call("a", None, NO, reverts("b", NO))).encode()) is None


@pytest.mark.parametrize(
    "trace",
    [
        5,
        [],
        {"error": "execution reverted"},
        call("a", "execution reverted", "0xzz"),
        call("a", "execution reverted", "0x0"),
        {**call("a"), "to": "0x12"},
        {**call("a"), "gas": "much"},
        {**call("a"), "calls": [1]},
    ],
)
def test_a_trace_of_another_node_may_be_anything(trace):
    with pytest.raises(DecodeError):
        reason_in(json.dumps(trace).encode())


def test_what_is_passed_on_is_bounded():
    found = reason_in(json.dumps(reverts("a", "0x" + "ab" * 2 * MAX_DATA)).encode())
    assert len(found.data) == 2 + 2 * MAX_DATA


# ---------------------------------------------------------------------- on a network


def deployment(runtime):
    return bytes.fromhex(f"60{len(runtime):02x}600a5f3960{len(runtime):02x}5ff3") + runtime


def reverting(output):
    return bytes.fromhex(f"60{len(output):02x}600a5f3960{len(output):02x}5ffd") + output


def forwarding(to):
    return bytes.fromhex("5f5f5f5f5f73" + to.hex() + "5af1503d5f5f3e3d5ffd")


async def deployed(net, view, user, runtime):
    contract = keccak256(rlp.encode([user.address, rlp.int_to_bytes(user.nonce)]))[12:]
    await view.send_raw_transaction(user.sign(None, data=deployment(runtime), gas=300_000))
    net.round()
    return contract


async def ask(backend, tx_hash):
    body = {"jsonrpc": "2.0", "id": 1, "method": "atoll_reason", "params": ["0x" + tx_hash.hex()]}
    return json.loads(await Dispatcher(backend, Limits()).handle(json.dumps(body).encode(), None))


@pytest.mark.parametrize("sender", [0, 1], ids=["at home", "from another shard"])
@pytest.mark.parametrize("own", [0, 1], ids=["asked at 0", "asked at 1"])
async def test_it_is_told_wherever_it_ran(net, sender, own):
    views = net.views(own=own)
    view, backend = views.network, views.backend
    inner = await deployed(net, view, net.users[0][0], reverting(bytes.fromhex(NO[2:])))
    outer = await deployed(net, view, net.users[0][0], forwarding(inner))
    user = net.users[sender][1]
    tx_hash = await view.send_raw_transaction(user.sign(outer, gas=90_000))
    net.settle()
    receipt = await view.transaction_receipt(tx_hash)
    assert receipt.status == 0
    assert (await ask(backend, tx_hash))["result"] == {
        "error": "execution reverted",
        "reason": "not now",
        "data": NO,
        "at": "0x" + inner.hex(),
        "path": ["0x" + outer.hex(), "0x" + inner.hex()],
    }


async def test_what_succeeded_has_none_and_what_is_unknown_is_said(net):
    views = net.views()
    user = net.users[0][0]
    tx_hash = await views.network.send_raw_transaction(user.sign(user.address, 1))
    net.round()
    assert (await ask(views.backend, tx_hash))["result"] is None
    with pytest.raises(ServerError, match="not found"):
        await views.backend.chain(None).traces.reason(b"\1" * 32)
