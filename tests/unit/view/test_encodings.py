"""The pending block, encodings of blocks and receipts, and waiting for blocks."""

import pytest
import trio

from node.execution.state.receipts import decode_receipt
from node.primitives import rlp
from node.primitives.basics import keccak256
from node.primitives.transaction import decode_transaction, encode_impersonated
from node.shard.block import ShardBlock
from rpc.errors import TransactionRejected


async def test_the_pending_block_holds_the_pools(net):
    backend = net.views().backend
    number = net.round()
    sent = [
        await backend.chain(None).send_raw_transaction(user.sign(user.address, 1))
        for user in (net.users[0][0], net.users[1][0])
    ]
    queued = net.users[0][1].sign(net.users[0][1].address, 1, nonce=4)
    await backend.chain(None).send_raw_transaction(queued)
    block = await backend.chain(None).block("pending", False)
    assert (block.number, block.hash, block.nonce) == (number + 1, None, None)
    assert block.parent_hash == net.beacon.head.hash
    assert block.transactions == tuple(sent)
    whole = await backend.chain(None).block("pending", True)
    assert [view.hash for view in whole.transactions] == sent
    assert await backend.chain(None).block_transaction_count("pending") == 2
    first = await backend.chain(None).transaction_by_block_and_index("pending", 0)
    assert (first.hash, first.block_hash) == (sent[0], None)
    assert await backend.chain(None).transaction_by_block_and_index("pending", 2) is None
    assert await backend.chain(None).block_receipts("pending") is None
    one = await backend.chain(1).block("pending", False)
    assert one.transactions == (sent[1],)


@pytest.mark.parametrize("shard", [0, 1], ids=["own", "remote"])
async def test_encodings_of_a_shards_block(net, shard):
    backend, user = net.views().backend, net.users[shard][0]
    raw = user.sign(user.address, 1)
    tx_hash = await backend.chain(None).send_raw_transaction(raw)
    net.round()
    block = ShardBlock.decode(await backend.chain(shard).raw_block(1))
    header = await backend.chain(shard).raw_header(1)
    assert keccak256(header) == block.hash
    assert await backend.chain(shard).raw_receipts(1) == tuple(
        receipt.encoded for receipt in net.chains[shard].receipts(1)
    )
    for scope in (None, shard):
        assert await backend.chain(scope).raw_transaction(tx_hash) == raw
        assert await backend.chain(scope).raw_transaction_at(1, 0) == raw
        assert await backend.chain(scope).raw_transaction_at(1, 9) is None
    assert await backend.chain(shard).raw_block(99) is None
    assert await backend.chain(shard).raw_receipts(99) is None


async def test_encodings_of_a_network_block(net):
    backend = net.views().backend
    alice, carol = net.users[0][0], net.users[1][0]
    tx_hash = await backend.chain(None).send_raw_transaction(alice.sign(carol.address, 5))
    pending = await backend.chain(None).raw_transaction(tx_hash)
    assert keccak256(pending) == tx_hash
    net.settle()
    number = (await backend.chain(None).transaction_by_hash(tx_hash)).block_number
    assert keccak256(await backend.chain(None).raw_header(number)) == net.beacon.block(number).hash
    assert await backend.chain(None).raw_block(number) == net.beacon.block(number).encoded
    receipts = [decode_receipt(raw) for raw in await backend.chain(None).raw_receipts(number)]
    shown = await backend.chain(None).block_receipts(number)
    assert [(r.type, r.status, r.cumulative_gas_used) for r in receipts] == [
        (r.type, r.status, r.cumulative_gas_used) for r in shown
    ]
    hashes = await backend.chain(None).block_hashes(0, number)
    assert [backend._beacon.height_of(h) for h in hashes] == list(range(number + 1))
    heads = await backend.chain(1).block_hashes(0, 2)
    assert list(heads) == [net.chains[1].hash_of(h) for h in range(3)]


async def test_waiting_for_a_block(net):
    backend = net.views().backend
    assert await backend.chain(None).wait_for_block(-1) == 0
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(backend.chain(None).wait_for_block, 0)
            nursery.start_soon(backend.chain(1).wait_for_block, 0)
            net.round()
            backend.chain(None)._head_signal.send()


async def test_a_node_behind_its_peers_is_syncing(net):
    backend = net.views().backend
    assert await backend.syncing() is None
    backend.node.behind = True
    assert await backend.syncing() == {
        "startingBlock": 0,
        "currentBlock": 0,
        "highestBlock": 40,
    }


async def test_what_nobody_has_signed_is_no_raw_transaction(net):
    """A page that may only submit what is signed may send raw transactions, too."""
    backend, victim = net.views().backend, net.users[0][0]
    fields = [rlp.int_to_bytes(n) for n in (1337, 0, 10**9, 10**10, 21_000)]
    body = b"\x02" + rlp.encode([*fields, bytes(20), rlp.int_to_bytes(1), b"", []])
    assert decode_transaction(encode_impersonated(victim.address, body)).sender == victim.address
    with pytest.raises(TransactionRejected, match="has no signature"):
        await backend.chain(None).send_raw_transaction(encode_impersonated(victim.address, body))
