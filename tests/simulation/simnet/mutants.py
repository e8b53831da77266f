"""Deliberate mistakes, to see that the simulation finds them.

Each is a context manager that makes one: by replacing a function of the engine, or by giving the
class of a host that breaks the engine's contract. Nothing of this is in the product's code.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import consensus.height
from consensus import (
    Effect,
    ProposalReceived,
    SendProposal,
    SendVote,
    ValidatorSet,
    VoteReceived,
)
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


def _without_lock(state: RoundState, event: RoundEvent) -> Transition:
    """The transition of a process that has no lock; the lock itself stays."""
    outcome = apply(replace(state, locked_round=NO_ROUND, locked_block=None), event)
    if not outcome.effects:
        return Transition(state=state)
    kept = replace(outcome.state, locked_round=state.locked_round, locked_block=state.locked_block)
    return Transition(state=kept, effects=outcome.effects)


@contextmanager
def _replaced(owner: object, name: str, value: object) -> Iterator[None]:
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

    with _replaced(consensus.height, "apply", mistaken):
        yield Host


@contextmanager
def accept_an_old_polka() -> Iterator[type[Host]]:
    """L29: a proof of lock counts although it is older than our lock."""

    def mistaken(state: RoundState, event: RoundEvent) -> Transition:
        return (_without_lock if isinstance(event, Reproposal) else apply)(state, event)

    with _replaced(consensus.height, "apply", mistaken):
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

    with _replaced(consensus.height, "apply", mistaken):
        yield Host


@contextmanager
def quorum_of_half() -> Iterator[type[Host]]:
    """More than half of the stake counts as a quorum."""

    def mistaken(self: ValidatorSet, power: int) -> bool:
        return 2 * power > self.total_power

    with _replaced(ValidatorSet, "is_quorum", mistaken):
        yield Host


@contextmanager
def accept_a_third_as_proof_of_lock() -> Iterator[type[Host]]:
    """L28: more than a third of prevotes is enough to prove a lock."""

    class Lenient(VoteKeeper):
        def has_quorum(self, type: VoteType, round: int, block_id: object) -> bool:
            if type is VoteType.PREVOTE:
                return self._validators.is_skip(self.power(type, round, block_id))  # type: ignore[arg-type]
            return super().has_quorum(type, round, block_id)  # type: ignore[arg-type]

    with _replaced(consensus.height, "VoteKeeper", Lenient):
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

    with _replaced(consensus.height, "apply", mistaken):
        yield Host


class SkipsTheLog(Host):
    """Writes nothing to its log. Its last-signed record is kept."""

    def recover(self) -> None:
        """Nothing is found there."""
        self.disk.lose_log()
        super().recover()


class SendsBeforeItPersists(Host):
    """Sends a vote or proposal first, and records and logs it afterwards."""

    def send_vote(self, effect: SendVote) -> None:
        """The wrong way round."""
        vote = self.premature(lambda: self.sign_vote(effect))
        if vote is not None:
            self.broadcast(self.world.packet(vote))
            self.boundary()
            if self.sign_vote(effect) is not None:
                self.commit_own(VoteReceived(vote=vote))

    def send_proposal(self, effect: SendProposal) -> None:
        """The wrong way round."""
        proposal = self.premature(lambda: self.sign_proposal(effect))
        if proposal is not None:
            self.broadcast(self.world.packet(proposal, self.blocks[proposal.block_id]))
            self.boundary()
            if self.sign_proposal(effect) is not None:
                self.commit_own(ProposalReceived(proposal=proposal, valid=True))

    def premature(self, signing):  # type: ignore[no-untyped-def]
        """Sign without asking the record."""
        disk, self.disk = self.disk, _Permissive(self.disk)
        try:
            return signing()
        finally:
            self.disk = disk

    def perform_one(self, effect: Effect) -> None:
        """Not even the inputs are durable before the vote is out."""
        match effect:
            case SendVote():
                self.send_vote(effect)
            case SendProposal():
                self.send_proposal(effect)
            case _:
                super().perform_one(effect)


class _Permissive:
    """A disk that lets everything be signed."""

    def __init__(self, disk: object) -> None:
        self._disk = disk

    def may_sign(self, place: object, digest: bytes) -> bool:
        return True


class RecordsBeforeItLogs(Host):
    """Records a signature before the inputs that led to it are durable: safe, but it can get stuck."""

    def perform_one(self, effect: Effect) -> None:
        """Without the sync before signing."""
        match effect:
            case SendVote():
                self.send_vote(effect)
            case SendProposal():
                self.send_proposal(effect)
            case _:
                super().perform_one(effect)


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
    with _replaced(HeightProcess, "_rebroadcast", lambda self: ()):
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
        no_rebroadcast,
    )
}
"""Mistakes by name."""
