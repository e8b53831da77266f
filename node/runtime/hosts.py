"""The consensus hosts of a node, for one era, with the files of those that sign."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial

from consensus.params import TimeoutParams
from consensus.types import ChainContext, Proposal, Vote
from node.chains.beacon_app import BeaconService
from node.chains.shard_app import ShardService
from node.concurrency.worker import on_disk
from node.engine.application import Application
from node.engine.equivocator import Equivocator
from node.engine.host import ConsensusHost
from node.engine.journal import Journal
from node.engine.pacing import Pacing
from node.engine.participant import Participant
from node.engine.signer import Signer
from node.network.outbound import Outbound
from node.primitives.keys import SigningKey
from node.runtime.parts import Fixed, Hosts
from node.storage.files import make_directory
from node.storage.last_signed import LastSigned
from node.storage.wal import WriteAheadLog
from p2p.types import PeerId

BEACON_HEARTBEAT = 3  # in heartbeats of the shards, whose blocks normally set the pace


@dataclass(frozen=True, slots=True, kw_only=True)
class Ties:
    """The parts of an era that its hosts call.

    `on_ahead(chain, peer, height)`: a peer says that it has that block. `accuse(chain, first, second)`: two
    messages with which a key contradicts itself.
    """

    outbound: Outbound
    on_ahead: Callable[[int, str, int], None]
    accuse: Callable[[int, Vote | Proposal, Vote | Proposal], None]


def open_hosts(fixed: Fixed, ties: Ties, *, shard: ShardService, beacon: BeaconService) -> Hosts:
    """Make both hosts, with the journals of this era. The caller closes them."""
    opener, params = _Opener(fixed, ties, era=beacon.ledger.eras.current), fixed.genesis.params
    with opener.files:
        shard_host = opener.host(
            shard,
            member=fixed.keys.signing is not None,
            peers=fixed.topology.shard_peers(fixed.shard),
            pacing=Pacing(
                min_interval=params.min_block_interval,
                heartbeat=shard.heartbeat,
                backlog=shard.backlog,
                ordered=shard.hurries,
            ),
            halted=lambda: beacon.is_frozen(fixed.shard),
        )
        beacon_host = opener.host(
            beacon,
            member=fixed.is_beacon,
            peers=fixed.topology.beacon_peers(),
            pacing=Pacing(
                min_interval=params.min_block_interval,
                heartbeat=lambda: BEACON_HEARTBEAT * shard.heartbeat(),
                ordered=beacon.is_ordered,
                patience=beacon.patience,
            ),
        )
        return Hosts(
            shard=shard_host,
            beacon=beacon_host,
            journals=tuple(opener.journals),
            files=opener.files.pop_all(),
        )


class _Opener:
    def __init__(self, fixed: Fixed, ties: Ties, *, era: int) -> None:
        self._fixed = fixed
        self._ties = ties
        self._era = era
        self.files = ExitStack()
        self.journals: list[Journal] = []

    def host(
        self,
        app: Application,
        *,
        member: bool,
        peers: list[PeerId],
        pacing: Pacing,
        halted: Callable[[], bool] = lambda: False,
    ) -> ConsensusHost:
        fixed, ties, key = self._fixed, self._ties, self._fixed.keys.signing
        participant: Participant | None = None
        if fixed.spans is not None:
            app = fixed.spans.timed(app, lambda: None if participant is None else participant.began)
        if member and key is not None:
            participant = self._participant(app, key, peers)
        return ConsensusHost(
            app=app,
            participant=participant,
            checker=fixed.checker,
            pacing=pacing,
            tell=partial(ties.outbound.tell, app.chain),
            on_ahead=partial(ties.on_ahead, app.chain),
            validator_of=fixed.topology.address_of,
            halted=halted,
        )

    def _participant(self, app: Application, key: SigningKey, peers: list[PeerId]) -> Participant:
        fixed, ties = self._fixed, self._ties
        # The head may be in an earlier era: its next height has been decided long ago.
        context: ChainContext = replace(app.context, era=self._era)
        folder = fixed.config.data_dir / "consensus"
        make_directory(folder)  # a record in a directory that a crash takes is no record
        name = context.tag.decode().replace("/", "-")
        record = LastSigned(folder / f"{name}.signed")
        self.files.callback(record.close)
        log = WriteAheadLog(folder / f"{name}.wal", tails=record.tails, quota=fixed.quota)
        journal = Journal(log, era=context.era)
        self.files.callback(journal.close)
        self.journals.append(journal)
        return Participant(
            app=app,
            signer=Signer(key=key, context=context, record=record),
            journal=journal,
            checker=fixed.checker,
            timeouts=TimeoutParams(scale=fixed.genesis.params.timeout_scale),
            broadcast=Equivocator(
                key=key,
                context=context,
                broadcast=partial(ties.outbound.consensus, app.chain, peers),
                faults=lambda: fixed.faults.current,
            ),
            accuse=partial(ties.accuse, app.chain),
            on_disk=on_disk,
        )
