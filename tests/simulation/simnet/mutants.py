"""Deliberate mistakes, to see that the simulation finds them.

Each is a context manager that makes one: by replacing a function of the engine, of the driver around it, or
of what stands for the disk. Nothing of this is in the product's code.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import consensus.height
import consensus.round_state
from consensus.height import HeightProcess
from consensus.inputs import TimeoutElapsed
from consensus.round_state import (
    FreshProposal,
    PolkaNil,
    Reproposal,
    RoundEvent,
    RoundState,
    Transition,
    apply,
)
from consensus.types import NO_ROUND, ValidatorSet, Vote, VoteType
from consensus.votes import Added, VoteKeeper
from node.engine.effects import Compact, Effect
from node.engine.height_driver import Effects, HeightDriver
from node.engine.records import Appended
from tests.simulation.simnet.disk import MemoryLog, MemoryRecord
from tests.simulation.simnet.host import Host


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

    with replaced(consensus.round_state, "apply", mistaken):
        yield Host


@contextmanager
def accept_an_old_polka() -> Iterator[type[Host]]:
    """L29: a proof of lock counts although it is older than our lock."""

    def mistaken(state: RoundState, event: RoundEvent) -> Transition:
        return (_without_lock if isinstance(event, Reproposal) else apply)(state, event)

    with replaced(consensus.round_state, "apply", mistaken):
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

    with replaced(consensus.round_state, "apply", mistaken):
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
        def add(self, vote: Vote) -> Added:
            return replace(super().add(vote), decisive=True)

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

    with replaced(consensus.round_state, "apply", mistaken):
        yield Host


class SkipsTheLog(Host):
    """Finds nothing in its log. Its last-signed record is kept."""

    def before_life(self) -> None:
        """What was there is lost."""
        self.disk.lose_log()


@contextmanager
def skip_the_log() -> Iterator[type[Host]]:
    """The write-ahead log is not written."""
    yield SkipsTheLog


@contextmanager
def sign_before_persist() -> Iterator[type[Host]]:
    """Votes are sent before they, and what they rest on, are durable."""

    def mistaken(self: HeightDriver) -> None:
        unsent = list(self._unsent)
        before = len(self._out)
        real(self)
        if unsent:
            durable = self._out.pop(before)
            self._out.append(durable)

    real = HeightDriver._flush
    with replaced(HeightDriver, "_flush", mistaken):
        yield Host


@contextmanager
def forget_to_log_own_votes() -> Iterator[type[Host]]:
    """What we say ourselves is signed and sent, and no restart knows of it."""

    def mistaken(self: HeightDriver, record: Appended) -> None:
        if not (isinstance(record, Vote) and record.validator == self._signer.address):
            real(self, record)

    real = HeightDriver._append
    with replaced(HeightDriver, "_append", mistaken):
        yield Host


@contextmanager
def forget_to_log_timeouts() -> Iterator[type[Host]]:
    """A restart does not know which rounds are over."""

    def mistaken(self: HeightDriver, record: Appended) -> None:
        if not isinstance(record, TimeoutElapsed):
            real(self, record)

    real = HeightDriver._append
    with replaced(HeightDriver, "_append", mistaken):
        yield Host


@contextmanager
def record_before_log() -> Iterator[type[Host]]:
    """A signature is recorded while what led to it is not durable: safe, but a height can get stuck."""

    def mistaken(
        self: MemoryRecord,
        height: int,
        round: int,
        step: int,
        digest: bytes,
        *,
        log: MemoryLog | None = None,
    ) -> None:
        real(self, height, round, step, digest)
        self._between()
        if log is not None:
            log.sync()

    real = MemoryRecord.check_and_record
    with replaced(MemoryRecord, "check_and_record", mistaken):
        yield Host


@contextmanager
def snapshot_without_lock() -> Iterator[type[Host]]:
    """A shortened log does not say what we are locked on."""

    def mistaken(self: HeightDriver) -> Effects:
        return tuple(_without_its_lock(effect) for effect in real(self))

    real = HeightDriver.compact
    with replaced(HeightDriver, "compact", mistaken):
        yield Host


def _without_its_lock(effect: Effect) -> Effect:
    if not isinstance(effect, Compact):
        return effect
    free = replace(effect.snapshot.state, locked_round=NO_ROUND, locked_block=None)
    return replace(effect, snapshot=replace(effect.snapshot, state=free))


@contextmanager
def forget_values() -> Iterator[type[Host]]:
    """Of the blocks that are known to be valid only our own is kept from round to round."""

    def mistaken(self: HeightDriver, height: int, round_: int) -> None:
        real(self, height, round_)
        self._values = {b: value for b, value in self._values.items() if b == self._own}

    real = HeightDriver._enter
    with replaced(HeightDriver, "_enter", mistaken):
        yield Host


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
        forget_to_log_own_votes,
        forget_to_log_timeouts,
        forget_values,
        accept_a_third_as_proof_of_lock,
        forget_to_lock,
        record_before_log,
        snapshot_without_lock,
        no_rebroadcast,
    )
}
"""Mistakes by name."""
