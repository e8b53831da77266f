"""One shard's chain as it is, and the rest of what a node's backend answers."""

import pytest

from node.primitives.messenger import MESSENGER, SENT_TOPIC
from node.shard.block import ARRIVAL_TYPE
from rpc.errors import ResourceNotFound, TransactionRejected
from rpc.wire import NO_OVERRIDES, BlockHash, CallRequest, LogFilter

ETHER = 10**18
GWEI = 10**9


@pytest.fixture(params=[0, 1], ids=["own", "remote"])
def backend(net, request):
    """A node of shard 0 and one of shard 1: both serve shard 0's chain."""
    return net.views(own=request.param).backend


async def test_a_shard_block_is_shown_field_by_field(net, backend):
    alice, bob = net.users[0][:2]
    tx_hash = await backend.chain(0).send_raw_transaction(alice.sign(bob.address, 5))
    assert (await backend.chain(0).transaction_by_hash(tx_hash)).block_hash is None
    net.step(0)
    header = net.chains[0].head
    assert await backend.chain(0).block_number() == 1
    block = await backend.chain(0).block("latest", False)
    assert block.hash == header.hash
    assert block.parent_beacon_block_root == header.parent_beacon_block_root
    assert block.requests_hash == header.requests_hash
    assert (block.gas_used, block.gas_limit) == (21_000, 30_000_000)
    assert block.size == len(net.chains[0].block(1).encoded)
    assert block.transactions == (tx_hash,)
    assert await backend.chain(0).block(BlockHash(header.hash), False) == block
    assert (await backend.chain(0).block("earliest", False)).hash == net.chains[
        0
    ].genesis_header.hash
    assert await backend.chain(0).block(2, False) is None
    assert await backend.chain(0).block(BlockHash(b"\1" * 32), False) is None
    receipt = await backend.chain(0).transaction_receipt(tx_hash)
    assert receipt.block_number == 1
    assert receipt.effective_gas_price == header.base_fee_per_gas + GWEI
    assert await backend.chain(0).balance(bob.address, 0) == 1000 * ETHER
    assert await backend.chain(0).balance(bob.address, BlockHash(header.hash)) == 1000 * ETHER + 5
    net.crosslink()
    assert await backend.chain(0).block(1, False) == block


async def test_both_legs_of_a_crossing_are_on_their_own_shard(net, backend):
    alice, carol = net.users[0][0], net.users[1][0]
    tx_hash = await backend.chain(None).send_raw_transaction(
        alice.sign(carol.address, ETHER, gas=30_000)
    )
    net.settle()
    here = await backend.chain(0).transaction_receipt(tx_hash)
    assert (here.status, here.gas_used) == (1, 21_000)
    (log,) = here.logs
    assert (log.address, log.topics[0]) == (MESSENGER, SENT_TOPIC)
    message_id = log.topics[1]
    assert await backend.chain(1).transaction_receipt(tx_hash) is None
    there = await backend.chain(1).transaction_receipt(message_id)
    assert (there.type, there.status, there.from_, there.to) == (
        ARRIVAL_TYPE,
        1,
        alice.address,
        carol.address,
    )
    arrival = await backend.chain(1).transaction_by_hash(message_id)
    assert (arrival.value, arrival.gas, arrival.extra["mint"]) == (ETHER, 9_000, hex(ETHER))
    assert await backend.chain(0).transaction_receipt(message_id) is None
    found = await backend.chain(0).logs(LogFilter(from_block=0, topics=((SENT_TOPIC,),)))
    assert found == (log,)
    # the unused gas came back as a CREDIT, which the sender's shard lists
    kinds = [
        tx.type for n in range(5) for tx in (await backend.chain(0).block(n, True)).transactions
    ]
    assert kinds == [2, ARRIVAL_TYPE]


async def test_only_its_own_accounts_send_on_a_shard(net, backend):
    carol = net.users[1][0]
    with pytest.raises(TransactionRejected, match="is at home on shard 1, not on shard 0"):
        await backend.chain(0).send_raw_transaction(carol.sign(carol.address, 1))


async def test_state_calls_and_fees_are_those_of_the_shard(net, backend):
    alice, carol = net.users[0][0], net.users[1][0]
    net.settle()
    assert await backend.chain(0).balance(carol.address, "latest") == 0
    assert await backend.chain(1).balance(carol.address, "latest") == 1000 * ETHER
    assert await backend.chain(0).transaction_count(alice.address, "pending") == 0
    assert await backend.chain(0).storage_at(alice.address, 1, "latest") == bytes(32)
    assert await backend.chain(0).code(alice.address, "latest") == b""
    request = CallRequest(from_=alice.address, to=alice.address, value=1)
    assert await backend.chain(0).estimate_gas(request, "latest", NO_OVERRIDES) == 21_000
    # NUMBER, returned by init code
    probe = CallRequest(from_=alice.address, data=bytes.fromhex("435f5260205ff3"))
    assert await backend.chain(0).call(probe, 2, NO_OVERRIDES) == (2).to_bytes(32, "big")
    priced = CallRequest(
        from_=alice.address, to=alice.address, gas=21_000, max_fee_per_gas=9 * GWEI
    )
    assert await backend.chain(0).call(priced, "latest", NO_OVERRIDES) == b""
    head = net.chains[0].head
    history = await backend.chain(0).fee_history(2, "latest", (50.0,))
    assert history.base_fee_per_gas[1] == head.base_fee_per_gas
    assert history.reward == ((0,), (0,))
    assert await backend.chain(0).gas_price() == history.base_fee_per_gas[-1] * 9 // 8 + GWEI


async def test_a_shard_that_does_not_exist_is_named(net, backend):
    with pytest.raises(
        ResourceNotFound, match="there is no shard 7: this network has shards 0 to 1"
    ):
        await backend.chain(7).block_number()


async def test_the_node_itself(net, backend):
    assert await backend.client_version() == "atoll/test"
    assert await backend.chain_id() == 1337
    assert backend.node.peer_count() == 3
    assert backend.wallet.addresses == tuple(u.address for row in net.users for u in row)
    assert backend.node.health()[0] is True
    assert backend.node.status() == {"name": "test"}
    assert await backend.syncing() is None
    for _ in range(10):
        net.crosslink()
    net.head = 1
    assert await backend.syncing() == {"startingBlock": 0, "currentBlock": 1, "highestBlock": 50}
