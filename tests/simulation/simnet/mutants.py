"""Deliberate mistakes, to see that the simulation finds them.

Each is a context manager that makes one: by replacing a function of the engine, or by giving the
class of a host that breaks the engine's contract. Nothing of this is in the product's code.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import consensus.height
from consensus import StartHeight, ValidatorSet
from consensus.height import HeightProcess
from consensus.round_state import (
    FreshProposal,
    PolkaNil,
    Reproposal,
    RoundEvent,
    RoundState,
    Transition,
    apply,
)
from consensus.types import NO_ROUND, VoteType
from consensus.votes import VoteKeeper
from tests.simulation.simnet.host import Host
from tests.simulation.simnet.scheme import Packet
from tests.simulation.simnet.signatures import Own, signed_part


def _without_lock(state: RoundState, event: RoundEvent) -> Transition:
    """The transition of a process that has no lock; the lock itself stays."""
    outcome = apply(replace(state, locked_round=NO_ROUND, locked_block=None), event)
    if not outcome.effects:
        return Transition(state=state)
    kept = replace(outcome.state, locked_round=state.locked_round, locked_block=state.locked_block)
    return Transition(state=kept, effects=outcome.effects)


@contextmanager
def replaced(owner: object, name: str, value: object) -> Iterator[None]:
    """An attribute is another one for a while."""
    original = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, original)


@contextmanager
def drop_the_lock_rule() -> Iterator[type[Host]]:
    """L23: a new proposal gets a prevote in spite of a lock on another block."""

    def mistaken(state: RoundState, event: RoundEvent) -> Transition:
        return (_without_lock if isinstance(event, FreshProposal) else apply)(state, event)

    with replaced(consensus.height, "apply", mistaken):
        yield Host


@contextmanager
def accept_an_old_polka() -> Iterator[type[Host]]:
    """L29: a proof of lock counts although it is older than our lock."""

    def mistaken(state: RoundState, event: RoundEvent) -> Transition:
        return (_without_lock if isinstance(event, Reproposal) else apply)(state, event)

    with replaced(consensus.height, "apply", mistaken):
        yield Host


@contextmanager
def unlock_on_nil() -> Iterator[type[Host]]:
    """L44: a quorum of prevotes for nil takes the lock away, as in early Tendermint."""

    def mistaken(state: RoundState, event: RoundEvent) -> Transition:
        outcome = apply(state, event)
        if not isinstance(event, PolkaNil) or outcome.state is state:
            return outcome
        free = replace(outcome.state, locked_round=NO_ROUND, locked_block=None)
        return Transition(state=free, effects=outcome.effects)

    with replaced(consensus.height, "apply", mistaken):
        yield Host


@contextmanager
def quorum_of_half() -> Iterator[type[Host]]:
    """More than half of the stake counts as a quorum."""

    def mistaken(self: ValidatorSet, power: int) -> bool:
        return 2 * power > self.total_power

    with replaced(ValidatorSet, "is_quorum", mistaken):
        yield Host


@contextmanager
def accept_a_third_as_proof_of_lock() -> Iterator[type[Host]]:
    """L28: more than a third of prevotes is enough to prove a lock."""

    class Lenient(VoteKeeper):
        def has_quorum(self, type: VoteType, round: int, block_id: object) -> bool:
            if type is VoteType.PREVOTE:
                return self._validators.is_skip(self.power(type, round, block_id))  # type: ignore[arg-type]
            return super().has_quorum(type, round, block_id)  # type: ignore[arg-type]

    with replaced(consensus.height, "VoteKeeper", Lenient):
        yield Host


@contextmanager
def forget_to_lock() -> Iterator[type[Host]]:
    """L38: a polka is precommitted without locking on it."""

    def mistaken(state: RoundState, event: RoundEvent) -> Transition:
        outcome = apply(state, event)
        if outcome.state.locked_round == state.locked_round:
            return outcome
        same = replace(
            outcome.state, locked_round=state.locked_round, locked_block=state.locked_block
        )
        return Transition(state=same, effects=outcome.effects)

    with replaced(consensus.height, "apply", mistaken):
        yield Host


class SkipsTheLog(Host):
    """Writes nothing to its log. Its last-signed record is kept."""

    def recover(self) -> None:
        """Nothing is found there."""
        self.disk.lose_log()
        super().recover()


class SendsBeforeItPersists(Host):
    """Sends first; records, and logs with all that led to it, afterwards."""

    def release(self, own: Own, packet: Packet) -> None:
        """The wrong way round."""
        place, content, _ = signed_part(self.world.context, own)
        self.note_signature(place, content)
        self.broadcast(packet)
        self.boundary()
        self.log_own(own)
        self.record_own(own)
        self.own.append(own)


class RecordsBeforeItLogs(Host):
    """Records a signature while what led to it is not durable: safe, but a height can get stuck."""

    def release(self, own: Own, packet: Packet) -> None:
        """The wrong way round."""
        place, _, preimage = signed_part(self.world.context, own)
        self.disk.record(place, self.world.digest(preimage))
        self.boundary()
        self.log_own(own)
        self.record_own(own)
        self.own.append(own)
        self.broadcast(packet)


class SnapshotsWithoutLock(Host):
    """Leaves the lock out when it shortens its log."""

    def compact(self) -> None:
        """Forgets it on disk, not in this life."""
        real = self.disk.compact

        def forgetful(start: StartHeight) -> None:
            assert start.snapshot is not None
            free = replace(start.snapshot.state, locked_round=NO_ROUND, locked_block=None)
            real(replace(start, snapshot=replace(start.snapshot, state=free)))

        with replaced(self.disk, "compact", forgetful):
            super().compact()


@contextmanager
def snapshot_without_lock() -> Iterator[type[Host]]:
    """A shortened log does not say what we are locked on."""
    yield SnapshotsWithoutLock


@contextmanager
def skip_the_log() -> Iterator[type[Host]]:
    """The write-ahead log is not written."""
    yield SkipsTheLog


@contextmanager
def sign_before_persist() -> Iterator[type[Host]]:
    """Votes are sent before they, and what they rest on, are durable."""
    yield SendsBeforeItPersists


@contextmanager
def record_before_log() -> Iterator[type[Host]]:
    """A signature is recorded while what led to it is not durable."""
    yield RecordsBeforeItLogs


@contextmanager
def no_rebroadcast() -> Iterator[type[Host]]:
    """Lost messages are not sent again."""
    with replaced(HeightProcess, "_rebroadcast", lambda self: ()):
        yield Host


MUTANTS = {
    mutant.__name__.replace("_", "-"): mutant
    for mutant in (
        drop_the_lock_rule,
        unlock_on_nil,
        accept_an_old_polka,
        quorum_of_half,
        skip_the_log,
        sign_before_persist,
        accept_a_third_as_proof_of_lock,
        forget_to_lock,
        record_before_log,
        snapshot_without_lock,
        no_rebroadcast,
    )
}
"""Mistakes by name."""
