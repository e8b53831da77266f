"""What a call may cost: the same rules and numbers for users of the shard that runs it and of others."""

import json

import pytest

from rpc.errors import ServerError
from rpc.wire import (
    NO_OVERRIDES,
    AccountOverride,
    BlockOverrides,
    CallRequest,
    Overrides,
    TraceOptions,
)

ETHER = 10**18
GWEI = 10**9
STORES = bytes.fromhex("60015f5500")
PRICES = bytes.fromhex("3a5f524860205260405ff3")  # GASPRICE and BASEFEE


@pytest.fixture(params=[0, 1], ids=["from here", "from elsewhere"])
def sender(net, request):
    return net.users[request.param][1].address


class Asked:
    """The questions that simulate one call, at a node of shard 0."""

    def __init__(self, net, sender, code=STORES, balance=ETHER):
        self._chain = net.views(own=0).network
        self._to = net.users[0][0].address
        self._sender = sender
        self.accounts = {
            self._to: AccountOverride(code=code),
            sender: AccountOverride(balance=balance),
        }
        self.block = BlockOverrides()

    async def __call__(self, question, **fields):
        request = CallRequest(from_=self._sender, to=self._to, **fields)
        overrides = Overrides(accounts=self.accounts, block=self.block)
        if question != "trace":
            return await getattr(self._chain, question)(request, "latest", overrides)
        options = TraceOptions(tracer="callTracer")
        return json.loads(
            bytes(await self._chain.traces.call(request, "latest", overrides, options))
        )


QUESTIONS = ["call", "estimate_gas", "create_access_list", "trace"]


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("price", [{"gas_price": 1}, {"max_fee_per_gas": 1}])
async def test_a_price_below_the_base_fee_is_refused(net, sender, question, price):
    with pytest.raises(ServerError, match="max fee per gas less than block base fee"):
        await Asked(net, sender)(question, **price)


@pytest.mark.parametrize("question", ["call", "create_access_list", "trace"])
async def test_a_price_without_the_money_is_refused(net, sender, question):
    asked = Asked(net, sender, balance=100_000 * 10 * GWEI - 1)
    with pytest.raises(ServerError, match=r"insufficient funds for gas \* price \+ value"):
        await asked(question, gas=100_000, gas_price=10 * GWEI)
    await asked(question, gas=99_999, gas_price=10 * GWEI)
    with pytest.raises(ServerError, match=r"insufficient funds for gas \* price \+ value"):
        await asked(question, gas=99_999, gas_price=10 * GWEI, value=10 * GWEI)


async def test_an_estimate_is_bounded_by_the_purse(net, sender):
    asked = Asked(net, sender, balance=30_000 * 10 * GWEI)
    assert await asked("estimate_gas") > 43_000  # it costs nothing
    for price in (
        {"gas_price": 10 * GWEI},
        {"max_fee_per_gas": 10 * GWEI, "max_priority_fee_per_gas": 10 * GWEI},
    ):
        with pytest.raises(ServerError, match=r"^gas required exceeds allowance \(30000\)$"):
            await asked("estimate_gas", **price)
    assert await asked("estimate_gas", gas_price=2 * GWEI) > 43_000
    for value, words in (
        (ETHER, "insufficient funds for transfer"),
        (30_000 * 10 * GWEI, r"allowance \(0\)"),
    ):
        with pytest.raises(ServerError, match=words):
            await asked("estimate_gas", gas_price=2 * GWEI, value=value)
    with pytest.raises(ServerError, match="insufficient funds"):
        await asked("estimate_gas", value=ETHER)
    with pytest.raises(ServerError, match=r"^gas required exceeds allowance \(40000\)$"):
        await asked("estimate_gas", gas=40_000)


async def test_gas_is_that_of_the_whole_transaction(net, sender):
    asked = Asked(net, sender)
    for question in ("call", "create_access_list", "trace"):
        with pytest.raises(ServerError, match="intrinsic gas too low: have 20999, want 21000"):
            await asked(question, gas=20_999)
    trace = await asked("trace", gas=70_000)
    assert int(trace["gas"], 16) == 70_000
    used = int(trace["gasUsed"], 16)
    assert used == await asked("estimate_gas") == 21_000 + 22_100 + 5
    listed = await asked("create_access_list")
    assert listed.error is None
    saved = (
        2100 if sender == net.users[0][1].address else 0
    )  # a list has no effect on another shard
    assert listed.gas_used == used + 2400 + 1900 - saved


async def test_a_tip_counts_on_top_of_the_base_fee_that_is_overridden(net, sender):
    asked = Asked(net, sender, code=PRICES)
    asked.block = BlockOverrides(base_fee_per_gas=30 * GWEI)
    fields = {"max_fee_per_gas": 90 * GWEI, "max_priority_fee_per_gas": GWEI, "gas": 100_000}
    output = await asked("call", **fields)
    assert [int.from_bytes(output[i : i + 32], "big") for i in (0, 32)] == [31 * GWEI, 30 * GWEI]


async def test_the_balance_that_counts_is_that_at_home(net, sender):
    """Nothing is overridden: an account of another shard has no wei here, and is rich there."""
    chain, to = net.views(own=0).network, net.users[0][0].address
    request = CallRequest(from_=sender, to=to, gas=21_000, gas_price=10 * GWEI, value=999 * ETHER)
    assert await chain.call(request, "latest", NO_OVERRIDES) == b""
