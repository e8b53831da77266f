"""The blocks that are kept decoded: what they answer must be what the database answers."""

from node.primitives.transaction import FinalTransaction, decode_final, decode_transaction
from node.shard.recent import RecentBlocks
from tests.unit.shard.conftest import World


def test_the_newest_block_answers_as_the_database_does(world: World) -> None:
    alice, bob = world.users[0][:2]
    executed = world.make(alice.tx(bob.address, 5), bob.tx(alice.address, 7))
    chain, height = world.chain, executed.header.number
    recent = chain.recent(height)
    assert recent is not None
    assert recent.block == chain._load_block(height)
    assert recent.receipts == chain._load_receipts(height)
    assert [item.raw for item in recent.items] == list(recent.block.items)
    for index, (_, tx) in enumerate(executed.decoded):
        assert chain.is_recent(tx.hash)
        assert chain.find_transaction(tx.hash) == (height, index)


def test_old_blocks_make_room_and_are_read_from_the_database(world: World) -> None:
    alice, bob = world.users[0][:2]
    blocks = RecentBlocks(capacity=2)
    made = [world.make(alice.tx(bob.address, value)) for value in range(1, 5)]
    for executed in made:
        blocks.add(executed)
    first, last = made[0], made[-1]
    assert blocks.get(first.header.number) is None
    assert blocks.place(first.decoded[0][1].hash) is None
    assert blocks.get(last.header.number) is not None
    assert blocks.place(last.decoded[0][1].hash) == (last.header.number, 0)


def test_one_block_is_kept_however_large_it_is(world: World) -> None:
    alice, bob = world.users[0][:2]
    blocks = RecentBlocks(capacity=1)
    executed = world.make(alice.tx(bob.address, 1), bob.tx(alice.address, 1))
    blocks.add(executed)
    assert blocks.get(executed.header.number) is not None


def test_a_final_transaction_finds_its_sender_when_asked(world: World) -> None:
    tx = world.users[0][0].tx(world.users[0][1].address, 5)
    final = decode_final(tx.raw)
    assert isinstance(final, FinalTransaction)
    assert not final.is_recovered
    for name in ("type", "chain_id", "nonce", "gas", "to", "value", "data", "v", "r", "s", "hash"):
        assert getattr(final, name) == getattr(decode_transaction(tx.raw), name), name
    assert final.sender == tx.sender
    assert final.is_recovered
