"""The driver of a height: the order of what is journalled, made durable and sent, on no machine at all.

Whatever is fed, `Machine` holds the driver to its promises: nothing of ours leaves before it is durable, the
last-signed record never goes ahead of the journal, one block is executed at a time. A restart at every boundary
of a height contradicts nothing that was said before.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from consensus.effects import SendProposal, SendVote
from consensus.inputs import TimeoutElapsed
from consensus.params import TimeoutParams
from consensus.signing import certificate_from_votes
from consensus.types import (
    Address,
    BlockId,
    Certificate,
    Height,
    Proposal,
    Round,
    TimeoutKind,
    Validator,
    ValidatorSet,
    Vote,
    VoteType,
)
from node.engine.admission import VOTES_BURST
from node.engine.effects import (
    Accuse,
    Append,
    Build,
    Commit,
    Compact,
    Effect,
    Judge,
    MakeDurable,
    NoteSigned,
    Remark,
    Send,
    SyncJournal,
)
from node.engine.height_driver import Effects, HeightDriver
from node.engine.records import Built, HeightStarted, Judged, Record, Resumed
from node.engine.signer import Signer
from node.engine.work_queue import Interrupted, Product, Verdict
from node.primitives.basics import keccak_fast
from node.primitives.errors import DecodeError, PeerFault
from node.wire import ProposalMessage
from tests.simulation.simnet.disk import MemoryRecord
from tests.simulation.simnet.scheme import CHECKER, CTX, address, sign
from tests.simulation.simnet.signatures import FakeKey, make_proposal, make_vote

FOUR = ValidatorSet(Validator(address=address(key), power=1) for key in range(4))
ALONE = ValidatorSet([Validator(address=address(0), power=1)])


def turn(round_: int, height: int = 1) -> int:
    """The number of the key whose turn it is."""
    proposer = FOUR.proposer(Height(height), Round(round_)).address
    return next(key for key in range(4) if address(key) == proposer)


class Texts:
    """Blocks that are texts."""

    def __init__(self) -> None:
        self.disliked: set[BlockId] = set()

    def identify(self, value: bytes) -> BlockId:
        if not value:
            raise DecodeError("nothing")
        return BlockId(keccak_fast(value))

    def objection(self, block_id: BlockId) -> str | None:
        return "it is disliked" if block_id in self.disliked else None


@dataclass
class Machine:
    """Performs effects and looks at their order. `key` is ours; `journal` is what was appended."""

    key: int
    validators: ValidatorSet = FOUR
    journal: list[Record] = field(default_factory=list)
    record: MemoryRecord = field(default_factory=lambda: MemoryRecord(lambda: None))
    synced: int = 0
    now: float = 100.0

    def __post_init__(self) -> None:
        self.live()

    def live(self) -> None:
        """A new process."""
        self.blocks = Texts()
        self.signer = Signer(key=FakeKey(self.key), context=CTX, record=self.record)  # type: ignore[arg-type]
        self.driver = HeightDriver(
            blocks=self.blocks,
            signer=self.signer,
            checker=CHECKER,
            timeouts=TimeoutParams(),
            validators=self.validators,
        )
        self.jobs: list[Judge | Build] = []
        self.sent: list[ProposalMessage | Vote] = []
        self.accused: list[Accuse] = []
        self.commits: list[Commit] = []

    @property
    def me(self) -> Address:
        return address(self.key)

    def feed(self, effects: Effects) -> Effects:
        for effect in effects:
            self.perform(effect)
        return effects

    def perform(self, effect: Any) -> None:
        match effect:
            case Append(record=record):
                self.journal.append(record)
            case MakeDurable(signed=signed):
                assert signed in self.own(), "the record would go ahead of the journal"
                self.synced = len(self.journal)
                self.signer.commit(signed, _NoLog())
            case SyncJournal():
                self.synced = len(self.journal)
            case NoteSigned(message=signed):
                self.signer.note(signed)
            case Compact(snapshot=snapshot, values=values):
                self.journal[:] = [_resumed(snapshot, values)]
                self.synced = 1
            case Send(message=message):
                said = message if isinstance(message, Vote) else message.proposal
                if _author(said) == self.me:
                    assert said in self.own(self.synced), "it left before it was durable"
                    place = (said.height, said.round, getattr(said, "type", 0))
                    last = self.record.load()
                    assert last is not None
                    assert place <= last.place, "it left before it was on record"
                self.sent.append(message)
            case Judge() | Build():
                assert not self.jobs, "two blocks at once"
                self.jobs.append(effect)
            case Accuse():
                self.accused.append(effect)
            case Commit():
                assert not self.driver.has_unsent
                self.commits.append(effect)
            case Remark():
                pass

    def own(self, upto: int | None = None) -> list[Vote | Proposal]:
        """Our messages in the journal."""
        out: list[Vote | Proposal] = []
        for record in self.journal[:upto]:
            messages = record.messages if isinstance(record, Resumed) else (record,)
            for message in messages:
                said = message.message.proposal if isinstance(message, Judged) else message
                if isinstance(said, Vote | Proposal) and _author(said) == self.me:
                    out.append(said)
        return out

    # ------------------------------------------------------------------ what happens

    def start(self, height: int = 1) -> Effects:
        return self.feed(self.driver.start(height, self.validators, self.now))

    def hear(self, message: ProposalMessage | Vote, sender: int) -> Effects:
        return self.feed(self.driver.receive(message, address(sender), self.now))

    def finish(self, reason: str | None = None, value: bytes = b"ours") -> Effects:
        """What is being executed is done."""
        job = self.jobs.pop()
        if isinstance(job, Judge):
            return self.feed(self.driver.executed(Verdict(job=job, reason=reason), self.now))
        block_id = BlockId(keccak_fast(value))
        product = Product(job=job, block_id=block_id, value=value)
        return self.feed(self.driver.executed(product, self.now))

    def flush(self) -> Effects:
        return self.feed(self.driver.flush())

    def wait(self) -> Effects:
        """Until the next timer."""
        self.now = self.driver.next_timer()
        return self.feed(self.driver.fire_timers(self.now))

    def restart(self) -> bool:
        """With what is durable; whether the height goes on."""
        del self.journal[self.synced :]
        self.live()
        if not self.journal:
            return False
        self.feed(self.driver.recover(list(self.journal), 1, self.validators, self.now))
        return True


class _NoLog:
    """`Machine` has its own."""

    def sync(self) -> None:
        pass


def _author(message: Vote | Proposal) -> Address:
    return message.validator if isinstance(message, Vote) else message.proposer


def _resumed(snapshot: Any, values: Any) -> Resumed:
    judged = [
        Judged(
            message=ProposalMessage(
                proposal=p.proposal, value=values[p.proposal.block_id] if p.valid else b""
            ),
            valid=p.valid,
        )
        for p in snapshot.proposals
    ]
    return Resumed(state=snapshot.state, messages=(*judged, *snapshot.votes))


def vote(
    key: int, block_id: BlockId | None, round_: int = 0, type: VoteType = VoteType.PREVOTE
) -> Vote:
    asked = SendVote(type=type, height=Height(1), round=Round(round_), block_id=block_id)
    return make_vote(CTX, key, asked)


def proposal(value: bytes, round_: int = 0, pol_round: int = -1) -> ProposalMessage:
    asked = SendProposal(
        height=Height(1),
        round=Round(round_),
        block_id=BlockId(keccak_fast(value)),
        pol_round=pol_round,
    )
    return ProposalMessage(proposal=make_proposal(CTX, turn(round_), asked), value=value)


def follower(round_: int = 0) -> int:
    """A key whose turn is not in this round, nor in the next two."""
    return next(key for key in range(4) if key not in {turn(r) for r in range(round_, round_ + 3)})


def kinds(effects: Effects) -> list[type]:
    return [type(effect) for effect in effects if not isinstance(effect, Remark)]


# ---------------------------------------------------------------------- order


def test_what_is_signed_waits_for_the_disk_and_the_disk_for_more() -> None:
    machine = Machine(follower())
    machine.start()
    message = proposal(b"theirs")
    machine.hear(message, turn(0))
    effects = machine.finish()
    assert kinds(effects) == [Append, Append], "the proposal, then our prevote"
    assert not machine.sent
    assert machine.driver.has_unsent
    for key in [key for key in range(4) if key != machine.key][:2]:
        machine.hear(vote(key, message.proposal.block_id), key)
    assert kinds(machine.flush()) == [MakeDurable, Send, Send], "one write for two votes"
    assert machine.flush() == ()
    assert [said.type for said in machine.sent if isinstance(said, Vote)] == list(VoteType)


def test_every_input_stands_in_the_journal_before_what_follows_from_it() -> None:
    machine = Machine(follower())
    assert kinds(machine.start())[0] is Append
    assert machine.journal == [HeightStarted(height=1)]
    effects = machine.wait()
    timeout = effects[0]
    assert isinstance(timeout, Append)
    assert isinstance(timeout.record, TimeoutElapsed)
    assert timeout.record.timeout.kind is TimeoutKind.PROPOSE
    (own,) = machine.own()
    assert isinstance(own, Vote)
    assert own.block_id is None
    heard = vote((machine.key + 1) % 4, None)
    assert machine.hear(heard, 0)[0] == Append(record=heard)
    assert machine.hear(heard, 0) == (), "it is counted"


def test_what_is_repeated_has_been_said_before() -> None:
    """A timer says our vote again that waits for the disk yet; what the same step signs after that is not
    recorded before it is journalled."""
    machine = Machine(turn(1))
    machine.start()
    others = [key for key in range(4) if key != machine.key]
    machine.wait()  # no proposal comes: a prevote for nil, and all is said again
    for key in others[:2]:
        machine.hear(vote(key, None), key)
    for key in others[:2]:
        machine.hear(vote(key, None, type=VoteType.PRECOMMIT), key)
    assert machine.driver.has_unsent
    while machine.driver.round == 0:
        machine.wait()
    machine.finish()
    machine.flush()
    assert any(isinstance(said, ProposalMessage) for said in machine.sent)
    firsts = list(dict.fromkeys(machine.sent))
    assert [said for said in firsts if _author_of(said) == machine.me]


def _author_of(message: ProposalMessage | Vote) -> Address:
    return _author(message if isinstance(message, Vote) else message.proposal)


def test_a_decision_is_told_last_and_once() -> None:
    machine = Machine(0, ALONE)
    machine.start()
    effects = machine.finish()
    assert kinds(effects)[-1] is Commit
    assert kinds(effects).index(MakeDurable) < kinds(effects).index(Send)
    (commit,) = machine.commits
    assert commit.value == b"ours"
    assert commit.certificate.block_id == keccak_fast(b"ours")
    assert machine.driver.next_timer() == float("inf")
    machine.feed(machine.driver.resend(machine.now))
    assert len(machine.commits) == 1
    machine.feed(machine.driver.leave(commit.certificate, ALONE))
    machine.start(2)
    assert machine.driver.round == 0
    assert machine.jobs == [Build(height=2, round=0)]


def test_a_fault_changes_nothing() -> None:
    machine = Machine(follower())
    machine.start()
    forged = replace(vote(1, None), signature=sign(2, b"something else"))
    with pytest.raises(Exception, match="not signed by"):
        machine.hear(forged, 1)
    message = proposal(b"theirs")
    with pytest.raises(DecodeError, match="another block"):
        machine.hear(replace(message, value=b"another"), turn(0))
    assert machine.journal == [HeightStarted(height=1)]
    assert machine.hear(message, turn(0)) == (Judge(message=message, sender=address(turn(0))),)


def test_who_signs_too_much_is_not_journalled() -> None:
    machine = Machine(follower())
    machine.start()
    spammer = (machine.key + 1) % 4
    for round_ in range(int(VOTES_BURST)):
        machine.hear(vote(spammer, BlockId(b"\1" * 32), round_), spammer)
    with pytest.raises(PeerFault, match="too many"):
        machine.hear(vote(spammer, None, 10_000), spammer)
    assert len(machine.journal) == 1 + int(VOTES_BURST)


# ---------------------------------------------------------------------- blocks


def test_one_block_is_executed_at_a_time_and_none_twice() -> None:
    machine = Machine(follower())
    machine.start()
    first = proposal(b"theirs")
    machine.hear(first, turn(0))
    assert machine.jobs == [Judge(message=first, sender=address(turn(0)))]
    assert machine.hear(first, turn(0)) == ()
    machine.finish()
    others = [key for key in range(4) if key != machine.key]
    for type_ in VoteType:
        for key in others[:3]:
            machine.hear(vote(key, None, type=type_), key)
    while machine.driver.round == 0:
        machine.wait()
    again = proposal(b"theirs", round_=1)
    effects = machine.hear(again, turn(1))
    assert not machine.jobs, "it is known to be valid"
    assert effects[0] == Append(record=Judged(message=again, valid=True))


def test_what_waits_and_is_found_valid_meanwhile_is_not_executed_again() -> None:
    machine = Machine(follower())
    machine.start()
    machine.hear(proposal(b"theirs"), turn(0))
    others = [key for key in range(4) if key != machine.key]
    for type_ in VoteType:
        for key in others:
            machine.hear(vote(key, None, type=type_), key)
    while machine.driver.round == 0:
        machine.wait()
    again = proposal(b"theirs", round_=1)
    assert machine.hear(again, turn(1)) == (), "the first is still being executed"
    machine.finish()
    assert not machine.jobs
    assert Judged(message=again, valid=True) in machine.journal


def test_a_block_of_ours_comes_too_late_for_one_round_and_is_proposed_in_the_next_turn() -> None:
    machine = Machine(turn(0))
    machine.start()
    (late,) = machine.jobs
    others = [key for key in range(4) if key != machine.key]
    for type_ in VoteType:
        for key in others:
            machine.hear(vote(key, None, type=type_), key)
    while machine.driver.round == 0:
        machine.wait()
    assert machine.jobs == [late], "it is still being built"
    assert not any(isinstance(effect, Append) for effect in machine.finish(value=b"slow"))
    round_ = next(r for r in range(2, 20) if turn(r) == machine.key)
    for key in others:
        machine.hear(vote(key, None, round_), key)
    assert machine.driver.round == round_
    assert not machine.jobs
    assert Built(height=1, round=round_, block_id=BlockId(keccak_fast(b"slow")), value=b"slow") in (
        machine.journal
    )
    (said,) = [m for m in machine.own() if isinstance(m, Proposal)]
    assert (said.round, said.block_id) == (round_, keccak_fast(b"slow"))


def test_what_was_given_up_is_begun_anew_and_what_is_over_counts_no_more() -> None:
    machine = Machine(follower())
    machine.start()
    message = proposal(b"theirs")
    machine.hear(message, turn(0))
    job = machine.jobs.pop()
    machine.feed(machine.driver.executed(Interrupted(job=job), machine.now))
    assert machine.jobs == [job]
    machine.feed(machine.driver.leave(_certificate(b"decided"), FOUR))
    assert machine.driver.executed(Verdict(job=job, reason=None), machine.now) == ()  # type: ignore[arg-type]
    assert machine.driver.executed(Interrupted(job=job), machine.now) == ()


def _certificate(value: bytes) -> Certificate:
    votes = [vote(k, BlockId(keccak_fast(value)), type=VoteType.PRECOMMIT) for k in range(4)]
    return certificate_from_votes(FOUR, votes)


def test_what_contradicts_the_certificate_is_told_when_the_height_is_left() -> None:
    machine = Machine(follower())
    machine.start()
    liar = (machine.key + 1) % 4
    machine.hear(vote(liar, None, type=VoteType.PRECOMMIT), liar)
    machine.feed(machine.driver.leave(_certificate(b"decided"), FOUR))
    assert [accusation.evidence.offence.validator for accusation in machine.accused] == [
        address(liar)
    ]
    late = vote((liar + 1) % 4, BlockId(b"\1" * 32), type=VoteType.PRECOMMIT)
    assert kinds(machine.driver.late(late)) == [Accuse]


# ---------------------------------------------------------------------- death


class Dead(Exception):
    pass


class Mortal(Machine):
    """Dies before its n-th effect."""

    left = 10**9

    def perform(self, effect: Any) -> None:
        if self.left == 0:
            raise Dead
        self.left -= 1
        super().perform(effect)


def live_through(machine: Machine) -> None:
    """Two rounds in which nobody helps, the first of them ours, and a decision in the third."""
    others = [key for key in range(4) if key != machine.key]
    if not machine.journal:
        machine.start()
    for round_ in range(3):
        if machine.jobs:
            machine.finish(value=b"ours")
        if turn(round_) != machine.key:
            machine.hear(proposal(b"theirs %d" % round_, round_), turn(round_))
            if machine.jobs:
                machine.finish()
        machine.flush()
        wanted = BlockId(keccak_fast(b"ours")) if turn(round_) == machine.key else None
        for key in others:
            machine.hear(vote(key, wanted, round_), key)
        machine.feed(machine.driver.compact())
        for key in others:
            machine.hear(vote(key, None, round_, VoteType.PRECOMMIT), key)
        while machine.driver.round == round_:
            machine.wait()
    machine.flush()


def test_a_restart_at_every_boundary_contradicts_nothing_that_was_said() -> None:
    """Whatever was appended and not synced is lost: that is the worst case."""
    points = 0
    while True:
        machine = Mortal(turn(0))
        machine.left = points
        said: dict[object, object] = {}
        try:
            live_through(machine)
        except Dead:
            pass
        else:
            break
        before = list(machine.sent)
        machine.left = 10**9
        machine.restart()
        live_through(machine)
        for message in (*before, *machine.sent):
            own = message if isinstance(message, Vote) else message.proposal
            if _author(own) == machine.me:
                place = (own.round, getattr(own, "type", 0))
                content = (own.block_id, getattr(own, "pol_round", None))
                assert said.setdefault(place, content) == content, f"death before effect {points}"
        points += 1
    assert points > 60


def test_a_vote_of_ours_that_only_the_journal_knows_is_not_contradicted() -> None:
    """Others told us of our precommit of an earlier life, whose record is gone; we died before our prevote."""

    class Retold(Machine):
        def perform(self, effect: Effect) -> None:
            if not isinstance(effect, Send):  # it was sent, and durable, in the earlier life
                super().perform(effect)

    machine = Retold(follower())
    machine.start()
    machine.hear(vote(machine.key, None, 0, VoteType.PRECOMMIT), (machine.key + 1) % 4)
    machine.wait()
    assert isinstance(machine.journal[-2], TimeoutElapsed)
    machine.synced = len(machine.journal) - 1  # the timeout is on disk, our prevote is not
    machine.restart()
    last = machine.record.load()
    assert last is not None
    assert last.step == VoteType.PRECOMMIT
