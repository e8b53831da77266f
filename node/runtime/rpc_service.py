"""The JSON-RPC endpoint of a node: sources of all shards, the views over them, the server."""

from functools import partial
from typing import TYPE_CHECKING

import msgspec
import trio

from node import dashboard, wire
from node.concurrency.bell import Bell
from node.concurrency.height_gate import Started
from node.primitives.genesis import parse_address
from node.query.codec import serve
from node.query.local import LocalSource
from node.query.port import ShardSource
from node.query.remote import RemoteSource
from node.runtime.report.audit_watch import AuditWatch
from node.runtime.report.metrics import Metrics
from node.runtime.report.node_samples import RpcCounts
from node.shard.run import ExecutedBlock
from node.version import client_version
from node.view.backend import NodeBackend
from node.view.faults import FaultControl
from node.view.following.audit import AuditReport
from node.view.following.methods import AtollView
from node.view.following.proving import Prover
from node.view.network import NetworkView
from node.view.shard import ShardView
from node.view.shards import Shards
from node.view.wallet.dev_keys import load_dev_keys
from node.view.wallet.wallet import Wallet
from rpc.dispatch import Dispatcher
from rpc.errors import ResourceUnavailable
from rpc.http import HttpRequest, HttpResponse
from rpc.limits import Limits
from rpc.server import Server
from rpc.threads import Threads

if TYPE_CHECKING:
    from node.runtime.node import Node

HEIGHT_PATIENCE = 3.0  # seconds a question may wait for a height this node does not have yet


class RpcService:
    """What users and other nodes may ask this node. The server and what it keeps for its clients outlive the
    chains that they are shown."""

    def __init__(self, node: "Node") -> None:
        self._node = node
        self._wallet = _wallet(node)
        self._local: LocalSource
        self._aside = Threads(1)  # long questions of other nodes
        self._atoll: AtollView
        config, limits = node.config.rpc, Limits()
        self.counts = RpcCounts()
        self.dispatcher = Dispatcher(
            self._backend(),
            limits,
            observe=self.counts.observe,
            replaceable=node.genesis.params.dev_methods,
        )
        self._metrics = Metrics(node, AuditWatch(self._audited, node.status.view_head))
        self._ready = node.status.healthy.report
        self.server = Server(
            self.dispatcher,
            host=config.host,
            port=config.port,
            limits=limits,
            cors_origins=config.cors_origins,
            allowed_hosts=config.allowed_hosts,
            routes={
                "/metrics": self._scraped,
                "/readyz": self._readyz,
                **dashboard.routes(),
            },
        )

    def pause(self) -> None:
        """The chains go back: what is asked from now on, or has not been answered, waits for `renew`."""
        self.dispatcher.pause()

    def renew(self) -> None:
        """Go on with the chains that the node has now; clients that follow them go back with them."""
        node = self._node
        height = node.status.view_head()
        heads: dict[int | None, int] = dict(enumerate(node.beacon_chain.tips_at(height)))
        self._wallet.forget_nonces()
        self._metrics.renew()
        self.dispatcher.go_on(self._backend(), {**heads, None: height})

    def _backend(self) -> NodeBackend:
        node = self._node
        genesis, beacon, status = node.genesis, node.beacon_chain, node.status
        gate = node.shard_service.gate
        self._local = LocalSource(
            node.shard_chain,
            node.gossip,
            wait_height=lambda height: gate.reach(height, patience=HEIGHT_PATIENCE),
            run_call=node.worker.call,
            content=node.shard_service.pool.content,
            anchor_of=node.shard_service.anchor_of,
            directory=node.shard_service.directory,
            show=node.frontier.show,
        )
        bell, cached = Bell(), node.config.cache.blocks_mib << 20
        listener = node.beside.listener
        node.beacon.on_commit.append(listener("news", lambda _block, _certificate: bell.ring()))
        node.shard_service.on_commit.append(
            listener("news", lambda executed, _: self._included(executed, bell))
        )
        sources: dict[int, ShardSource] = {
            shard: RemoteSource(
                shard, partial(node.ask_shard, shard), partial(node.ask_execution, shard)
            )
            for shard in genesis.shard_ids()
            if shard != node.shard
        }
        sources[node.shard] = self._local
        shards = Shards(sources, own=node.shard)
        self._atoll = AtollView(
            beacon,
            shards,
            head_height=status.view_head,
            committees={
                shard: [v.name for v in genesis.committee(shard)] for shard in genesis.shard_ids()
            },
            genesis_supply=sum(genesis.balances().values()),
            params=genesis.params,
        )
        return NodeBackend(
            network=NetworkView(
                beacon,
                shards,
                chain_id=genesis.chain_id,
                head_height=status.view_head,
                cached_bytes=cached,
                recent=self._local.recent,
                pooled=node.shard_service.pool.__contains__,
                catch_up=node.frontier.try_reach,
            ),
            shards={
                shard: ShardView(
                    shard,
                    beacon,
                    shards,
                    chain_id=genesis.chain_id,
                    cached_bytes=cached // 4,
                    recent=self._local.recent,
                )
                for shard in genesis.shard_ids()
            },
            atoll=self._atoll,
            prover=Prover(
                genesis, beacon, shards, head_height=status.view_head, checker=beacon.rules.checker
            ),
            beacon=beacon,
            sources=shards,
            status=status,
            wallet=self._wallet,
            bell=bell,
            highest=lambda: node.syncers[wire.BEACON].highest(),
            chain_id=genesis.chain_id,
            version=client_version(),
            coinbase=node.keys.signing.address if node.keys.signing else None,
            faults=FaultControl(
                node.faults,
                accuse=node.beacon.accuse,
                config=node.config,
                allowed=genesis.params.dev_methods,
            ),
            dev_methods=genesis.params.dev_methods,
            snapshots=node.snapshots,
        )

    def _included(self, executed: ExecutedBlock, bell: Bell) -> None:
        for _, tx in executed.decoded:
            self._local.journal.note(tx.hash)
        bell.ring()

    async def _audited(self, number: int) -> AuditReport:
        """Raises RpcError."""
        atoll = self._atoll
        try:
            return await atoll.audited(number)
        except Exception:
            if atoll is self._atoll:
                raise
            raise ResourceUnavailable("the network was taken back meanwhile") from None

    async def _scraped(self, request: HttpRequest) -> HttpResponse:
        await self.dispatcher.served()
        return await self._metrics.route(request)

    async def _readyz(self, _request: HttpRequest) -> HttpResponse:
        await self.dispatcher.served()
        ready, report = self._ready()
        return HttpResponse(200 if ready else 503, msgspec.json.encode(report))

    async def serve_query(self, payload: bytes, executes: bool) -> bytes:
        """Answer another node's question about our shard, which `executes` something or does not."""
        return await serve(self._local, payload, self._aside, executes=executes)

    async def run(self, *, task_status: Started) -> None:
        async with trio.open_nursery() as nursery:
            for name, task in (("lag", self._metrics.watch_lag), ("audit", self._metrics.audit)):
                nursery.start_soon(self._node.beside.run, name, task)
            await nursery.start(self.server.run)
            task_status.started()


def _wallet(node: "Node") -> Wallet:
    """The development accounts of the configuration with their keys, unless they are not to be used."""
    addresses: tuple[bytes, ...] = ()
    if node.config.rpc.expose_accounts:
        addresses = tuple(parse_address(address) for address in node.config.dev_accounts)
    keys = load_dev_keys(node.config.genesis, addresses)
    return Wallet(keys, addresses=addresses, chain_id=node.genesis.chain_id)
