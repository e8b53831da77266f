"""Construction of a node's parts: those that stay, and those of one era."""

import time
from collections.abc import Callable
from functools import lru_cache, partial

from consensus.types import Address as ValidatorAddress
from consensus.types import Certificate
from node import wire
from node.beacon.block import BeaconBlock
from node.beacon.chain import BeaconChain
from node.beacon.eras import EraRecord
from node.beacon.rules import BeaconRules
from node.beacon.transition import genesis_block
from node.chains import rewinding
from node.chains.beacon_app import BeaconService
from node.chains.network_head import NetworkHead
from node.chains.shard_app import ShardService
from node.concurrency.conveniences import Conveniences
from node.concurrency.worker import Worker, on_disk
from node.config.live_faults import LiveFaults
from node.config.node_config import NodeConfig
from node.engine.sync import Syncer
from node.network.crosslink_publisher import CrosslinkPublisher
from node.network.era_follower import EraFollower
from node.network.era_network import EraNetwork
from node.network.evidence_exchange import EvidenceExchange
from node.network.gossip import TransactionGossip
from node.network.lane_puller import LanePuller
from node.network.outbound import Outbound
from node.network.router import Router
from node.network.topology import Topology
from node.primitives.basics import ZERO_ADDRESS, Address, ShardId
from node.primitives.errors import UserError
from node.primitives.genesis import load_genesis
from node.primitives.keys import KeccakSecp256k1
from node.query.frontier import Frontier
from node.query.local import LocalSource
from node.runtime.hosts import Ties, open_hosts
from node.runtime.inbound import Inbound
from node.runtime.parts import CurrentEra, Era, Fixed, Hosts
from node.runtime.role import check_role, load_keys
from node.shard.chain import ShardChain
from node.shard.genesis import shard_genesis
from node.shard.pool import TransactionPool
from node.shard.run import ExecutedBlock
from node.storage.level import LevelStore
from node.storage.quota import Quota
from node.telemetry.chain_log import ChainLog
from node.telemetry.node_spans import NodeSpans
from node.version import client_version
from p2p.types import PeerId, PeerSpec
from rpc.times import HEIGHT


class CachedChecker:
    """Recovered signatures are kept a while: votes come again in certificates and crosslinks."""

    def __init__(self) -> None:
        self._recover = lru_cache(maxsize=8192)(KeccakSecp256k1().recover)

    def recover(self, preimage: bytes, signature: bytes) -> ValidatorAddress | None:
        address = self._recover(preimage, signature)
        return None if address is None else ValidatorAddress(address)


def assemble_fixed(config: NodeConfig, era: CurrentEra) -> Fixed:
    """Make the parts that stay. Their network passes on to `era` what peers send.

    The caller closes the store. Raises UserError.
    """
    genesis, keys = load_genesis(config.genesis), load_keys(config)
    topology = Topology(genesis=genesis, me=keys.identity.peer_id)
    shard, is_beacon = check_role(config, keys, topology)
    quota = Quota(config.data_dir, config.faults.disk)
    spans = NodeSpans.of(config, keys.address)
    inbound = Inbound(topology, shard=shard, is_beacon=is_beacon, era=era)
    network = EraNetwork(
        era=lambda: era().beacon_chain.eras.current,
        identity=keys.identity,
        listen=config.p2p.listen,
        network_id=genesis.hash[:8],
        channels=wire.CHANNELS,
        peers=[
            PeerSpec(peer_id=PeerId(p.peer_id), address=p.address, name=p.name)
            for p in config.peers
        ],
        methods=inbound.methods(),
        era_methods=inbound.era_methods(),
        on_frame=inbound.on_frame,
        on_peer=inbound.on_peer,
        on_wanted=inbound.on_wanted,
        agent=client_version(),
    )
    try:
        store = LevelStore.open(
            config.data_dir / "chain", cache_mib=config.cache.database_mib, quota=quota
        )
    except BaseException:
        if spans is not None:
            spans.close()
        raise
    return Fixed(
        config=config,
        genesis=genesis,
        keys=keys,
        topology=topology,
        shard=shard,
        is_beacon=is_beacon,
        network=network,
        store=store,
        quota=quota,
        checker=CachedChecker(),
        faults=LiveFaults(config.faults),
        worker=Worker(),
        beside=Conveniences(),
        spans=spans,
    )


def assemble_era(
    fixed: Fixed,
    *,
    rewound: bool,
    end: Callable[[EraRecord], None],
    grew: Callable[[str], None],
) -> Era:
    """Make the parts of an era over the chains in the store, once what a rewind undoes is deleted.

    `end` is called with the record of a later era, `grew` with "shard" or "beacon" for each block committed.
    The caller closes the hosts.
    """
    rewinding.finish(fixed.store, fixed.shard)
    shard_chain, beacon_chain = _chains(fixed)
    beacon = BeaconService(
        chain=beacon_chain,
        proposer=_coinbase(fixed),
        now=fixed.faults.time,
        on_disk=on_disk,
        on_rewind=end,
    )
    shard = ShardService(
        chain=shard_chain,
        beacon=beacon_chain,
        beacon_gate=beacon.gate,
        pool=TransactionPool(),
        worker=fixed.worker,
        coinbase=_coinbase(fixed),
        now=fixed.faults.time,
        stopwatch=time.perf_counter,
        withhold=lambda: fixed.faults.current.withhold,
    )
    head = NetworkHead(beacon_chain, shard_chain)
    outbound = Outbound(fixed.network, fixed.topology, fixed.shard)
    evidence = EvidenceExchange(
        beacon=beacon,
        broadcast=partial(outbound.to_beacon, wire.EVIDENCE.id),
        send=partial(outbound.send, wire.EVIDENCE.id),
        on_new=lambda: hosts.beacon.notify_work(),
    )
    ties = Ties(
        outbound=outbound,
        on_ahead=lambda chain, peer, height: syncers[chain].heard(peer, height),
        accuse=evidence.equivocation,
    )
    hosts: Hosts = open_hosts(fixed, ties, shard=shard, beacon=beacon)
    syncers: dict[int, Syncer] = {
        chain: Syncer(
            host=host,
            ask=lambda peer, payload, timeout: outbound.ask(peer, wire.BLOCKS, payload, timeout),
            announce=partial(outbound.announce, chain),
            connected=lambda: fixed.network.connected,
        )
        for chain, host in hosts.by_chain.items()
    }
    router = Router(fixed.network, fixed.topology)
    frontier = Frontier(
        committee=beacon.validators,
        me=None if fixed.keys.address is None else ValidatorAddress(fixed.keys.address),
        reached=hosts.beacon.reached,
        shown=head.height,
        ask=outbound.ask_height,
    )
    gossip = TransactionGossip(
        service=shard,
        frontier=frontier,
        broadcast=partial(outbound.to_shard, wire.TRANSACTIONS.id),
        send=partial(outbound.send, wire.TRANSACTIONS.id),
        on_new=hosts.shard.notify_work,
        on_admitted=None
        if fixed.spans is None
        else fixed.beside.listener("spans", fixed.spans.admitted),
        alone=not fixed.topology.shard_peers(fixed.shard),
    )
    era = Era(
        rewound=rewound,
        shard_chain=shard_chain,
        beacon_chain=beacon_chain,
        shard=shard,
        beacon=beacon,
        head=head,
        hosts=hosts,
        syncers=syncers,
        outbound=outbound,
        router=router,
        follower=EraFollower(
            network=fixed.network, beacon=beacon_chain, host=hosts.beacon, begin=end
        ),
        publisher=CrosslinkPublisher(
            shard=shard,
            beacon=beacon,
            me=fixed.keys.address,
            send=partial(outbound.to_beacon, wire.CROSSLINKS.id),
            on_new=hosts.beacon.notify_work,
        ),
        evidence=evidence,
        frontier=frontier,
        gossip=gossip,
        puller=LanePuller(
            service=shard,
            beacon=beacon_chain,
            router=router,
            on_arrivals=hosts.shard.notify_work,
            held=lambda: fixed.faults.current.lanes,
        ),
        local=LocalSource(
            shard_chain,
            gossip,
            wait_height=lambda height: shard.gate.reach(height, patience=HEIGHT),
            run_call=fixed.worker.call,
            content=shard.pool.content,
            anchor_of=shard.anchor_of,
            directory=shard.directory,
            show=frontier.show,
        ),
    )
    _listen(fixed, era, grew)
    return era


def _coinbase(fixed: Fixed) -> Address:
    return ZERO_ADDRESS if fixed.keys.address is None else Address(fixed.keys.address)


def _chains(fixed: Fixed) -> tuple[ShardChain, BeaconChain]:
    genesis, config = fixed.genesis, fixed.config
    rules = BeaconRules.of(genesis, fixed.checker)
    headers = {ShardId(s): shard_genesis(genesis, ShardId(s))[0] for s in genesis.shard_ids()}
    first = genesis_block(genesis, headers)
    nodes = config.cache.trie_nodes
    try:
        return (
            ShardChain(fixed.store, genesis, fixed.shard, cache_nodes=nodes),
            BeaconChain(fixed.store, (first.block, first.nodes), rules, cache_nodes=nodes),
        )
    except UserError as error:  # a chain does not know where its store is
        raise UserError(f"{config.data_dir}: {error}") from None


def _listen(fixed: Fixed, era: Era, grew: Callable[[str], None]) -> None:
    """Register the listeners of commits and evidence. They are called in this order."""

    def beacon_committed(block: BeaconBlock, certificate: Certificate) -> None:
        validators = era.beacon.validators()
        outside = fixed.topology.followers_of_beacon(validators)
        if outside:
            message = wire.DecidedMessage(certificate=certificate, value=block.encoded)
            era.outbound.consensus(wire.BEACON, outside, message)
        era.outbound.tell_followers(wire.BEACON, block.header.height, validators)
        era.puller.wake()
        era.hosts.shard.notify_work()
        grew("beacon")
        era.head.advance()

    def shard_committed(executed: ExecutedBlock, certificate: Certificate) -> None:
        era.publisher.committed(executed, certificate)
        height = executed.header.number
        era.outbound.tell_followers(era.shard.chain, height, era.shard.validators())
        era.puller.wake()
        grew("shard")
        era.head.advance()

    era.head.on_rise += [era.frontier.grown, era.gossip.grown]
    era.beacon.on_evidence.append(era.evidence.found)
    era.beacon.on_commit.append(beacon_committed)
    listener = fixed.beside.listener
    log = ChainLog(era.shard.context.tag.decode())
    era.beacon.on_commit.append(listener("log of blocks", log.beacon_block))
    era.shard.on_commit.append(listener("log of blocks", log.shard_block))
    if fixed.spans is not None:
        fixed.spans.listen(era.shard, era.beacon, fixed.beside)
    era.shard.on_commit.append(shard_committed)
