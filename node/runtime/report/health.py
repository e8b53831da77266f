"""The health of a node, check by check: `/readyz`, `/health`, and the health check of containers."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import trio

from node.engine.host import ConsensusHost
from node.engine.sync import Syncer
from node.runtime.parts import CurrentEra, Fixed

STALL_FACTOR = 5  # heartbeats without a block after which a chain is called stalled
STALL_FLOOR = 10.0
BEHIND = 8  # blocks; peers are a block or two ahead at any time, and at times more for a moment
UNCROSSLINKED = 8  # decided blocks that the beacon lacks; a few are on their way at any time
MIN_FREE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """The result of a check. `problem` is the reason, None if there is none.

    A node with a problem that is `vital` is not ready; with others it does its own work, but not all that it
    answers for others.
    """

    name: str
    problem: str | None
    vital: bool = True


class Health:
    """Answers from what the node's parts know; holds only when chains last grew, and were crosslinked."""

    def __init__(self, fixed: Fixed, era: CurrentEra) -> None:
        self._fixed = fixed
        self._era = era
        self._grown: dict[str, float] = {}
        self._crosslinked = (-1, 0.0)  # up to which height, and since when

    def grew(self, chain: str) -> None:
        """A block of the "shard" or the "beacon" was taken in."""
        self._grown[chain] = trio.current_time()
        self.uncrosslinked_seconds()

    def uncrosslinked_seconds(self) -> float:
        """Seconds since the beacon took in a block of our shard, while it lacks some; else 0."""
        shard, now = self._era().shard, trio.current_time()
        height, since = self._crosslinked
        if shard.crosslinked() != height or shard.uncrosslinked() <= 0:
            self._crosslinked = shard.crosslinked(), now
            return 0.0
        return now - since

    def checks(self) -> list[Check]:
        """All of them. A node that has just been started is ready once it has seen both chains grow."""
        return list(self._checks())

    def _checks(self) -> Iterator[Check]:
        era = self._era()
        yield Check(name="shard", problem=self._frozen() or self._stalled("shard"))
        yield Check(name="beacon", problem=self._stalled("beacon"))
        yield Check(name="crosslinks", problem=self._uncrosslinked())
        behind = [self._behind(syncer) for syncer in era.syncers.values()]
        yield Check(name="synced", problem=next((why for why in behind if why), None))
        yield Check(name="peers", problem=self._lonely(era.hosts.shard))
        yield Check(name="disk", problem=self._full())
        yield Check(name="lanes", problem=self._unreachable(), vital=False)

    def report(self) -> tuple[bool, dict[str, Any]]:
        """(ready, {"ready", "reasons", "warnings", "checks"}): the problems, in words."""
        checks = self.checks()
        reasons = [check.problem for check in checks if check.vital and check.problem]
        warnings = [check.problem for check in checks if not check.vital and check.problem]
        return not reasons, {
            "ready": not reasons,
            "reasons": reasons,
            "warnings": warnings,
            "checks": {check.name: check.problem or "ok" for check in checks},
        }

    # ------------------------------------------------------------------ one by one

    def _frozen(self) -> str | None:
        if self._era().beacon.is_frozen(self._fixed.shard):
            return f"shard {self._fixed.shard} is frozen: it has forked"
        return None

    def _stalled(self, chain: str) -> str | None:
        patience = self._patience()
        grown = self._grown.get(chain)
        if grown is None:
            return f"the {chain} has made no block since this node was started"
        silent = trio.current_time() - grown
        return f"the {chain} has made no block for {silent:.0f} s" if silent > patience else None

    def _patience(self) -> float:
        return max(STALL_FLOOR, STALL_FACTOR * self._era().shard.heartbeat())

    def _uncrosslinked(self) -> str | None:
        """Decided is not final for the network: users see a block, and other shards its messages, once the
        beacon has taken it in."""
        seconds, missing = self.uncrosslinked_seconds(), self._era().shard.uncrosslinked()
        least = min(UNCROSSLINKED, self._fixed.genesis.params.max_uncrosslinked)
        if missing < least or seconds <= self._patience():
            return None
        return (
            f"the beacon has taken in no block of shard {self._fixed.shard} for {seconds:.0f} s, "
            f"and lacks {missing}: they are decided, but not final for the network"
        )

    def _behind(self, syncer: Syncer) -> str | None:
        if not is_behind(syncer):
            return None
        return f"{syncer.tag} is at block {syncer.head()} here, at {syncer.highest()} elsewhere"

    def _lonely(self, host: ConsensusHost) -> str | None:
        """Without a quorum of the validators in reach no block can be decided."""
        node, committee = self._fixed, host.app.validators()
        if node.keys.signing is None:
            alone = node.config.peers and not node.network.connected
            return "no peer is connected: nothing is heard of the network" if alone else None
        here = {node.topology.address_of(peer) for peer in node.network.connected}
        here.add(node.topology.address_of(node.topology.me))
        power = sum(committee.power_of(address) for address in here if address is not None)
        if committee.is_quorum(power):
            return None
        percent = 100 * power // committee.total_power
        return f"validators with {percent} % of the stake of shard {node.shard} are in reach, no quorum"

    def _full(self) -> str | None:
        folder = self._fixed.config.data_dir
        free = free_bytes(folder)
        if free is not None and free < MIN_FREE_BYTES:
            return f"{free >> 20} MiB are free in {folder}, under {MIN_FREE_BYTES >> 20} MiB"
        return None

    def _unreachable(self) -> str | None:
        node = self._fixed
        reached = {node.topology.shard_of(peer) for peer in node.network.connected}
        reached.add(node.shard)
        gone = [shard for shard in node.genesis.shard_ids() if shard not in reached]
        if not gone:
            return None
        named = ", ".join(map(str, gone[:8])) + (", ..." if len(gone) > 8 else "")
        return f"no node of shard {named} is connected: its lanes wait"


def is_behind(syncer: Syncer) -> bool:
    """True if peers are ahead of us, by more than they are at any time."""
    return syncer.highest() > syncer.head() + BEHIND


def free_bytes(folder: os.PathLike[str]) -> int | None:
    """Bytes that an unprivileged process may still write there; None if the folder cannot be looked at."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize
