"""The consensus hosts of a node, for one era, with the files of those that sign."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from consensus.params import TimeoutParams
from consensus.signing import SignatureChecker
from consensus.types import ChainContext
from node.concurrency.worker import on_disk
from node.engine.application import Application
from node.engine.equivocator import Equivocator
from node.engine.host import ConsensusHost, Pacing
from node.engine.journal import Journal
from node.engine.participant import Participant
from node.engine.signer import Signer
from node.primitives.keys import SigningKey
from node.storage.files import make_directory
from node.storage.last_signed import LastSigned
from node.storage.quota import Quota
from node.storage.wal import WriteAheadLog
from p2p.types import PeerId

if TYPE_CHECKING:
    from node.runtime.node import Node

BEACON_HEARTBEAT = 3  # in heartbeats of the shards, whose blocks normally set the pace


class Engines:
    """`shard` and `beacon` are the hosts. Parts of the node that are made later are looked up when needed."""

    def __init__(self, node: "Node", *, checker: SignatureChecker, quota: Quota) -> None:
        self._node = node
        self._checker = checker
        self._quota = quota
        self._journals: list[Journal] = []
        self._files: list[Any] = []
        params = node.genesis.params
        try:
            self.shard = self._host(
                node.shard_service,
                member=node.keys.signing is not None,
                peers=node.topology.shard_peers(node.shard),
                heartbeat=params.heartbeat,
                backlog=node.shard_service.backlog,
                halted=lambda: node.beacon.is_frozen(node.shard),
            )
            self.beacon = self._host(
                node.beacon,
                member=node.is_beacon,
                peers=node.topology.beacon_peers(),
                heartbeat=BEACON_HEARTBEAT * params.heartbeat,
            )
        except BaseException:
            self.close()
            raise

    def forget(self) -> None:
        """The era is over: what was said in it is not needed any more."""
        for journal in self._journals:
            journal.forget()

    def close(self) -> None:
        """Release the files, last opened first. Idempotent."""
        while self._files:
            self._files.pop().close()

    def _host(
        self,
        app: Application,
        *,
        member: bool,
        peers: list[PeerId],
        heartbeat: float,
        backlog: Callable[[], int] = lambda: 0,
        halted: Callable[[], bool] = lambda: False,
    ) -> ConsensusHost:
        node, key = self._node, self._node.keys.signing
        participant: Participant | None = None
        if node.spans is not None:
            app = node.spans.timed(app, lambda: None if participant is None else participant.began)
        if member and key is not None:
            participant = self._participant(app, key, peers)
        return ConsensusHost(
            app=app,
            participant=participant,
            checker=self._checker,
            pacing=Pacing(
                min_interval=node.genesis.params.min_block_interval,
                heartbeat=heartbeat,
                backlog=backlog,
            ),
            tell=partial(node.traffic.tell, app.chain),
            on_ahead=lambda peer, height: node.syncers[app.chain].heard(peer, height),
            validator_of=node.topology.address_of,
            halted=halted,
        )

    def _participant(self, app: Application, key: SigningKey, peers: list[PeerId]) -> Participant:
        node = self._node
        # The head may be in an earlier era: its next height has been decided long ago.
        context: ChainContext = replace(app.context, era=node.beacon_chain.eras.current)
        folder = node.config.data_dir / "consensus"
        make_directory(folder)  # a record in a directory that a crash takes is no record
        name = context.tag.decode().replace("/", "-")
        record = LastSigned(folder / f"{name}.signed")
        self._files.append(record)
        log = WriteAheadLog(folder / f"{name}.wal", tails=record.tails, quota=self._quota)
        journal = Journal(log, era=context.era)
        self._files.append(journal)
        self._journals.append(journal)
        return Participant(
            app=app,
            signer=Signer(key=key, context=context, record=record),
            journal=journal,
            checker=self._checker,
            timeouts=TimeoutParams(scale=node.genesis.params.timeout_scale),
            broadcast=Equivocator(
                key=key,
                context=context,
                broadcast=partial(node.traffic.consensus, app.chain, peers),
                faults=lambda: node.faults.current,
            ),
            accuse=lambda first, second: node.evidence.equivocation(app.chain, first, second),
            on_disk=on_disk,
        )
