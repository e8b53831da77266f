"""eth_call over accounts of several shards: right, in few rounds, within limits, and never a zero for what
could not be read.
"""

from dataclasses import replace

import pytest
import trio
from eth_abi import decode, encode

from node.primitives.basics import keccak256
from node.primitives.births import contract_address
from node.primitives.predeploys import MULTICALL3
from node.query.call_specs import SpanningOutcome
from node.query.port import ProvenGuests
from node.query.questions import CallQuestion, GuestsQuestion, SpanningCallQuestion
from node.view import chain_view, spanning
from rpc.errors import ExecutionReverted, LimitExceeded, ResourceUnavailable
from rpc.limits import SPAN
from rpc.wire import AccountOverride, CallRequest, Overrides
from tests.unit.view.conftest import ETHER, Instead, word

SHARDS = 4
AGGREGATE3 = keccak256(b"aggregate3((address,bool,bytes)[])")[:4]
GET_ETH_BALANCE = keccak256(b"getEthBalance(address)")[:4]


@pytest.fixture
def net(devnet_class):
    return devnet_class(shards=SHARDS)


class Asked:
    """A source that notes what it is asked."""

    def __init__(self, honest) -> None:
        self.honest = honest
        self.questions = []

    async def ask(self, question):
        self.questions.append(question)
        return await self.honest.ask(question)


def watched(net, own=0):
    """The views of a node, and by shard what it asks."""
    sources = {
        int(s): Asked(net.source(s) if s == own else net.remote(s)) for s in range(len(net.ids))
    }
    return net.views(own=own, sources=sources).network, sources


async def deployed(net, code, value=5):
    """A contract on every shard with `value` + the shard in slot 0; the block they are in."""
    view = net.views().network
    creators = [users[0] for users in net.users]
    contracts = [contract_address(creator.address, creator.nonce) for creator in creators]
    for creator in creators:
        await view.send_raw_transaction(creator.sign(None, data=code[0], gas=400_000))
    net.settle()
    return contracts, await stored(net, contracts, value)


async def stored(net, contracts, value):
    view = net.views().network
    for shard, contract in enumerate(contracts):
        data = word(value + shard)
        await view.send_raw_transaction(net.users[shard][0].sign(contract, data=data, gas=90_000))
    return net.settle()


def aggregate3(*calls, may_fail=True):
    rows = [(target, may_fail, data) for target, data in calls]
    return AGGREGATE3 + encode(["(address,bool,bytes)[]"], [rows])


def results(output):
    return list(decode(["(bool,bytes)[]"], output)[0])


def balance_of(user):
    return MULTICALL3, GET_ETH_BALANCE + encode(["address"], ["0x" + user.address.hex()])


async def test_many_calls_over_all_shards_in_one_at_each_block(net, code):
    contracts, before = await deployed(net, code)
    after = await stored(net, contracts, 50)
    users = [row[1] for row in net.users]
    data = aggregate3(*((c, b"") for c in contracts), *map(balance_of, users))
    for own in (0, 2):
        view, sources = watched(net, own)
        for block, value in ((before, 5), (after, 50), ("latest", 50)):
            found = results(await view.call(CallRequest(to=MULTICALL3, data=data), block))
            assert found == [
                *((True, word(value + shard)) for shard in range(SHARDS)),
                *((True, word(1000 * ETHER)) for _ in users),
            ]
        asked = [q for source in sources.values() for q in source.questions]
        assert len([q for q in asked if isinstance(q, SpanningCallQuestion)]) == 3 * 3  # rounds
        assert len([q for q in asked if isinstance(q, GuestsQuestion)]) == 3 * 2 * (SHARDS - 1)


async def test_what_would_change_one_shard_is_tried_there_whatever_node_is_asked(net, code):
    """Quotes that change a pool and take it back run as they do without the multicall."""
    contracts, _ = await deployed(net, code)
    changes = aggregate3((contracts[2], word(9)), (contracts[1], b""))
    for own in range(SHARDS):
        view, sources = watched(net, own)
        found = results(await view.call(CallRequest(to=MULTICALL3, data=changes), "latest"))
        assert found == [(True, b""), (True, word(6))]
        ran = [
            s
            for s, it in sources.items()
            for q in it.questions
            if isinstance(q, SpanningCallQuestion)
        ]
        assert set(ran) == {own, 2}
    sender = net.users[0][0].address
    fixed = CallRequest(from_=sender, to=MULTICALL3, data=changes)
    [(done, reason), _] = results(await net.views().network.call(fixed, "latest"))
    assert (done, b"lives on shard 2" in reason) == (False, True), "as its transaction would"


async def test_a_call_that_stays_on_its_shard_is_one_question(net, code):
    contracts, _ = await deployed(net, code)
    for sender in (None, net.users[1][0].address, net.users[3][0].address):
        view, sources = watched(net)
        request = CallRequest(from_=sender, to=contracts[1])
        assert await view.call(request, "latest") == word(6)
        asked = {shard: len(source.questions) for shard, source in sources.items()}
        assert asked == {0: 0, 1: 1, 2: 0, 3: 0}


async def test_a_shard_that_is_away_is_named_and_never_a_zero(net, code):
    contracts, _ = await deployed(net, code)
    view = net.views(sources={2: Instead()}).network
    everyone = CallRequest(to=MULTICALL3, data=aggregate3(*((c, b"") for c in contracts)))
    with pytest.raises(ResourceUnavailable, match="shard 2 is unavailable"):
        await view.call(everyone, "latest")
    others = CallRequest(to=MULTICALL3, data=aggregate3(*((c, b"") for c in contracts[:2])))
    assert results(await view.call(others, "latest")) == [(True, word(5)), (True, word(6))]


async def test_a_shard_that_is_silent_is_named_when_the_time_is_up(net, code, autojump_clock):
    class Silent:
        async def ask(self, question):
            await trio.sleep_forever()

    contracts, _ = await deployed(net, code)
    view = net.views(sources={2: Silent()}).network
    request = CallRequest(to=MULTICALL3, data=aggregate3((contracts[2], b"")))
    started = trio.current_time()
    with pytest.raises(ResourceUnavailable, match="shard 2"):
        await view.call(request, "latest")
    assert trio.current_time() - started <= SPAN.seconds


async def test_a_shard_that_lies_about_its_accounts_is_unavailable(net, code):
    contracts, _ = await deployed(net, code)
    honest = net.source(2)

    def forged(change):
        async def answer(question):
            proven = await honest.ask(question)
            return change(proven)

        return Instead(honest, {GuestsQuestion: answer})

    def no_nodes(proven):
        return ProvenGuests(nodes=[], codes=proven.codes)

    def other_nodes(proven):
        return ProvenGuests(nodes=[node[:-1] + b"\0" for node in proven.nodes], codes=proven.codes)

    def no_codes(proven):
        return ProvenGuests(nodes=proven.nodes, codes=[])

    def other_codes(proven):
        return ProvenGuests(nodes=proven.nodes, codes=[code + b"\0" for code in proven.codes])

    request = CallRequest(to=MULTICALL3, data=aggregate3((contracts[2], b"")))
    for lie in (no_nodes, other_nodes, no_codes, other_codes):
        view = net.views(sources={2: forged(lie)}).network
        with pytest.raises(ResourceUnavailable, match="shard 2 is unavailable"):
            await view.call(request, "latest")


async def test_a_node_that_asks_for_what_it_has_or_was_given_is_not_asked_for_ever(net, code):
    contracts, _ = await deployed(net, code)
    honest = net.source(0)
    first = []

    async def again(question):
        if not first:
            first.append(await honest.ask(question))
        return first[0]

    async def its_own(question):
        answer = await honest.ask(question)
        mine = [replace(each, address=contracts[0]) for each in answer.wanted]
        return SpanningOutcome(wanted=mine)

    async def nothing(question):
        return SpanningOutcome()

    data = aggregate3((contracts[2], b""))
    request = CallRequest(from_=net.users[0][0].address, to=MULTICALL3, data=data)
    for answer in (again, its_own, nothing):
        source = Instead(honest, {SpanningCallQuestion: answer})
        view = net.views(own=1, sources={0: source}).network
        with pytest.raises(ResourceUnavailable, match="shard 0 is unavailable: it asked for"):
            await view.call(request, "latest")


@pytest.mark.parametrize(
    ("limit", "text"),
    [
        ({"rounds": 2}, "more than 2 rounds"),
        ({"accounts": 2}, "more than 2 accounts of other shards"),
        ({"slots": 2}, "more than 2 slots of other shards"),
        ({"code_size": 20}, "more than 20 bytes of code of other shards"),
    ],
)
async def test_what_a_call_reads_is_bounded_and_the_bound_is_named(
    net, code, limit, text, monkeypatch
):
    contracts, _ = await deployed(net, code)

    async def bounded(*args):
        return await spanning.call_over_shards(*args, limits=replace(SPAN, **limit))

    monkeypatch.setattr(chain_view, "call_over_shards", bounded)
    request = CallRequest(to=MULTICALL3, data=aggregate3(*((c, b"") for c in contracts)))
    with pytest.raises(LimitExceeded, match=text):
        await net.views().network.call(request, "latest")


async def test_the_time_for_reads_over_shards_begins_with_the_first_of_them(net, code, monkeypatch):
    """A call that one shard answers, however busy that is, has the time of any question."""
    contracts, _ = await deployed(net, code)

    async def bounded(*args):
        return await spanning.call_over_shards(*args, limits=replace(SPAN, seconds=0))

    monkeypatch.setattr(chain_view, "call_over_shards", bounded)
    view = net.views().network
    assert await view.call(CallRequest(to=contracts[1]), "latest") == word(6)
    request = CallRequest(to=MULTICALL3, data=aggregate3(*((c, b"") for c in contracts)))
    with pytest.raises(ResourceUnavailable, match="took more than 0 s"):
        await view.call(request, "latest")


async def test_what_would_change_another_shard_says_so_and_is_not_done(net, code):
    contracts, _ = await deployed(net, code)
    view = net.views().network
    sender = net.users[0][0].address  # so the call is run as its transaction would be
    data = aggregate3((contracts[2], word(9)), may_fail=True)
    write = CallRequest(from_=sender, to=MULTICALL3, data=data)
    ((success, output),) = results(await view.call(write, "latest"))
    assert not success
    assert decode(["string"], output[4:])[0].endswith(
        "lives on shard 2; reach it with MESSENGER.send"
    )
    read = CallRequest(to=MULTICALL3, data=aggregate3((contracts[2], b""), may_fail=False))
    assert results(await view.call(read, "latest")) == [(True, word(7))]
    strict = replace(write, data=aggregate3((contracts[2], word(9)), may_fail=False))
    for ask in (view.call, view.estimate_gas):  # neither a call nor a transaction does it
        with pytest.raises(ExecutionReverted, match="Multicall3: call failed"):
            await ask(strict, "latest")


async def test_overrides_count_wherever_the_account_lives(net, code):
    contracts, _ = await deployed(net, code)
    view = net.views().network
    user = net.users[3][1]
    request = CallRequest(
        to=MULTICALL3, data=aggregate3((contracts[1], b""), (contracts[2], b""), balance_of(user))
    )
    accounts = {
        contracts[1]: AccountOverride(state_diff={0: 77}),
        contracts[2]: AccountOverride(code=bytes.fromhex("60aa5f5260205ff3")),
        user.address: AccountOverride(balance=3),
    }
    found = results(await view.call(request, "latest", Overrides(accounts=accounts)))
    assert found == [(True, word(77)), (True, word(0xAA)), (True, word(3))]


async def test_code_that_is_no_account_reads_every_shard(net, code):
    """As viem's deployless calls: the init code makes the call and returns what came back."""
    contracts, _ = await deployed(net, code)
    view = net.views().network
    for sender in (None, net.users[2][0].address):
        for shard, contract in enumerate(contracts):
            init = bytes.fromhex("60205f5f5f5f73") + contract + bytes.fromhex("5af15060205ff3")
            request = CallRequest(from_=sender, to=None, data=init)
            assert await view.call(request, "latest") == word(5 + shard)


async def test_the_chain_of_a_shard_is_that_shard_alone(net, code):
    contracts, _ = await deployed(net, code)
    views = net.views()
    request = CallRequest(to=MULTICALL3, data=aggregate3((contracts[2], b"")))
    source = net.source(0)
    placed = await views.network.place_call(request, "latest", Overrides())
    alone = await source.ask(CallQuestion(height=placed.height, spec=placed.call))
    ((success, output),) = results(alone.output)
    assert (success, output) != (True, word(7))


async def test_proofs_of_accounts_of_every_shard(net, code):
    contracts, block = await deployed(net, code)
    for own in range(SHARDS):
        view = net.views(own=own).network
        for shard, contract in enumerate(contracts):
            proof = await view.proof(contract, [0, 1], block)
            assert [entry.value for entry in proof.storage] == [5 + shard, 0]
