"""An engine that goes on from a snapshot does what the one that it was taken of goes on to do."""

import random
from collections import deque

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from consensus.effects import (
    BuildValue,
    Decided,
    Effect,
    Equivocation,
    SendProposal,
    SendVote,
    StartTimeout,
)
from consensus.engine import Engine
from consensus.errors import ContractViolation
from consensus.inputs import (
    Input,
    ProposalReceived,
    StartHeight,
    TimeoutElapsed,
    ValueBuilt,
    VoteReceived,
)
from consensus.types import (
    NO_ROUND,
    Address,
    BlockId,
    Height,
    Proposal,
    Round,
    Timeout,
    TimeoutKind,
    Validator,
    ValidatorSet,
    Vote,
    VoteType,
)
from consensus.votes import PAST_ROUNDS
from tests.support.effort import examples

H = Height(3)
KEYS = [Address(bytes([i]) * 20) for i in range(1, 5)]
SET = ValidatorSet(Validator(address=key, power=1) for key in KEYS)
ME = KEYS[0]
BLOCKS = [BlockId(letter * 32) for letter in (b"A", b"B", b"C")]
START = StartHeight(height=H, validators=SET, me=ME)


def vote(type: VoteType, round: int, block: BlockId | None, validator: Address) -> VoteReceived:
    made = Vote(
        type=type,
        height=H,
        round=Round(round),
        block_id=block,
        validator=validator,
        signature=b"s" * 65,
    )
    return VoteReceived(vote=made)


def proposal(round: int, block: BlockId, pol_round: int, valid: bool) -> ProposalReceived:
    made = Proposal(
        height=H,
        round=Round(round),
        block_id=block,
        pol_round=pol_round,
        proposer=SET.proposer(H, Round(round)).address,
        signature=b"s" * 65,
    )
    return ProposalReceived(proposal=made, valid=valid)


class Process:
    """An engine with a host that answers it at once and draws what others say."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.engine = Engine()
        self.favourite = self.draw.choice(BLOCKS)

    def start(self) -> None:
        self.answer(self.engine.step(START))

    def answer(self, effects: tuple[Effect, ...]) -> None:
        own: deque[Input] = deque()
        self.collect(effects, own)
        while own:
            self.collect(self.engine.step(own.popleft()), own)

    @staticmethod
    def collect(effects: tuple[Effect, ...], own: deque[Input]) -> None:
        for effect in effects:
            match effect:
                case SendVote(type=type, round=round, block_id=block_id):
                    own.append(vote(type, round, block_id, ME))
                case SendProposal(round=round, block_id=block_id, pol_round=pol_round):
                    own.append(proposal(round, block_id, pol_round, valid=True))
                case BuildValue(round=round):
                    own.append(ValueBuilt(height=H, round=round, block_id=BLOCKS[0]))

    def next_input(self) -> Input:
        draw, now = self.draw, self.engine.round
        round = max(0, now + draw.choice((0, 0, 0, 0, 1, 2, -1, -20)))
        what = draw.random()
        if what < 0.6:
            block = draw.choice((self.favourite, self.favourite, None, draw.choice(BLOCKS)))
            return vote(draw.choice(list(VoteType)), round, block, draw.choice(KEYS[1:]))
        if what < 0.75 and SET.proposer(H, Round(round)).address != ME:
            pol_round = draw.choice((-1, -1, round - 1, max(-1, round - 3)))
            return proposal(round, self.favourite, pol_round, valid=draw.random() < 0.9)
        kind = draw.choice(list(TimeoutKind))
        return TimeoutElapsed(timeout=Timeout(kind=kind, height=H, round=now))


def resumed(engine: Engine) -> tuple[Engine, tuple[Effect, ...]]:
    again = Engine()
    snapshot = engine.snapshot()
    assert snapshot is not None
    effects = again.step(StartHeight(height=H, validators=SET, me=ME, snapshot=snapshot))
    assert again.snapshot() == snapshot
    return again, effects


@settings(max_examples=examples(150))
@example(seed=20683)  # one block in two proposals of a round
@example(seed=540)  # several rounds whose precommits decide
@given(seed=st.integers(0, 2**32))
def test_a_resumed_engine_goes_on_as_the_other_would(seed: int) -> None:
    process = Process(seed)
    process.start()
    twin, _ = resumed(process.engine)
    for number in range(120):
        if process.engine.decided is not None:
            assert twin.decided == process.engine.decided
            return
        if number % 11 == seed % 11:
            twin, _ = resumed(process.engine)
        given_now = process.next_input()
        queue: deque[Input] = deque([given_now])
        while queue:
            input = queue.popleft()
            effects = process.engine.step(input)
            assert twin.step(input) == effects
            Process.collect(effects, queue)


ROUND, OLD = 60, range(30)
"""A late round, and those so old that of each validator the votes of a few of them are kept."""


@settings(max_examples=examples(100))
@given(
    before=st.lists(st.tuples(st.sampled_from(KEYS[1:]), st.sampled_from(OLD)), max_size=30),
    after=st.lists(st.tuples(st.sampled_from(KEYS[1:]), st.sampled_from(OLD)), max_size=8),
)
@example(
    before=[(KEYS[1], round) for round in (5, 3, 9, 1)],  # 5 is the next to be forgotten, not 1
    after=[(KEYS[1], 7)],
)
def test_a_resumed_engine_forgets_the_same_old_votes(
    before: list[tuple[Address, int]], after: list[tuple[Address, int]]
) -> None:
    engine = Engine()
    engine.step(START)
    for key in KEYS[1:]:
        engine.step(vote(VoteType.PREVOTE, ROUND, None, key))
    assert engine.round == ROUND
    for key, round in before:
        engine.step(vote(VoteType.PREVOTE, round, None, key))
    twin, _ = resumed(engine)
    votes = [vote(VoteType.PREVOTE, round, None, key).vote for key in KEYS[1:] for round in OLD]
    for key, round in after:
        for one in (engine, twin):
            one.step(vote(VoteType.PREVOTE, round, None, key))
        assert [engine.has_vote(v) for v in votes] == [twin.has_vote(v) for v in votes]


@settings(max_examples=examples(100))
@given(seed=st.integers(0, 2**32))
def test_whatever_is_locked_proposed_or_decided_is_known(seed: int) -> None:
    """And so the host, which keeps the values of what is known, has them."""
    process = Process(seed)
    process.start()
    engine = process.engine
    for _ in range(120):
        queue: deque[Input] = deque([process.next_input()])
        while queue:
            effects = engine.step(queue.popleft())
            for effect in effects:
                if isinstance(effect, Decided) or (
                    isinstance(effect, SendProposal) and effect.pol_round != NO_ROUND
                ):
                    assert engine.knows(effect.block_id)
            Process.collect(effects, queue)
        for block_id in (engine.locked_block, engine.valid_block):
            assert block_id is None or engine.knows(block_id)
        snapshot = engine.snapshot()
        if snapshot is None:
            return
        assert all(p.valid == engine.knows(p.proposal.block_id) for p in snapshot.proposals)


def test_what_is_known_is_bounded() -> None:
    """A height in which each round proposes another block."""
    engine = Engine()
    engine.step(START)
    blocks = [BlockId(round.to_bytes(32, "big")) for round in range(3 * PAST_ROUNDS)]
    for round, block in enumerate(blocks):
        engine.step(proposal(round, block, NO_ROUND, valid=True))
        assert engine.knows(block)
        for key in KEYS[1:]:
            engine.step(vote(VoteType.PRECOMMIT, round, None, key))
        engine.step(
            TimeoutElapsed(
                timeout=Timeout(kind=TimeoutKind.PRECOMMIT, height=H, round=Round(round))
            )
        )
        assert engine.round == round + 1
        known = [other for other in blocks if engine.knows(other)]
        assert known == blocks[max(0, round + 1 - PAST_ROUNDS) : round + 1]


def test_what_was_running_is_asked_for_again_and_contradictions_are_told_again() -> None:
    engine = Engine()
    engine.step(START)
    others = [key for key in KEYS if key != ME]
    for key in others[:2]:
        engine.step(vote(VoteType.PREVOTE, 0, None, key))
        engine.step(vote(VoteType.PRECOMMIT, 0, None, key))
    engine.step(vote(VoteType.PREVOTE, 0, BLOCKS[0], others[0]))
    for input in (
        TimeoutElapsed(timeout=Timeout(kind=TimeoutKind.PROPOSE, height=H, round=Round(0))),
        vote(VoteType.PREVOTE, 0, BLOCKS[1], ME),
        vote(VoteType.PRECOMMIT, 0, BLOCKS[1], others[2]),
    ):
        engine.step(input)
    _, effects = resumed(engine)
    (told,) = [e for e in effects if isinstance(e, Equivocation)]
    assert (told.first.block_id, told.second.block_id) == (None, BLOCKS[0])
    kinds = {e.timeout.kind for e in effects if isinstance(e, StartTimeout)}
    assert kinds == {TimeoutKind.REBROADCAST, TimeoutKind.PREVOTE, TimeoutKind.PRECOMMIT}


def test_there_is_no_snapshot_without_a_height_or_of_another_one() -> None:
    engine = Engine()
    assert engine.snapshot() is None
    engine.step(START)
    snapshot = engine.snapshot()
    wrong = StartHeight(height=Height(4), validators=SET, me=ME, snapshot=snapshot)
    with pytest.raises(ContractViolation):
        Engine().step(wrong)
