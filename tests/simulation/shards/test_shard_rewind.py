"""Chains that were taken back are those that never had the excess: their databases are the same."""

import random
from collections.abc import Mapping
from typing import Any

import pytest

from consensus.types import Certificate, Height, Round
from node.beacon import rewinding as beacon_rewinding
from node.beacon import schema
from node.beacon.block import BeaconBlock
from node.beacon.chain import BeaconChain
from node.beacon.era_store import begin_era, load_eras
from node.beacon.eras import EraRecord
from node.beacon.rewind import Rewind
from node.beacon.transition import build_rewind, genesis_block
from node.chains import rewinding
from node.primitives.basics import Address
from node.shard import rewinding as shard_rewinding
from node.shard.chain import ShardChain
from node.shard.genesis import shard_genesis
from tests.simulation.shards.support.network import Net
from tests.support.memory_store import MemoryStore

Dump = dict[bytes, bytes]


class PowerCut(Exception):
    """The machine stops before a write."""


class Disk(MemoryStore):
    """The database of one node, both chains in it. It can stop before any of its writes."""

    def __init__(self, content: Dump) -> None:
        super().__init__()
        super().write(dict(content), sync=True)
        self.writes = 0
        self.stops_at = -1

    def write(self, batch: Mapping[bytes, bytes | None], *, sync: bool) -> None:
        assert sync
        if self.writes == self.stops_at:
            raise PowerCut
        self.writes += 1
        super().write(batch, sync=sync)


def dump(store: MemoryStore) -> Dump:
    """All but what is named by its content, which stays, and the eras."""
    kept = (b"n/", schema.ERA_PREFIX)
    return {k: v for k, v in store.iterate(b"") if not k.startswith(kept)}


class History:
    """A network that has grown, and what its databases held at every height."""

    def __init__(self, seed: int, steps: int) -> None:
        self.net = net = Net(seed)
        self.beacon: list[Dump] = [dump(net.beacon_store)]
        self.shards: list[list[Dump]] = [[dump(here.stores[0])] for here in net.shards]
        for _ in range(steps):
            pick = net.random.random()
            if pick < 0.55:
                net.make_block(net.random.choice(net.ids))
            elif pick < 0.8:
                net.make_beacon_block()
            else:
                net.pull()
            self._note()
        net.make_beacon_block(everything=True)
        self._note()

    def _note(self) -> None:
        if self.net.beacon.head.height == len(self.beacon):
            self.beacon.append(dump(self.net.beacon_store))
        for here, dumps in zip(self.net.shards, self.shards, strict=True):
            if here.chain.head.number == len(dumps):
                dumps.append(dump(here.stores[0]))

    def disk(self, shard: int) -> Disk:
        """That of a node of the shard."""
        stores = (self.net.beacon_store, self.net.shards[shard].stores[0])
        return Disk({k: v for store in stores for k, v in store.iterate(b"")})

    def record(self, height: int, era: int = 1) -> EraRecord:
        """The decision to go back there; nobody has signed it."""
        beacon = self.net.beacon
        block = beacon.block(height)
        assert block is not None
        rewind = Rewind(
            era=era,
            height=height,
            block_hash=block.hash,
            taken=7,
            salt=bytes(16),
            tips=beacon.tips_at(height),
        )
        head = beacon.head.header
        decided: BeaconBlock = build_rewind(
            head, head.state_root, rewind, timestamp=0, proposer=Address(bytes(20))
        )
        certificate = Certificate(
            height=Height(decided.height),
            round=Round(0),
            block_id=decided.hash,  # type: ignore[arg-type]
            signers=1,
            signatures=(bytes(65),),
        )
        return EraRecord(block=decided, certificate=certificate)

    def expected(self, shard: int, height: int) -> Dump:
        """What a node of the shard has that never went beyond the beacon's `height`."""
        tip = self.net.beacon.tips_at(height)[shard]
        return self.beacon[height] | self.shards[shard][tip]


@pytest.mark.parametrize("seed", range(12))
def test_what_is_taken_back_was_never_there(seed: int) -> None:
    history = History(seed, 70)
    net = history.net
    for shard in net.ids:
        store, last = history.disk(shard), net.beacon.head.height
        nodes = sum(1 for _ in store.iterate(b"n/"))
        era = 0
        for height in sorted({0, *random.Random(seed).sample(range(last), min(4, last))})[::-1]:
            era += 1
            begin_era(store, history.record(height, era))
            assert rewinding.finish(store, shard) == history.record(height, era).rewind
            assert dump(store) == history.expected(shard, height)
            assert load_eras(store).current == era
            assert rewinding.finish(store, shard) is None
        assert sum(1 for _ in store.iterate(b"n/")) == nodes
        first = genesis_block(net.genesis, {s: shard_genesis(net.genesis, s)[0] for s in net.ids})
        again = BeaconChain(store, (first.block, first.nodes), net.rules)
        assert (again.head.height, again.rules.era) == (0, era)
        chain = ShardChain(store, net.genesis, shard)
        assert chain.head == chain.genesis_header


@pytest.mark.parametrize("seed", range(4))
def test_it_is_finished_wherever_it_was_interrupted(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In chunks of a few keys, with a power cut before each of their writes: what is there in between can be
    opened, and is taken back in full at the next start."""
    monkeypatch.setattr(beacon_rewinding, "CHUNK_KEYS", 20)
    monkeypatch.setattr(shard_rewinding, "CHUNK_KEYS", 20)
    history = History(100 + seed, 50)
    net, chance = history.net, random.Random(seed)
    shard = chance.choice(net.ids)
    record = history.record(chance.randrange(net.beacon.head.height // 2 + 1))
    first = genesis_block(net.genesis, {s: shard_genesis(net.genesis, s)[0] for s in net.ids})
    cuts = 0
    while True:
        store = history.disk(shard)
        store.stops_at = cuts
        try:
            begin_era(store, record)
            rewinding.finish(store, shard)
        except PowerCut:
            pass
        else:
            break
        store.stops_at = -1
        chain: Any = ShardChain(store, net.genesis, shard)
        whole = net.shards[shard].chain
        assert chain.head == whole.header(chain.head.number)
        for user in net.shards[shard].users:
            balance = whole.state(chain.head).balance(user.address)
            assert chain.state().balance(user.address) == balance
        BeaconChain(store, (first.block, first.nodes), net.rules)
        begun = rewinding.finish(store, shard)
        assert (begun is None) == (
            cuts == 0
        )  # nothing was decided on this disk before the first write
        if begun is not None:
            assert dump(store) == history.expected(shard, begun.height)
        cuts += 1
    assert cuts > 4


def test_going_back_to_the_head_undoes_what_the_beacon_has_not_taken_in() -> None:
    history = History(5, 40)
    head, shard = history.net.beacon.head.height, history.net.ids[0]
    history.net.make_block(shard)
    store = history.disk(shard)
    begin_era(store, history.record(head))
    rewinding.finish(store, shard)
    assert dump(store) == history.expected(shard, head)
