"""The chain on disk: indexes, restarts, writes that fail, damage, and another network's data."""

from dataclasses import replace

import pytest

from node.primitives.basics import keccak256
from node.primitives.errors import CorruptData, InvalidBlock, UserError
from node.primitives.genesis import Params
from node.primitives.messenger import BEACON_ROOTS, MESSENGER
from node.shard import schema
from node.shard.chain import HeadAccounts, ShardChain
from node.shard.genesis import shard_genesis
from node.storage.level import LevelStore
from tests.support.memory_store import MemoryStore

ETHER = 10**18


@pytest.fixture
def grown(world, kit):
    """Three blocks: a departure, an arrival, a contract."""
    alice = world.users[0][1]
    world.make(
        alice.tx(world.users[1][1].address, 3), world.users[0][2].tx(world.users[1][1].address, 4)
    )
    world.message(alice.address, 9)
    world.make(alice.tx(world.coinbase, 1))
    world.make(alice.tx(None, 0, kit.initcode(kit.store), 200_000))
    return world


def test_an_empty_chain(world):
    chain = world.chain
    assert chain.head == chain.genesis_header == chain.header(0)
    assert chain.block(0).items == ()
    assert chain.receipts(0) == ()
    assert chain.block(1) is None
    assert chain.block(-1) is None
    assert chain.height_of(chain.head.hash) == 0
    assert chain.hash_of(0) == chain.head.hash
    assert chain.hash_of(1) is None
    assert chain.height_of(bytes(32)) is None


def test_what_can_be_looked_up(grown):
    chain = grown.chain
    for height in (1, 2, 3):
        block = chain.block(height)
        assert block.header == chain.header(height)
        assert chain.height_of(block.hash) == height
        assert chain.hash_of(height) == block.hash
        assert chain.certificate(height).block_id == block.hash
        assert chain.requests(height).hash == block.header.requests_hash
        assert len(chain.receipts(height)) == len(block.items)
    assert chain.header(3).parent_hash == chain.hash_of(2)


def test_transactions_are_found(grown):
    chain = grown.chain
    for height in (1, 2, 3):
        for index, raw in enumerate(chain.block(height).items):
            if raw[0] == 2:
                assert chain.find_transaction(keccak256(raw)) == (height, index)
    assert chain.find_transaction(bytes(32)) is None


def test_messages_are_found(grown):
    chain = grown.chain
    height, index, message = chain.sent(1, 1)
    assert (height, index, message.value) == (1, 1, 4)
    assert chain.sent(1, 2) is None
    assert chain.find_message(message.id) == (0, 1, 1)
    assert [m.value for _, m in chain.sent_in(1)] == [3, 4]
    assert [i for i, _ in chain.sent_in(1)] == [0, 1]
    assert chain.sent_in(2) == []
    assert len(list(chain.sent_range(1, 0, 10))) == 2
    assert list(chain.sent_range(1, 1, 10)) == [message.encoded]
    assert list(chain.sent_range(1, 0, 1)) == [chain.sent(1, 0)[2].encoded]
    assert list(chain.sent_range(2, 0, 10)) == []


def test_deliveries_are_found(grown):
    chain = grown.chain
    (message,) = grown.inbox[1]
    assert chain.delivered(1, 0) == (2, 0)
    assert chain.delivered(1, 1) is None
    assert chain.find_message(message.id) == (1, 0, 0)
    assert chain.find_message(bytes(32)) is None


def test_states_of_the_past_can_be_read(grown):
    chain = grown.chain
    alice = grown.users[0][1].address
    nonces = [chain.state(chain.header(h)).nonce(alice) for h in range(4)]
    assert nonces == [0, 1, 2, 3]
    accounts = HeadAccounts(chain.state())
    assert accounts.nonce(alice) == 3
    assert accounts.balance(alice) == chain.state().balance(alice)


def test_a_restart_finds_everything(grown):
    chain = grown.chain
    again = ShardChain(grown.store, grown.genesis, grown.here)
    assert again.head == chain.head
    assert again.block(2) == chain.block(2)
    assert again.receipts(1) == chain.receipts(1)
    assert again.certificate(3) == chain.certificate(3)
    grown.chain = again
    grown.make(grown.users[0][1].tx(grown.coinbase, 1))  # the twin judges it
    assert again.head.number == 4


def test_a_restart_from_disk(tmp_path, make_world, kit):
    world = make_world()
    store = LevelStore.open(tmp_path / "db")
    world.chain = ShardChain(store, world.genesis, world.here)
    world.make(world.users[0][1].tx(world.users[1][1].address, 3))
    head = world.chain.head
    store.close()
    store = LevelStore.open(tmp_path / "db")
    again = ShardChain(store, world.genesis, world.here)
    assert again.head == head
    assert again.state().nonce(world.users[0][1].address) == 1
    store.close()


class Failing(MemoryStore):
    """A store whose disk is full when a test says so."""

    full = False

    def write(self, batch, *, sync):
        assert sync, "a block must be durable"
        if self.full:
            raise OSError("No space left on device")
        super().write(batch, sync=sync)


def test_a_failed_write_leaves_the_old_head(world, kit):
    store = Failing()
    chain = world.chain = ShardChain(store, world.genesis, world.here)
    alice = world.users[0][1]
    world.make(alice.tx(world.coinbase, 1))
    head = chain.head
    built, anchor = world.build(alice.tx(world.coinbase, 2))
    executed = built.executed
    store.full = True
    with pytest.raises(OSError, match="space"):
        chain.commit(executed, kit.certificate(executed))
    assert chain.head == head
    assert chain.block(2) is None
    assert chain.height_of(executed.header.hash) is None
    assert chain.state().nonce(alice.address) == 1
    store.full = False
    assert chain.judge(executed.block, anchor, built.tails).header == executed.header
    chain.commit(executed, kit.certificate(executed))
    assert chain.head == executed.header
    assert chain.state().nonce(alice.address) == 2


def test_only_the_next_block_with_its_own_certificate_is_committed(world, kit):
    executed = world.make()
    with pytest.raises(InvalidBlock, match="does not follow"):
        world.chain.commit(executed, kit.certificate(executed))
    built, _ = world.build()
    certificate = kit.certificate(built.executed)
    for wrong in (replace(certificate, block_id=bytes(32)), replace(certificate, height=9)):
        with pytest.raises(ValueError, match="another block"):
            world.chain.commit(built.executed, wrong)
    assert world.chain.head.number == 1


def test_building_and_judging_write_nothing(world):
    before = dict(world.store._data)
    built, anchor = world.build(world.users[0][1].tx(world.coinbase, 1))
    world.chain.judge(built.executed.block, anchor, built.tails)
    assert world.store._data == before


@pytest.mark.parametrize(
    ("key", "read"),
    [
        (schema.block(2), lambda chain: chain.block(2)),
        (schema.header(2), lambda chain: chain.header(2)),
        (schema.receipts(2), lambda chain: chain.receipts(2)),
        (schema.requests(2), lambda chain: chain.requests(2)),
        (schema.certificate(2), lambda chain: chain.certificate(2)),
    ],
)
@pytest.mark.parametrize("damage", [None, b"\xc1", b"", b"\1\2"])
def test_damage_is_told_with_what_to_do(grown, key, read, damage):
    grown.store.write({key: damage}, sync=True)
    chain = ShardChain(grown.store, grown.genesis, grown.here)
    with pytest.raises(CorruptData, match=r"block 2.*delete the node's data directory"):
        read(chain)
    assert chain.block(1) is not None


def test_above_the_head_there_is_nothing(grown):
    with pytest.raises(CorruptData):
        grown.chain.header(4)
    assert grown.chain.hash_of(4) is None


# ---------------------------------------------------------------------- the genesis


@pytest.mark.parametrize("change", ["alloc", "shard", "params"])
def test_another_networks_data_is_refused(world, change):
    genesis, shard = world.genesis, world.here
    if change == "alloc":
        alloc = dict(genesis.alloc)
        alloc["0x" + world.users[0][1].address.hex()] += 1
        genesis = type(genesis)(
            **{n: getattr(genesis, n) for n in genesis.__struct_fields__ if n != "alloc"},
            alloc=alloc,
        )
    elif change == "params":
        genesis = type(genesis)(
            **{n: getattr(genesis, n) for n in genesis.__struct_fields__ if n != "params"},
            params=Params(base_fee=7),
        )
    else:
        shard = 1
    with pytest.raises(UserError, match="another network"):
        ShardChain(world.store, genesis, shard)


def test_every_account_is_on_one_shard(world):
    total = 0
    for shard in range(3):
        chain = ShardChain(MemoryStore(), world.genesis, shard)
        held = {a: chain.state().balance(a) for a in world.genesis.balances()}
        total += sum(held.values())
        assert chain.head.extra_data == b"atoll/%d" % shard
        assert chain.head.timestamp == world.genesis.timestamp
    assert total == 12 * 1000 * ETHER


def test_money_in_the_genesis_for_a_system_account_leaves_its_code(world):
    fields = {n: getattr(world.genesis, n) for n in world.genesis.__struct_fields__}
    fields["alloc"] = {"0x" + a.hex(): 5 for a in (MESSENGER, BEACON_ROOTS)}
    genesis = type(world.genesis)(**fields)
    total = 0
    for shard in range(3):
        state = ShardChain(MemoryStore(), genesis, shard).state()
        assert state.code(MESSENGER)
        assert state.code(BEACON_ROOTS)
        assert (state.nonce(MESSENGER), state.nonce(BEACON_ROOTS)) == (1, 1)
        total += state.balance(MESSENGER) + state.balance(BEACON_ROOTS)
    assert total == 10


def test_the_genesis_is_a_function_of_the_file(world):
    assert shard_genesis(world.genesis, 1)[0] == shard_genesis(world.genesis, 1)[0]
    assert shard_genesis(world.genesis, 1)[0].hash != shard_genesis(world.genesis, 2)[0].hash


# ---------------------------------------------------------------------- BLOCKHASH


@pytest.mark.slow
def test_a_contract_may_ask_for_any_ancestor_as_often_as_it_likes(world, monkeypatch):
    """Each costs 20 gas, so a block must not be read for it: one transaction could stop the shard."""
    for _ in range(100):  # more than the blocks that are kept decoded
        world.make()
    # blockhash(n & 127) for n = 1, 2, ... until 30,000 gas are left
    code = bytes.fromhex("5f5b60010180607f1640506175305a1160015700")
    contract = world.deploy(code)
    reads = []
    original = world.store.get
    monkeypatch.setattr(world.store, "get", lambda key: reads.append(key[:4]) or original(key))
    executed = world.make(world.users[0][1].tx(contract, gas=2_000_000))
    assert executed.receipts[0].status == 1
    assert executed.header.gas_used > 1_900_000
    assert reads.count(b"s/b/") == 0
    assert reads.count(b"s/n/") <= 101
