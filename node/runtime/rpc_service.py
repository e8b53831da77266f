"""The JSON-RPC endpoint of a node: sources of all shards, the views over them, the server."""

from functools import partial

import msgspec
import trio

from consensus.types import Certificate
from node import dashboard, wire
from node.concurrency.head_signal import HeadSignal
from node.concurrency.height_gate import Started
from node.config.node_config import SEND_WAIT
from node.network.router import Router
from node.primitives.genesis import parse_address
from node.query.port import ShardSource
from node.query.remote import RemoteSource
from node.runtime.parts import CurrentEra, Fixed
from node.runtime.report import node_samples
from node.runtime.report.audit_watch import AuditWatch
from node.runtime.report.health import Health
from node.runtime.report.metrics import Metrics
from node.runtime.report.node_samples import RpcCounts
from node.runtime.report.status_report import StatusReport
from node.shard.run import ExecutedBlock
from node.version import client_version
from node.view.backend import NodeBackend
from node.view.fault_control import FaultControl
from node.view.following.audit import AuditReport
from node.view.following.methods import AtollView
from node.view.following.proving import Prover
from node.view.network_view import NetworkView
from node.view.ports import SnapshotKeeper
from node.view.shard_view import ShardView
from node.view.shards import Shards
from node.view.wallet.dev_keys import load_dev_keys
from node.view.wallet.wallet import Wallet
from p2p.types import MethodSpec
from rpc.caller import caller_number
from rpc.dispatch import Dispatcher
from rpc.errors import ResourceUnavailable
from rpc.http import HttpRequest, HttpResponse
from rpc.limits import Limits
from rpc.server import Server


class RpcService:
    """The services of this node to users and other nodes. The server and its state for clients outlive the
    chains that the clients are shown.
    """

    def __init__(
        self,
        fixed: Fixed,
        era: CurrentEra,
        *,
        status: StatusReport,
        healthy: Health,
        snapshots: SnapshotKeeper,
    ) -> None:
        self._fixed = fixed
        self._era = era
        self._status = status
        self._ready = healthy.report
        self._snapshots = snapshots
        self._wallet = _wallet(fixed)
        self._atoll: AtollView
        config, counts = fixed.config.rpc, RpcCounts()
        limits = Limits(send_wait=_send_wait(fixed))
        self.dispatcher = Dispatcher(
            self._backend(),
            limits,
            observe=counts.observe,
            replaceable=fixed.genesis.params.dev_methods,
        )
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
        self._metrics = Metrics(
            fixed,
            era,
            healthy=healthy,
            audit=AuditWatch(self._audited, lambda: era().head.height()),
            rpc=partial(node_samples.rpc, counts, self.server, self.dispatcher),
        )

    def pause(self) -> None:
        """Hold back requests while the chains go back: new ones, and those without an answer, wait
        for `renew`.
        """
        self.dispatcher.pause()

    def renew(self) -> None:
        """Go on with the chains that the node has now; clients that follow them go back with them."""
        era = self._era()
        height = era.head.height()
        heads: dict[int | None, int] = dict(enumerate(era.beacon_chain.tips_at(height)))
        self._wallet.forget_nonces()
        self._metrics.follow()
        self.dispatcher.go_on(self._backend(), {**heads, None: height})

    def _backend(self) -> NodeBackend:
        fixed, era = self._fixed, self._era()
        genesis, beacon, head, local = fixed.genesis, era.beacon_chain, era.head, era.local
        head_signal, cached = HeadSignal(), fixed.config.cache.blocks_mib << 20
        listener = fixed.beside.listener

        def included(executed: ExecutedBlock, _certificate: Certificate) -> None:
            for _, tx in executed.decoded:
                local.journal.note(tx.hash)
            head_signal.send()

        era.beacon.on_commit.append(
            listener("news", lambda _block, _certificate: head_signal.send())
        )
        era.shard.on_commit.append(listener("news", included))
        sources: dict[int, ShardSource] = {
            shard: RemoteSource(
                shard,
                partial(_ask, era.router, shard, wire.QUERY, False),
                partial(_ask, era.router, shard, wire.EXECUTE, True),
            )
            for shard in genesis.shard_ids()
            if shard != fixed.shard
        }
        sources[fixed.shard] = local
        shards = Shards(sources, own=fixed.shard)
        network = NetworkView(
            beacon,
            shards,
            chain_id=genesis.chain_id,
            head_height=head.height,
            cached_bytes=cached,
            recent=local.recent,
            pooled=era.shard.pool.__contains__,
            catch_up=era.frontier.try_reach,
            head_signal=head_signal,
            takes_unprotected=genesis.params.dev_methods,
        )
        self._atoll = AtollView(
            beacon,
            shards,
            network=network,
            prover=Prover(
                genesis, beacon, shards, head_height=head.height, checker=beacon.rules.checker
            ),
            head_signal=head_signal,
            committees={
                shard: [v.name for v in genesis.committee(shard)] for shard in genesis.shard_ids()
            },
            genesis_supply=sum(genesis.balances().values()),
            params=genesis.params,
        )
        return NodeBackend(
            network=network,
            shards={
                shard: ShardView(
                    shard,
                    beacon,
                    shards,
                    chain_id=genesis.chain_id,
                    cached_bytes=cached // 4,
                    recent=local.recent,
                    head_signal=head_signal,
                    takes_unprotected=genesis.params.dev_methods,
                )
                for shard in genesis.shard_ids()
            },
            atoll=self._atoll,
            beacon=beacon,
            sources=shards,
            node=self._status,
            wallet=self._wallet,
            head_signal=head_signal,
            highest=era.ahead,
            chain_id=genesis.chain_id,
            version=client_version(fixed.config.rpc.compat),
            coinbase=fixed.keys.address,
            faults=FaultControl(
                fixed.faults,
                accuse=era.beacon.accuse,
                config=fixed.config,
                allowed=genesis.params.dev_methods,
            ),
            dev_methods=genesis.params.dev_methods,
            snapshots=self._snapshots,
        )

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

    async def run(self, *, task_status: Started) -> None:
        async with trio.open_nursery() as nursery:
            for name, task in (("lag", self._metrics.watch_lag), ("audit", self._metrics.audit)):
                nursery.start_soon(self._fixed.beside.run, name, task)
            await nursery.start(self.server.run)
            task_status.started()


async def _ask(
    router: Router,
    shard: int,
    method: MethodSpec,
    queues: bool,
    payload: bytes,
    timeout: float,  # noqa: ASYNC109
) -> bytes:
    """A question of this call's user to some node of another shard. See `Router.ask`."""
    user = caller_number().to_bytes(wire.USER_BYTES, "big")
    return await router.ask(shard, method, user + payload, timeout, queues=queues)


def _wallet(fixed: Fixed) -> Wallet:
    """The development accounts of the configuration with their keys, unless they are not to be used."""
    addresses: tuple[bytes, ...] = ()
    if fixed.config.rpc.expose_accounts:
        addresses = tuple(parse_address(address) for address in fixed.config.dev_accounts)
    keys = load_dev_keys(fixed.config.genesis, addresses)
    return Wallet(keys, addresses=addresses, chain_id=fixed.genesis.chain_id)


def _send_wait(fixed: Fixed) -> float:
    wanted = fixed.config.rpc.send_wait
    if wanted is not None:
        return wanted
    return SEND_WAIT if fixed.genesis.params.dev_methods else 0.0
