"""debug_trace*: every execution traced where it ran, and nothing runs for ever."""

import json
import zlib

import msgspec
import pytest

from node.primitives import rlp
from node.primitives.basics import keccak256
from node.primitives.errors import DecodeError
from node.query import tracers
from rpc.errors import RpcError, ServerError
from rpc.wire import AccountOverride, CallRequest, Overrides, TraceOptions

GWEI = 10**9
ENDLESS = bytes.fromhex("5b5f56")  # JUMPDEST, PUSH0, JUMP
UNTIL_LITTLE_GAS = bytes.fromhex("5b6127105a115f57")  # loop while gas > 10000
CALLS = TraceOptions(tracer="callTracer")


def word(value):
    return value.to_bytes(32, "big")


def plain(trace):
    return json.loads(msgspec.json.encode(trace))


async def deploy(net, view, user, code):
    contract = keccak256(rlp.encode([user.address, rlp.int_to_bytes(user.nonce)]))[12:]
    await view.send_raw_transaction(user.sign(None, data=code[0], gas=300_000))
    net.round()
    return contract


@pytest.mark.parametrize("sender", [0, 1], ids=["at home", "from another shard"])
@pytest.mark.parametrize("own", [0, 1], ids=["asked at 0", "asked at 1"])
async def test_a_transaction_is_traced_where_it_ran(net, code, sender, own):
    """With the gas of its receipt, whichever shard it came from and whichever node is asked."""
    views = net.views(own=own)
    view, backend = views.network, views.backend
    contract = await deploy(net, view, net.users[0][0], code)
    user = net.users[sender][1]
    await view.send_raw_transaction(net.users[0][0].sign(contract, data=word(5), gas=90_000))
    tx_hash = await view.send_raw_transaction(user.sign(contract, data=word(7), gas=90_000))
    net.settle()
    receipt = await view.transaction_receipt(tx_hash)
    assert receipt.status == 1

    called = plain(await backend.chain(None).traces.transaction(tx_hash, CALLS))
    assert called["type"] == "CALL"
    assert called["from"] == "0x" + user.address.hex()
    assert called["to"] == "0x" + contract.hex()
    assert called["input"] == "0x" + word(7).hex()
    assert int(called["gas"], 16) == 90_000
    assert int(called["gasUsed"], 16) == receipt.gas_used

    with_log = TraceOptions(tracer="callTracer", with_log=True)
    (log,) = plain(await backend.chain(None).traces.transaction(tx_hash, with_log))["logs"]
    assert log["data"] == "0x" + word(7).hex()

    steps = plain(await backend.chain(None).traces.transaction(tx_hash, TraceOptions()))
    assert (steps["gas"], steps["failed"]) == (receipt.gas_used, False)
    (store,) = [s for s in steps["structLogs"] if s["op"] == "SSTORE"]
    assert store["storage"] == {"0x" + word(0).hex(): "0x" + word(7).hex()}
    few = plain(await backend.chain(None).traces.transaction(tx_hash, TraceOptions(limit=3)))
    assert few["structLogs"] == steps["structLogs"][:3]
    assert few["gas"] == steps["gas"]

    # what the transactions before it did is there when it runs
    diff = TraceOptions(tracer="prestateTracer", diff_mode=True)
    changes = plain(await backend.chain(None).traces.transaction(tx_hash, diff))
    here = "0x" + contract.hex()
    assert changes["post"][here]["storage"] == {"0x" + word(0).hex(): "0x" + word(7).hex()}
    assert changes["pre"][here]["storage"] == {"0x" + word(0).hex(): "0x" + word(5).hex()}

    selectors = TraceOptions(tracer="4byteTracer")
    assert plain(await backend.chain(None).traces.transaction(tx_hash, selectors)) == {
        "0x00000000-28": 1
    }
    assert (
        plain(
            await backend.chain(None).traces.transaction(tx_hash, TraceOptions(tracer="noopTracer"))
        )
        == {}
    )


async def test_every_transaction_of_a_block_is_traced(net, code):
    """Of all shards, in order; a shard's own chain has departures and messages too."""
    views = net.views()
    view, backend = views.network, views.backend
    contract = await deploy(net, view, net.users[0][0], code)
    for shard in (0, 1):
        for value in (3, 0):  # stored, reverted
            user = net.users[shard][value and 1]
            await view.send_raw_transaction(user.sign(contract, data=word(value), gas=90_000))
    last = net.settle()
    traced = 0
    for number in range(1, last + 1):
        block = await view.block(number, False)
        traces = plain(await backend.chain(None).traces.block(number, CALLS))
        assert [t["txHash"] for t in traces] == ["0x" + h.hex() for h in block.transactions]
        for trace in traces:
            receipt = await view.transaction_receipt(bytes.fromhex(trace["txHash"][2:]))
            assert ("error" in trace["result"]) == (receipt.status == 0)
            assert int(trace["result"].get("gasUsed", "0x0"), 16) == receipt.gas_used
            if receipt.status == 0:
                assert trace["result"]["revertReason"] == "zero"
        traced += len(traces)
    assert traced >= 5
    for shard in (0, 1):
        head = await backend.chain(shard).block_number()
        for number in range(1, head + 1):
            receipts = await backend.chain(shard).block_receipts(number)
            for options in (CALLS, TraceOptions(), TraceOptions(tracer="prestateTracer")):
                traces = plain(await backend.chain(shard).traces.block(number, options))
                assert len(traces) == len(receipts)
                if options == CALLS:
                    used = [int(t["result"]["gasUsed"], 16) for t in traces]
                    assert used == [receipt.gas_used for receipt in receipts]


@pytest.mark.parametrize("home", [0, 1], ids=["own", "remote"])
async def test_a_call_is_traced(net, home):
    backend = net.views().backend
    target = net.users[home][0].address
    overrides = Overrides(accounts={target: AccountOverride(code=bytes.fromhex("60015f5500"))})
    request = CallRequest(to=target, gas=100_000)
    steps = plain(
        await backend.chain(None).traces.call(request, "latest", overrides, TraceOptions())
    )
    assert [s["op"] for s in steps["structLogs"]] == ["PUSH1", "PUSH0", "SSTORE", "STOP"]
    bare = TraceOptions(disable_stack=True, disable_storage=True)
    short = plain(await backend.chain(None).traces.call(request, "latest", overrides, bare))
    assert not any("stack" in s or "storage" in s for s in short["structLogs"])
    crossing = CallRequest(from_=net.users[1 - home][0].address, to=target, gas=100_000)
    called = plain(await backend.chain(None).traces.call(crossing, "latest", overrides, CALLS))
    assert called["from"] == "0x" + crossing.from_.hex()


async def test_what_cannot_be_traced(net):
    backend = net.views().backend
    net.round()
    none = TraceOptions()
    with pytest.raises(ServerError, match="transaction not found"):
        await backend.chain(None).traces.transaction(b"\1" * 32, none)
    for scope in (None, 0, 1):
        with pytest.raises(ServerError, match="genesis is not traceable"):
            await backend.chain(scope).traces.block(0, none)
        with pytest.raises(ServerError, match="block #99 not found"):
            await backend.chain(scope).traces.block(99, none)
    with pytest.raises(ServerError, match="pending is not supported"):
        await backend.chain(None).traces.call(CallRequest(), "pending", Overrides(), none)


@pytest.mark.parametrize("home", [0, 1], ids=["own", "remote"])
@pytest.mark.parametrize("tracer", ["", "callTracer", "prestateTracer"])
async def test_a_trace_has_an_end(net, home, tracer):
    """By time or by size, whether its tracer looks at every instruction or at none."""
    backend = net.views().backend
    target = net.users[home][0].address
    overrides = Overrides(accounts={target: AccountOverride(code=ENDLESS)})
    options = TraceOptions(tracer=tracer, timeout=0.05)
    with pytest.raises(RpcError, match=r"execution aborted \(timeout = 0.05s\)"):
        await backend.chain(None).traces.call(CallRequest(to=target), "latest", overrides, options)


@pytest.mark.parametrize("home", [0, 1], ids=["own", "remote"])
async def test_a_trace_that_is_too_large_is_refused(net, home, monkeypatch):
    monkeypatch.setattr(tracers, "MAX_JSON_BYTES", 10_000)
    backend = net.views().backend
    target = net.users[home][0].address
    overrides = Overrides(accounts={target: AccountOverride(code=ENDLESS)})
    request = CallRequest(to=target, gas=40_000)
    with pytest.raises(RpcError, match="the trace has more than") as caught:
        await backend.chain(None).traces.call(request, "latest", overrides, TraceOptions())
    assert caught.value.code == -32005


@pytest.mark.parametrize("home", [0, 1], ids=["own", "remote"])
async def test_a_call_that_never_ends_is_ended(net, home, monkeypatch):
    """Whatever it is given: by gas, and where gas would take too long, by time."""
    target = net.users[home][0].address
    request = CallRequest(to=target, gas=1_000_000)
    endless = Overrides(accounts={target: AccountOverride(code=ENDLESS)})
    backend = net.views().backend
    with pytest.raises(ServerError, match="out of gas"):
        await backend.chain(None).call(request, "latest", endless)
    with pytest.raises(ServerError, match="gas required exceeds allowance"):
        await backend.chain(None).estimate_gas(request, "latest", endless)
    monkeypatch.setattr("node.query.simulator.CALL", 0.02)
    monkeypatch.setattr("node.query.simulator.SEARCH", 0.02)
    backend = net.views().backend
    chain = backend.chain(None)
    unlimited = CallRequest(to=target)
    for code in (ENDLESS, UNTIL_LITTLE_GAS):
        overrides = Overrides(accounts={target: AccountOverride(code=code)})
        for ask in (chain.call, chain.estimate_gas, chain.create_access_list):
            with pytest.raises(ServerError, match=r"execution aborted \(timeout = 0.02s\)"):
                await ask(unlimited, "latest", overrides)


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"no zlib",
        zlib.compress(b"{"),
        zlib.compress(b'["\xff"]'),
        zlib.compress(b"[" * 100_000),
        zlib.compress(b"[]"),
        zlib.compress(b"[1]") + b"more",
        zlib.compress(b"[1]")[:-3],
    ],
)
def test_a_trace_of_another_node_is_checked(packed):
    with pytest.raises(DecodeError):
        tracers.unpack_items(packed, 1)


def test_a_trace_of_another_node_may_not_grow_without_end(monkeypatch):
    monkeypatch.setattr(tracers, "MAX_JSON_BYTES", 1000)
    with pytest.raises(DecodeError, match="too large"):
        tracers.unpack_one(zlib.compress(b" " * 2000 + b"1"))
