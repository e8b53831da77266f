"""What is said of a contract that was born on another shard a moment ago."""

import pytest

from node.primitives import rlp
from node.primitives.basics import keccak256
from node.primitives.placement import home_by_range
from rpc.errors import ExecutionReverted
from rpc.wire import NO_OVERRIDES, AccountOverride, CallRequest, Overrides, TraceOptions

BUBBLES = "60%02x57" + "3d5f5f3e3d5ffd" + "5b00"  # stop, or revert as what was called did


async def born_away(net):
    """A contract of shard 1 whose range is shard 0, which has made no block since."""
    carol, view = net.users[1][0], net.views().network
    while True:
        nonce = rlp.int_to_bytes(carol.nonce)
        address = keccak256(rlp.encode([carol.address, nonce]))[12:]
        away = home_by_range(address, 2) == 0
        await view.send_raw_transaction(carol.sign(None, data=bytes.fromhex("00"), gas=100_000))
        net.step(1)
        net.crosslink()
        if away:
            return address


@pytest.mark.parametrize("own", [0, 1])
@pytest.mark.parametrize("question", ["estimate_gas", "create_access_list", "trace"])
async def test_the_newest_network_block_says_where_accounts_live(net, own, question):
    """Not the one to which the shard's last block is anchored: the next block will know it, too."""
    born = await born_away(net)
    alice = net.users[0][0]
    call = "5f5f60045f5f73" + born.hex() + "5af1"
    code = bytes.fromhex(call + BUBBLES % (len(call) // 2 + 10))
    overrides = Overrides(accounts={alice.address: AccountOverride(code=code)})
    request = CallRequest(from_=net.users[0][1].address, to=alice.address)
    view = net.views(own=own).network
    if question == "estimate_gas":
        with pytest.raises(ExecutionReverted, match="lives on shard 1"):
            await view.estimate_gas(request, "latest", overrides)
    elif question == "trace":
        options = TraceOptions(tracer="callTracer")
        trace = await view.traces.call(request, "latest", overrides, options)
        assert b"lives on shard 1; reach it with MESSENGER.send" in bytes(trace)
    else:
        found = await view.create_access_list(request, "latest", overrides)
        assert found.error == "execution reverted"


async def test_a_call_of_it_goes_there(net):
    born = await born_away(net)
    request = CallRequest(from_=net.users[0][0].address, to=born, data=b"\1")
    assert await net.views().network.estimate_gas(request, "latest", NO_OVERRIDES) > 21_000
