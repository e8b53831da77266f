"""One node, put together: storage, chains, consensus, network, RPC. The only place that knows them all."""

import time
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import structlog
import trio

from consensus.types import Address as ValidatorAddress
from consensus.types import Certificate
from node import wire
from node.beacon.block import BeaconBlock
from node.beacon.chain import BeaconChain
from node.beacon.era_store import begin_era, era_record
from node.beacon.eras import EraRecord
from node.beacon.rewind import Rewind
from node.beacon.rules import BeaconRules
from node.beacon.transition import genesis_block
from node.chains import rewinding
from node.chains.beacon_app import BeaconService
from node.chains.shard_app import ShardService
from node.concurrency.conveniences import Conveniences
from node.concurrency.height_gate import Started
from node.concurrency.worker import Worker, limit_recursion, on_disk
from node.config.faults import NodeFaults
from node.config.keyfile import load_validator_key
from node.config.live_faults import LiveFaults, link_faults
from node.config.node_config import NodeConfig
from node.engine.sync import Syncer
from node.network.crosslink_publisher import CrosslinkPublisher
from node.network.era_follower import EraFollower
from node.network.era_network import EraNetwork
from node.network.evidence_exchange import EvidenceExchange
from node.network.gossip import TransactionGossip
from node.network.lane_puller import LanePuller
from node.network.router import Router
from node.network.topology import Topology
from node.primitives.basics import ZERO_ADDRESS, Address, ShardId
from node.primitives.errors import DecodeError, UserError
from node.primitives.genesis import load_genesis, parse_address
from node.primitives.keys import KeccakSecp256k1, SigningKey
from node.query.frontier import Frontier
from node.runtime.dispatch import Traffic
from node.runtime.engine_set import Engines
from node.runtime.report.status import StatusReport
from node.runtime.rpc_service import RpcService
from node.runtime.snapshots import Snapshots
from node.shard.chain import ShardChain
from node.shard.genesis import shard_genesis
from node.shard.pool import TransactionPool
from node.shard.pool_file import PoolFile
from node.shard.run import ExecutedBlock
from node.storage.kv import KeyValueStore
from node.storage.level import LevelStore
from node.storage.quota import Quota
from node.telemetry.chain_log import ChainLog
from node.telemetry.node_spans import NodeSpans
from node.version import client_version
from p2p.identity import Identity
from p2p.types import PeerId, PeerSpec
from rpc.caller import caller_number

CLOSING_SECONDS = 3.0  # for executions that still run


class CachedChecker:
    """Recovered signatures are kept a while: votes come again in certificates and crosslinks."""

    def __init__(self) -> None:
        self._recover = lru_cache(maxsize=8192)(KeccakSecp256k1().recover)

    def recover(self, preimage: bytes, signature: bytes) -> ValidatorAddress | None:
        address = self._recover(preimage, signature)
        return None if address is None else ValidatorAddress(address)


@dataclass(frozen=True, slots=True)
class Keys:
    """What this node signs with; both None for a follower."""

    signing: SigningKey | None
    identity: Identity


class Node:
    """A composition: `run` starts the tasks and owns them; `close` releases the disk.

    Where the network is taken back, the chains and all that works on them are put together anew, from what
    the database then holds. The database, the network and the JSON-RPC stay.
    """

    def __init__(self, config: NodeConfig) -> None:
        self.config = config
        self.genesis = load_genesis(config.genesis)
        self.keys = _load_keys(config)
        self.topology = Topology(genesis=self.genesis, me=self.keys.identity.peer_id)
        self.shard, self.is_beacon = self._check_role()
        self._log = structlog.get_logger()
        self._engines: Engines | None = None
        self._opened: KeyValueStore | None = None
        self._checker = CachedChecker()
        self._next: EraRecord | None = None
        self._ended = trio.Event()  # the era of these services
        self.rewound = False  # since this process was started
        self.worker = Worker()
        self.beside = Conveniences()
        self.faults = LiveFaults(config.faults)
        self.spans = NodeSpans.of(config, self.keys.signing.address if self.keys.signing else None)
        self._pool_file = PoolFile(config.data_dir / "pool", bytes(self.genesis.hash))
        self._quota = Quota(config.data_dir, config.faults.disk)
        try:
            self._opened = self.store = LevelStore.open(
                config.data_dir / "chain",
                cache_mib=config.cache.database_mib,
                quota=self._quota,
            )
            self.traffic = Traffic(self, lambda: self.network)
            self.snapshots = Snapshots(self)
            self._build_network()
            self._build_services()
            self.status = StatusReport(self)
            self.rpc = RpcService(self)
            self.faults.on_change.append(self._faults_changed)
            if self.faults.current.any:
                self.faults.announce()
        except BaseException:
            self.close()
            raise

    # ------------------------------------------------------------------ parts

    def _check_role(self) -> tuple[ShardId, bool]:
        """(shard, member of the beacon committee), checked against the genesis. Raises UserError."""
        validator = self.topology.self_validator()
        if self.keys.signing is None:
            if validator is not None:
                raise UserError(
                    f"{self.config.name}: the identity belongs to validator {validator.name}, "
                    "but no validator_key is configured; a follower needs an identity of its own"
                )
            return ShardId(self.config.shard), False
        if validator is None:
            raise UserError(
                f"{self.config.name}: the genesis {self.config.genesis} knows no validator with "
                f"the peer id {self.topology.me}; is identity_key the one it was made with?"
            )
        if parse_address(validator.address) != self.keys.signing.address:
            raise UserError(
                f"{self.config.name}: the genesis expects validator {validator.address}, the key "
                f"in {self.config.validator_key} is 0x{self.keys.signing.address.hex()}"
            )
        return ShardId(validator.shard), validator.beacon

    def _build_services(self) -> None:
        """All that belongs to one era."""
        rewinding.finish(self.store, self.shard)
        self._build_chains()
        self._build_consensus()
        self._connect()

    def _build_chains(self) -> None:
        genesis = self.genesis
        rules = BeaconRules.of(genesis, self._checker)
        headers = {ShardId(s): shard_genesis(genesis, ShardId(s))[0] for s in genesis.shard_ids()}
        first = genesis_block(genesis, headers)
        try:
            nodes = self.config.cache.trie_nodes
            self.shard_chain = ShardChain(self.store, genesis, self.shard, cache_nodes=nodes)
            self.beacon_chain = BeaconChain(
                self.store, (first.block, first.nodes), rules, cache_nodes=nodes
            )
        except UserError as error:  # a chain does not know where its store is
            raise UserError(f"{self.config.data_dir}: {error}") from None
        me = Address(self.keys.signing.address) if self.keys.signing else ZERO_ADDRESS
        self.beacon = BeaconService(
            chain=self.beacon_chain,
            proposer=me,
            now=self.faults.time,
            on_disk=on_disk,
            on_rewind=self._begin_era,
        )
        self.shard_service = ShardService(
            chain=self.shard_chain,
            beacon=self.beacon_chain,
            beacon_gate=self.beacon.gate,
            pool=TransactionPool(),
            worker=self.worker,
            coinbase=me,
            now=self.faults.time,
            stopwatch=time.perf_counter,
            withhold=lambda: self.faults.current.withhold,
        )

    def _build_consensus(self) -> None:
        self._engines = Engines(self, checker=self._checker, quota=self._quota)
        self.shard_host, self.beacon_host = self._engines.shard, self._engines.beacon
        self.hosts = {host.app.chain: host for host in (self.shard_host, self.beacon_host)}

    def _build_network(self) -> None:
        self.network = EraNetwork(
            era=lambda: self.beacon_chain.eras.current,
            identity=self.keys.identity,
            listen=self.config.p2p.listen,
            network_id=self.genesis.hash[:8],
            channels=wire.CHANNELS,
            methods={
                wire.LANE: self.traffic.serve_lane,
                wire.QUERY: partial(self.traffic.serve_query, False),
                wire.EXECUTE: partial(self.traffic.serve_query, True),
                wire.HEIGHT: self.traffic.serve_height,
            },
            peers=[
                PeerSpec(peer_id=PeerId(p.peer_id), address=p.address, name=p.name)
                for p in self.config.peers
            ],
            era_methods={
                wire.BLOCKS: self.traffic.serve_blocks,
                wire.ERA: self.traffic.serve_era,
            },
            on_frame=self.traffic.on_frame,
            on_peer=self.traffic.on_peer,
            on_wanted=self.traffic.on_wanted,
            agent=client_version(),
        )

    def _connect(self) -> None:
        """The services around the chains, and who is told when something happens."""
        self.router = Router(lambda: self.network, self.topology)
        self.syncers = {
            chain: Syncer(
                host=host,
                ask=lambda peer, payload, timeout: self.traffic.ask(
                    peer, wire.BLOCKS, payload, timeout
                ),
                announce=partial(self.traffic.announce, chain),
                connected=lambda: self.network.connected,
            )
            for chain, host in self.hosts.items()
        }

        self.follower = EraFollower(
            network=self.network,
            beacon=self.beacon_chain,
            host=self.beacon_host,
            begin=self._begin_era,
        )
        self.publisher = CrosslinkPublisher(
            shard=self.shard_service,
            beacon=self.beacon,
            me=self.keys.signing.address if self.keys.signing else None,
            send=lambda raw: self.traffic.broadcast(
                wire.CROSSLINKS.id, raw, self.topology.beacon_peers()
            ),
            on_new=self.beacon_host.notify_work,
        )
        self.evidence = EvidenceExchange(
            beacon=self.beacon,
            broadcast=lambda raw: self.traffic.broadcast(
                wire.EVIDENCE.id, raw, self.topology.beacon_peers()
            ),
            send=lambda peer, frame: self.network.send(PeerId(peer), wire.EVIDENCE.id, frame),
            on_new=self.beacon_host.notify_work,
        )
        self.frontier = Frontier(
            committee=self.beacon.validators,
            me=ValidatorAddress(self.keys.signing.address) if self.keys.signing else None,
            reached=self.beacon_host.reached,
            shown=lambda: self.status.view_head(),
            ask=self.traffic.ask_height,
        )
        self.gossip = TransactionGossip(
            service=self.shard_service,
            frontier=self.frontier,
            broadcast=lambda frame: self.traffic.broadcast(
                wire.TRANSACTIONS.id, frame, self.topology.shard_peers(self.shard)
            ),
            send=lambda peer, frame: self.network.send(PeerId(peer), wire.TRANSACTIONS.id, frame),
            on_new=self.shard_host.notify_work,
            on_admitted=None
            if self.spans is None
            else self.beside.listener("spans", self.spans.admitted),
            alone=not self.topology.shard_peers(self.shard),
        )
        self.puller = LanePuller(
            service=self.shard_service,
            beacon=self.beacon_chain,
            router=self.router,
            on_arrivals=self.shard_host.notify_work,
            held=lambda: self.faults.current.lanes,
        )
        self.beacon.on_commit.append(self._beacon_committed)
        self.beacon.on_evidence.append(self.evidence.found)
        chain_log = ChainLog(self.shard_service.context.tag.decode())
        listener = self.beside.listener
        self.beacon.on_commit.append(listener("log of blocks", chain_log.beacon_block))
        self.shard_service.on_commit.append(listener("log of blocks", chain_log.shard_block))
        if self.spans is not None:
            self.spans.listen(self.shard_service, self.beacon, self.beside)
        self.shard_service.on_commit.append(self._shard_committed)

    # ------------------------------------------------------------------ events

    def _beacon_committed(self, block: BeaconBlock, certificate: Certificate) -> None:
        outside = self.topology.followers_of_beacon(self.beacon.validators())
        if outside:
            message = wire.DecidedMessage(certificate=certificate, value=block.encoded)
            self.traffic.consensus(wire.BEACON, outside, message)
        self.traffic.tell_followers(wire.BEACON, block.header.height)
        self.puller.wake()
        self.shard_host.notify_work()
        self.status.beacon_committed()

    def _shard_committed(self, executed: ExecutedBlock, certificate: Certificate) -> None:
        self.publisher.committed(executed, certificate)
        self.traffic.tell_followers(self.shard_service.chain, executed.header.number)
        self.puller.wake()
        self.status.shard_committed()

    def _faults_changed(self, faults: NodeFaults) -> None:
        ids = {peer.name: PeerId(peer.peer_id) for peer in self.config.peers}
        self.network.set_faults(link_faults(faults.links, ids), seed=faults.seed)
        self._quota.set_limit(faults.disk)
        self.puller.wake()

    async def ask_shard(self, shard: int, payload: bytes, timeout: float) -> bytes:  # noqa: ASYNC109
        """A question to some node of another shard. Raises ShardUnavailable, Refused where all are busy."""
        user = caller_number().to_bytes(wire.USER_BYTES, "big")
        return await self.router.ask(shard, wire.QUERY, user + payload, timeout)

    async def ask_execution(self, shard: int, payload: bytes, timeout: float) -> bytes:  # noqa: ASYNC109
        """The same for a question that is answered by executing something."""
        user = caller_number().to_bytes(wire.USER_BYTES, "big")
        return await self.router.ask(shard, wire.EXECUTE, user + payload, timeout, queues=True)

    # ------------------------------------------------------------------ eras

    def want_rewind(self, rewind: Rewind) -> None:
        """Somebody asks for the network to go back."""
        if self.is_beacon and self.beacon.want_rewind(rewind):
            self.beacon_host.notify_work()

    def era_record(self, era: int) -> bytes | None:
        """How the era began that a node of era `era` goes on with."""
        later = self.beacon_chain.eras.after(era)
        return None if later is None else era_record(self.store, later.era)

    def _begin_era(self, record: EraRecord) -> None:
        """The network was taken back: the services of this era end."""
        if self._next is None and record.era > self.beacon_chain.eras.current:
            self._next = record
            self._ended.set()

    async def _renew(self, record: EraRecord) -> None:
        """The disk and the services go back."""
        started = trio.current_time()
        await self.worker.blocks_done()  # what runs on writes to the chains
        for host in self.hosts.values():
            host.close()
        begin_era(self.store, record)
        await trio.to_thread.run_sync(rewinding.finish, self.store, self.shard)
        assert self._engines is not None
        self._engines.forget()
        self._engines.close()
        self._next, self._ended, self.rewound = None, trio.Event(), True
        self._build_services()
        self.status.rewound()
        self.rpc.renew()
        self._log.warning(
            "the network was taken back",
            era=record.era,
            height=record.rewind.height,
            seconds=round(trio.current_time() - started, 3),
        )

    # ------------------------------------------------------------------ life

    async def run(self, *, task_status: Started = trio.TASK_STATUS_IGNORED) -> None:
        """Run until cancelled."""
        limit_recursion()
        await self._bring_pool_back()
        async with trio.open_nursery() as nursery:
            await nursery.start(self.network.run)
            await nursery.start(self._live)
            if self.config.rpc.enabled:
                await nursery.start(self.rpc.run)
            task_status.started()

    async def _bring_pool_back(self) -> None:
        """What was in the pool when the node was stopped."""
        try:
            kept = self._pool_file.take(era=self.beacon_chain.eras.current)
        except (OSError, DecodeError) as error:
            self._log.warning("no transactions are brought back", reason=str(error))
            return
        if kept:
            count = await self.gossip.bring_back(kept)
            self._log.info(
                "transactions brought back", count=count, no_longer_valid=len(kept) - count
            )

    def keep_pool(self) -> None:
        """What users handed in and no block has goes to disk, to be brought back by the next `run`.

        To be called when `run` has ended because it was asked to."""
        own = self.gossip.own()
        try:
            self._pool_file.save(own, era=self.beacon_chain.eras.current)
        except OSError as error:
            self._log.error("transactions are lost", count=len(own), reason=str(error))

    async def _live(self, *, task_status: Started) -> None:
        """One era after the other."""
        while True:
            async with trio.open_nursery() as nursery:
                await nursery.start(self._serve_era)
                if self.rewound:
                    self.network.begin()
                    self.snapshots.begun()
                task_status.started()
                task_status = trio.TASK_STATUS_IGNORED
                await self._ended.wait()
                self.rpc.pause()
                self.network.pause()
                nursery.cancel_scope.cancel()
            assert self._next is not None
            await self._renew(self._next)

    async def _serve_era(self, *, task_status: Started) -> None:
        async with trio.open_nursery() as nursery:
            for host in self.hosts.values():
                await nursery.start(host.run)
            for chain, syncer in self.syncers.items():
                nursery.start_soon(syncer.run)
                nursery.start_soon(self.traffic.open_when_connected, chain)
            await nursery.start(self.frontier.run)
            nursery.start_soon(self.puller.run)
            nursery.start_soon(self.follower.run)
            for name, task in (
                ("publisher", self.publisher.run),
                ("evidence", self.evidence.run),
                ("gossip", self.gossip.run),
            ):
                nursery.start_soon(self.beside.run, name, task)
            task_status.started()

    def close(self, *, patience: float = CLOSING_SECONDS) -> bool:
        """Release files and databases, last opened first; call it when `run` has ended.

        False, and nothing is closed, if an execution is still going on after `patience` seconds.
        """
        if self.spans is not None:
            self.spans.close()
        if not self.worker.wait_idle(patience):
            return False
        if self._engines is not None:
            self._engines.close()
        if self._opened is not None:
            self._opened.close()
        return True


def _load_keys(config: NodeConfig) -> Keys:
    signing = load_validator_key(config.validator_key) if config.validator_key else None
    return Keys(signing=signing, identity=Identity.load(Path(config.identity_key)))
