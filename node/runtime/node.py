"""One node: its parts, the era that runs, and the tasks of both."""

import structlog
import trio

from node.beacon.era_store import begin_era
from node.beacon.eras import EraRecord
from node.chains import rewinding
from node.concurrency.height_gate import Started
from node.concurrency.worker import limit_recursion
from node.config.live_faults import link_faults
from node.config.node_config import NodeConfig
from node.config.node_faults import NodeFaults
from node.network.opening import open_when_connected
from node.runtime.assembly import assemble_era, assemble_fixed
from node.runtime.parts import Era
from node.runtime.pool_keeper import PoolKeeper
from node.runtime.report.health import Health
from node.runtime.report.status_report import StatusReport
from node.runtime.rpc_service import RpcService
from node.runtime.snapshots import Snapshots
from node.shard.pool_file import PoolFile
from p2p.types import PeerId

CLOSING_SECONDS = 3.0  # for executions that still run


class Node:
    """A composition: `run` starts the tasks and owns them; `close` releases the disk.

    When the network is taken back, another `era` follows: the chains and all that works on them are put
    together anew, from the data that the database then holds. The `fixed` parts stay, and so does the JSON-RPC.
    """

    def __init__(self, config: NodeConfig) -> None:
        self._log = structlog.get_logger()
        self._era: Era | None = None
        self._next: EraRecord | None = None
        self._ended = trio.Event()  # the era that runs
        self.fixed = fixed = assemble_fixed(config, self.era)
        try:
            pool_file = PoolFile(config.data_dir / "pool", bytes(fixed.genesis.hash))
            self._pool = PoolKeeper(pool_file, self.era)
            self._health = Health(fixed, self.era)
            self._snapshots = Snapshots(fixed, self.era)
            self._begin(rewound=False)
            self._rpc = RpcService(
                fixed,
                self.era,
                status=StatusReport(fixed, self.era, self._health),
                healthy=self._health,
                snapshots=self._snapshots,
            )
            fixed.faults.on_change.append(self._faults_changed)
            if fixed.faults.current.any:
                fixed.faults.announce()
        except BaseException:
            self.close()
            raise

    def era(self) -> Era:
        """The era that runs."""
        assert self._era is not None, "a part was asked before the node was put together"
        return self._era

    def _faults_changed(self, faults: NodeFaults) -> None:
        fixed = self.fixed
        ids = {peer.name: PeerId(peer.peer_id) for peer in fixed.config.peers}
        fixed.network.links.set_faults(link_faults(faults.links, ids), seed=faults.seed)
        fixed.quota.set_limit(faults.disk)
        self.era().puller.wake()

    # ------------------------------------------------------------------ eras

    def _begin(self, *, rewound: bool) -> None:
        self._era = assemble_era(self.fixed, rewound=rewound, end=self._end, grew=self._health.grew)

    def _end(self, record: EraRecord) -> None:
        """End the era that runs: the network was taken back."""
        if self._next is None and record.era > self.era().beacon_chain.eras.current:
            self._next = record
            self._ended.set()

    async def _renew(self, record: EraRecord) -> None:
        """Take the disk back, and begin another era on it."""
        fixed, hosts = self.fixed, self.era().hosts
        started = trio.current_time()
        await fixed.worker.blocks_done()  # what runs on writes to the chains
        for host in hosts.by_chain.values():
            host.close()
        begin_era(fixed.store, record)
        await trio.to_thread.run_sync(rewinding.finish, fixed.store, fixed.shard)
        hosts.forget()
        hosts.close()
        self._next, self._ended = None, trio.Event()
        self._begin(rewound=True)
        self._rpc.renew()
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
        await self._pool.bring_back()
        async with trio.open_nursery() as nursery:
            await nursery.start(self.fixed.network.links.run)
            await nursery.start(self._live)
            if self.fixed.config.rpc.enabled:
                await nursery.start(self._rpc.run)
            task_status.started()

    def keep_pool(self) -> None:
        """Keep what users handed in and no block has, for the next `run`. To be called when `run` has ended
        because it was asked to."""
        self._pool.keep()

    async def _live(self, *, task_status: Started) -> None:
        """One era after the other."""
        network = self.fixed.network
        while True:
            async with trio.open_nursery() as nursery:
                await nursery.start(self._serve, self.era())
                if self.era().rewound:
                    network.begin()
                    self._snapshots.begun()
                task_status.started()
                task_status = trio.TASK_STATUS_IGNORED
                await self._ended.wait()
                self._rpc.pause()
                network.pause()
                nursery.cancel_scope.cancel()
            assert self._next is not None
            await self._renew(self._next)

    async def _serve(self, era: Era, *, task_status: Started) -> None:
        """The tasks of one era."""
        async with trio.open_nursery() as nursery:
            for host in era.hosts.by_chain.values():
                await nursery.start(host.run)
            for chain, syncer in era.syncers.items():
                nursery.start_soon(syncer.run)
                nursery.start_soon(self._open, era, chain)
            await nursery.start(era.frontier.run)
            nursery.start_soon(era.puller.run)
            nursery.start_soon(era.follower.run)
            for name, task in (
                ("publisher", era.publisher.run),
                ("evidence", era.evidence.run),
                ("gossip", era.gossip.run),
            ):
                nursery.start_soon(self.fixed.beside.run, name, task)
            task_status.started()

    async def _open(self, era: Era, chain: int) -> None:
        await open_when_connected(
            era.hosts.by_chain[chain],
            self.fixed.network,
            self.fixed.topology,
            signs=self.fixed.keys.signing is not None,
            rewound=era.rewound,
        )

    def close(self, *, patience: float = CLOSING_SECONDS) -> bool:
        """Release files and databases, last opened first; call it when `run` has ended.

        False, and nothing is closed, if an execution is still going on after `patience` seconds.
        """
        fixed = self.fixed
        if fixed.spans is not None:
            fixed.spans.close()
        if not fixed.worker.wait_idle(patience):
            return False
        if self._era is not None:
            self._era.hosts.close()
        fixed.store.close()
        return True
