"""The network view when other shards lag, lie, stay silent or are away, and many ask at once."""

import msgspec
import pytest
import trio

from node.execution.state.receipts import Receipt, decode_receipt
from node.primitives.births import contract_address
from node.query.port import ShardUnavailable
from node.query.questions import AccountQuestion, BlockQuestion, LegsQuestion, ProveQuestion
from node.shard.block import ShardBlock
from rpc.errors import ResourceUnavailable
from tests.unit.view.conftest import Instead

ETHER = 10**18


async def test_a_shard_that_is_away_is_named_and_the_others_are_served(net):
    alice, carol = net.users[0][0], net.users[1][0]
    view = net.views(own=0, sources={1: Instead()}).network
    net.settle()
    assert await view.balance(alice.address, "latest") == 1000 * ETHER
    with pytest.raises(ResourceUnavailable, match="shard 1 is unavailable"):
        await view.balance(carol.address, "latest")
    with pytest.raises(ResourceUnavailable, match="shard 1 is unavailable"):
        await view.transaction_receipt(b"\6" * 32)
    assert (await view.block("latest", False)).transactions == ()


async def test_a_shard_that_is_silent_costs_its_deadline_and_no_more(net, autojump_clock):
    class Silent:
        async def ask(self, question):
            await trio.sleep_forever()

    carol = net.users[1][0]
    view = net.views(own=0, sources={1: Silent()}).network
    net.settle()
    start = trio.current_time()
    with pytest.raises(ResourceUnavailable, match="shard 1 is unavailable: no answer within 12 s"):
        await view.balance(carol.address, "latest")
    assert trio.current_time() - start == pytest.approx(12.0)


async def test_a_block_that_is_not_what_was_finalised_is_not_shown(net):
    """Whoever answers for another shard needs no trust: its blocks are held against the headers."""
    carol = net.users[1][0]
    honest = net.source(1)

    def lying(forge):
        async def forged(question):
            return forge(await honest.ask(question))

        return Instead(honest, {BlockQuestion: forged})

    def another_status(stored):
        receipt = decode_receipt(stored.receipts[0])
        forged = Receipt(
            type=receipt.type,
            status=0,
            cumulative_gas_used=receipt.cumulative_gas_used,
            logs=receipt.logs,
        )
        return msgspec.structs.replace(stored, receipts=[forged.encoded])

    def another_item(stored):
        block = ShardBlock.decode(stored.block)
        items = (carol.sign(b"\1" * 20, 5),)
        return msgspec.structs.replace(
            stored, block=ShardBlock(header=block.header, items=items).encoded
        )

    def no_receipt(stored):
        return msgspec.structs.replace(stored, receipts=[])

    def nonsense(stored):
        return msgspec.structs.replace(stored, block=b"\xc1\x80")

    await net.views().network.send_raw_transaction(carol.sign(net.users[1][1].address, 1))
    number = net.round()
    for forge in (another_status, another_item, no_receipt, nonsense):
        view = net.views(own=0, sources={1: lying(forge)}).network
        with pytest.raises(
            ResourceUnavailable, match="shard 1 is unavailable: it answered nonsense"
        ):
            await view.block(number, False)


async def test_a_source_that_lags_does_not_change_what_a_block_shows(net):
    """Its node does not know the origin yet: that is no reason to show the arrival as a message."""
    alice, carol = net.users[0][0], net.users[1][0]
    await net.views().network.send_raw_transaction(alice.sign(carol.address, 1))
    number = net.settle() - 2
    honest = net.source(0)

    async def no_legs(question):
        return [None for _ in question.tx_hashes]

    async def behind(question):
        raise ShardUnavailable("shard 0 is at block 0 here")

    lagging = Instead(honest, {LegsQuestion: no_legs, AccountQuestion: behind})

    assert (await net.views(own=1).network.block(number, True)).transactions[0].type == 2
    view = net.views(own=1, sources={0: lagging}).network
    with pytest.raises(ResourceUnavailable, match="shard 0 is unavailable"):
        await view.block(number, False)


async def test_one_assembly_serves_all_who_ask(net):
    alice, bob = net.users[0][:2]
    view = net.views().network
    await view.send_raw_transaction(alice.sign(bob.address, 1))
    number = net.round()
    counted = net.source(0)
    asked = []

    async def count(question):
        asked.append(question.height)
        return await counted.ask(question)

    view = net.views(own=0, sources={0: Instead(counted, {BlockQuestion: count})}).network
    found = []

    async def ask():
        found.append(await view.block(number, False))

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(ask)
    assert asked == [1]
    assert found == [found[0]] * 5


async def test_any_node_finds_any_transaction(net):
    """Through another node than the one that took it, and after everything was forgotten."""
    alice, carol = net.users[0][0], net.users[1][0]
    first = net.views(own=0).network
    stayed = await first.send_raw_transaction(carol.sign(net.users[1][1].address, 1))
    departed = await first.send_raw_transaction(alice.sign(carol.address, 1))
    for own in (0, 1, None):
        assert await net.views(own=own).network.transaction_by_hash(departed) is not None
    net.settle()
    for own in (0, 1, None):
        view = net.views(own=own).network
        assert (await view.transaction_receipt(stayed)).status == 1
        assert (await view.transaction_receipt(departed)).status == 1


async def test_a_value_that_is_not_in_the_finalised_state_is_not_shown(net, code):
    """Balances, nonces, code and storage of another shard come with proofs against its crosslinked root."""
    init, runtime, _ = code
    carol = net.users[1][0]
    contract = contract_address(carol.address, carol.nonce)
    honest_view = net.views().network
    await honest_view.send_raw_transaction(carol.sign(None, data=init, gas=500_000))
    net.settle()
    honest = net.source(1)

    def lying(kind, forge):
        """Changes one answer; an account can be proven in an older state too."""

        async def forged(question):
            return forge(await honest.ask(question))

        return Instead(honest, {kind: forged})

    class Outdated:
        async def ask(self, question):
            return await honest.ask(msgspec.structs.replace(question, height=0))

    def changed(**fields):
        return lambda told: msgspec.structs.replace(told, **fields)

    async def read(view):
        return (
            await view.balance(carol.address, "latest"),
            await view.transaction_count(carol.address, "latest"),
            await view.code(contract, "latest"),
            await view.storage_at(contract, 0, "latest"),
        )

    expected = (net.chains[1].state().balance(carol.address), 1, runtime, bytes(32))
    assert await read(net.views(own=0, sources={1: honest}).network) == expected

    for lie in (changed(balance=b"\7"), changed(nonce=9), changed(proof=[])):
        view = net.views(own=0, sources={1: lying(ProveQuestion, lie)}).network
        for question in (view.balance, view.transaction_count):
            with pytest.raises(
                ResourceUnavailable, match=r"shard 1 is unavailable: (it gave|node)"
            ):
                await question(carol.address, "latest")
    view = net.views(own=0, sources={1: Outdated()}).network
    with pytest.raises(ResourceUnavailable, match="shard 1 is unavailable"):
        await view.balance(carol.address, "latest")
    view = net.views(own=0, sources={1: lying(AccountQuestion, changed(code=b"\xfe"))}).network
    with pytest.raises(ResourceUnavailable, match="it gave other code than it proved"):
        await view.code(contract, "latest")

    def other_slot(told):
        (slot,) = told.slots
        return msgspec.structs.replace(told, slots=[msgspec.structs.replace(slot, value=b"\1")])

    view = net.views(own=0, sources={1: lying(ProveQuestion, other_slot)}).network
    with pytest.raises(ResourceUnavailable, match="it gave another value than it proved"):
        await view.storage_at(contract, 0, "latest")
