"""One node of the network: a process with two hosts, and what its runtime does besides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol, TypeVar

from consensus.evidence import Evidence
from consensus.types import Certificate
from node.beacon.block import BeaconBlock
from node.beacon.chain import BeaconChain
from node.beacon.rules import BeaconRules
from node.chains.anchors import Anchors
from node.chains.beacon_app import BeaconService
from node.chains.shard_app import ShardService
from node.network.crosslink_publisher import FIRST_REPEAT, CrosslinkPublisher
from node.network.evidence_exchange import EvidenceExchange
from node.network.lane_puller import MAX_MESSAGES, LanePuller
from node.primitives.basics import Address, ShardId
from node.primitives.dev_operation import DevOperation
from node.primitives.errors import DecodeError, InvalidTransaction
from node.primitives.genesis import Genesis
from node.primitives.message import Message
from node.primitives.transaction import Transaction
from node.shard.chain import ShardChain
from node.shard.pool import PoolRejected, TransactionPool
from node.shard.run import ExecutedBlock
from tests.simulation.devnet.chains import (
    BeaconNetChain,
    BlockHost,
    DevnetChain,
    FaultyBlockHost,
    ShardNetChain,
)
from tests.simulation.devnet.plan import Plan, Slyness
from tests.simulation.simnet.disk import MemoryDisk
from tests.simulation.simnet.network import Network
from tests.simulation.simnet.observer import Violation
from tests.simulation.simnet.scheme import address
from tests.support.forgetful_store import ForgetfulStore
from tests.support.memory_store import MemoryStore

T = TypeVar("T")

PULL_EVERY = 0.2
"""Seconds between two looks at the inbound lanes, times the scale."""
SHORT_PAGE = 0.3
"""Share of the answers about lanes that end somewhere."""


class World(Protocol):
    """What a node sees of the network that it is part of (see ``net.Devnet``)."""

    plan: Plan
    genesis: Genesis
    rules: BeaconRules
    first: tuple[BeaconBlock, dict[bytes, bytes]]
    network: Network
    beacon: BeaconNetChain
    shards: list[ShardNetChain]
    ids: list[ShardId]
    nodes: list[Node]
    stats: Counter[str]

    def nodes_of(self, shard: ShardId) -> list[Node]: ...

    def make_chain(self, store: MemoryStore, shard: ShardId) -> ShardChain: ...

    def shard_committed(self, node: Node, executed: ExecutedBlock) -> None: ...

    def beacon_committed(self, node: Node, block: BeaconBlock) -> None: ...


class Inline:
    """The block thread: there is none."""

    async def block(self, job: Callable[[], T]) -> T:
        """The job, here and now."""
        return job()


class Node:
    """What is durable (stores, the hosts' disks), and what a process makes of it.

    ``beacon`` and ``shard`` are the services of this life, as in ``node.runtime.parts.Era``; ``habits`` what it
    does besides: (period, what makes the action in a new life).
    """

    def __init__(self, net: World, index: int, key: int, home: ShardId) -> None:
        self.net, self.index, self.key, self.home = net, index, key, home
        self.address = Address(address(key))
        self.sly = net.plan.sly.get(index, frozenset())
        behaviours = dict(net.plan.scenario.faulty).get(index)
        self.faulty = behaviours is not None
        self.stores = ForgetfulStore(), ForgetfulStore()
        self.alive = False
        self.lives = 0
        self.clock_ahead = 0
        self.habits: list[tuple[float, Callable[[], Callable[[], None]]]] = []
        self._repeated = -1

        def host(chain: DevnetChain) -> BlockHost:
            disk = MemoryDisk()
            if behaviours is None:
                made = BlockHost(self, chain, disk)
            else:
                made = FaultyBlockHost(self, chain, disk, behaviours)
            chain.hosts[index] = made
            return made

        self.hosts = (host(net.beacon), host(net.shards[home]))
        self.beacon_host, self.shard_host = self.hosts

    @property
    def stats(self) -> Counter[str]:
        """Counts of the whole network."""
        return self.net.stats

    # ------------------------------------------------------------------ life and death

    def boot(self) -> None:
        """Start the process, unless it runs."""
        if self.alive:
            return
        self.alive = True
        self.lives += 1
        self.open()
        for host in self.hosts:
            if self.alive:
                host.start_process()
        if self.alive:
            self.every(PULL_EVERY, self.pull)
            self.every(FIRST_REPEAT, self.repeat)
            for period, habit in self.habits:
                self.every(period, habit())

    def die(self) -> None:
        """The process ends at once."""
        self.alive = False
        self.lives += 1
        for host in self.hosts:
            if host.alive:
                host.end_process()
        for number, store in enumerate(self.stores):
            store.power_fails(self.net.network.dice.unit(f"{self.index} {self.lives} {number}"))

    def stop(self) -> None:
        """Somebody kills it."""
        if self.alive:
            self.die()

    def later(self, delay: float, action: Callable[[], None]) -> None:
        """Do something after a delay (seconds), if the process still runs then."""
        life = self.lives
        self.net.network.at(delay, lambda: action() if self.lives == life else None)

    def every(self, period: float, action: Callable[[], None]) -> None:
        """Do something again and again in this life."""

        def again() -> None:
            action()
            self.later(period * scale, again)

        scale = self.net.plan.scenario.timeout_scale
        self.later(period * scale, again)

    def open(self) -> None:
        """The services of a life, as ``node.runtime.assembly`` puts them together."""
        net = self.net
        chain = BeaconChain(self.stores[0], net.first, net.rules)
        shard_chain = net.make_chain(self.stores[1], self.home)
        for host, height in zip(
            self.hosts, (chain.head.height, shard_chain.head.number), strict=True
        ):
            if height < len(host.chain):
                name = f"{host.world.name}{height + 1}"
                raise Violation("lost", f"node {self.index} has forgotten its decided block {name}")
        self.beacon = BeaconService(chain=chain, proposer=self.address, now=self.now)
        self.shard = ShardService(
            chain=shard_chain,
            beacon=chain,
            beacon_gate=self.beacon.gate,
            pool=TransactionPool(),
            worker=Inline(),  # type: ignore[arg-type]
            coinbase=self.address,
            withhold=lambda: Slyness.WITHHOLDS_ARRIVALS in self.sly,
            now=self.now,
            stopwatch=self.now,  # nothing takes any time here
        )
        self.anchors = Anchors(chain, self.beacon.gate)
        self.publisher = CrosslinkPublisher(
            shard=self.shard,
            beacon=self.beacon,
            me=self.address,
            send=self._send_crosslink,
            on_new=self.beacon_host.wake,
        )
        self.evidence = EvidenceExchange(
            beacon=self.beacon,
            broadcast=partial(self._to_beacon, "evidence", self._evidence_at),
            send=lambda peer, frame: True,
            on_new=self.beacon_host.wake,
        )
        self.puller = LanePuller(
            service=self.shard,
            beacon=chain,
            router=None,  # type: ignore[arg-type]
            on_arrivals=self.shard_host.wake,
        )
        self.beacon.on_evidence.append(self.evidence.found)
        self.beacon.on_commit.append(self._beacon_committed)
        self.shard.on_commit += [self._shard_committed, self.publisher.committed]

    def now(self) -> float:
        """Seconds since the epoch."""
        return self.net.genesis.timestamp + self.net.network.now + self.clock_ahead

    def _shard_committed(self, executed: ExecutedBlock, certificate: Certificate) -> None:
        self.net.shard_committed(self, executed)

    def _beacon_committed(self, block: BeaconBlock, certificate: Certificate) -> None:
        self.net.beacon_committed(self, block)
        self.shard_host.wake()

    # ------------------------------------------------------------------ to the beacon

    def _to_beacon(self, what: str, hear: Callable[[Node, bytes], None], raw: bytes) -> None:
        label = f"{what} {raw[-8:].hex()}"
        for index in self.net.beacon.audience:
            if index != self.index:
                peer = self.net.nodes[index]
                self.net.network.deliver(self.index, index, label, partial(hear, peer, raw))

    def _send_crosslink(self, raw: bytes) -> None:
        if Slyness.KEEPS_CROSSLINKS not in self.sly:
            self._to_beacon("crosslink", self._crosslink_at, raw)

    def _crosslink_at(self, peer: Node, raw: bytes) -> None:
        if peer.alive:
            peer.publisher.received(str(self.index), raw)

    def _evidence_at(self, peer: Node, raw: bytes) -> None:
        if peer.alive:
            peer.evidence.received(str(self.index), raw)

    def accuse(self, chain: int, evidence: Evidence) -> None:
        """Our engine has seen a contradiction."""
        self.evidence.equivocation(chain, evidence.first, evidence.second)

    def repeat(self) -> None:
        """What the beacon does not take is said again, as the runtime's tasks do it."""
        missing = self.publisher.missing()
        if missing and missing.start == self._repeated:
            for height in missing:
                self.publisher.repeat(height)
        self._repeated = missing.start
        if not self.faulty:
            for frame in self.evidence.frames():
                self._to_beacon("evidence", self._evidence_at, frame)

    # ------------------------------------------------------------------ lanes

    def pull(self) -> None:
        """Ask some node of each source for what the beacon has finalised of its lane."""
        net = self.net
        for src, lane in self.shard.lanes.items():
            goal = self.puller.goal(src)
            if goal is None:
                continue
            start = lane.position.count
            name = f"lane {src} of {self.index} from {start} at {net.network.now}"
            peer = net.network.dice.choice(name, net.nodes_of(src))
            hear = partial(peer.serve, self, self.lives, start, goal - start)
            net.network.question(self.index, peer.index, name, hear)

    def serve(self, asker: Node, life: int, start: int, count: int) -> None:
        """A page of what our shard has sent."""
        if not self.alive:
            return
        network = self.net.network
        name = f"page for {asker.index} from {start} at {network.now}"
        rows = list(self.shard.ledger.sent_range(asker.home, start, min(count, MAX_MESSAGES)))
        short, where, lie, _ = network.dice.roll(f"shape of {name}")
        if short < SHORT_PAGE:
            rows = rows[: int(where * (len(rows) + 1))]
        if Slyness.LIES_ABOUT_LANES in self.sly and rows:
            rows = _lie(rows, lie)
        hear = partial(asker.pulled, self, life, start, rows)
        network.question(self.index, asker.index, name, hear)

    def pulled(self, peer: Node, life: int, start: int, rows: Sequence[bytes]) -> None:
        """A page has come."""
        lane = self.shard.lanes[peer.home]
        if life != self.lives or lane.position.count != start:
            return
        checkpoints = self.beacon.ledger.state.lane(peer.home, self.home).checkpoints
        try:
            taken = lane.extend(map(Message.decode, rows), self.home, checkpoints)
        except DecodeError as error:
            self.net.stats["lies"] += 1
            if not peer.faulty:
                raise Violation(
                    "lane", f"node {peer.index} is taken for a liar: {error}"
                ) from error
            return
        if taken:
            self.shard_host.wake()

    # ------------------------------------------------------------------ users

    def submit(self, item: Transaction | DevOperation) -> None:
        """As ``TransactionGossip.submit``."""
        try:
            if isinstance(item, DevOperation):
                self.shard.add_operation(item)
            else:
                self._pool(item)
        except InvalidTransaction:
            self.net.stats["refused"] += 1
        else:
            self.shard_host.wake()

    def _pool(self, tx: Transaction) -> None:
        service = self.shard
        service.check_static(tx)
        reason = service.why_waiting(tx)
        if reason is not None and tx.hash not in service.pool:
            raise PoolRejected(reason, "lane")
        service.pool.add(tx, service.accounts(), service.next_base_fee())
        service.pool_changed()


def _lie(rows: list[bytes], lie: float) -> list[bytes]:
    """Something that is not what the lane holds."""
    place = int(lie * 1000) % len(rows)
    match int(lie * 4):
        case 0:
            return rows[:place] + rows[place + 1 :]
        case 1:
            return [*rows[:place], rows[place], *rows[place:]]
        case 2:
            return rows[::-1]
        case _:
            changed = bytearray(rows[place])
            changed[int(lie * 1e6) % len(changed)] ^= 1
            return [*rows[:place], bytes(changed), *rows[place + 1 :]]
