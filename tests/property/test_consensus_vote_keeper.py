"""The vote keeper next to a model that forgets nothing, under any mixture of honest and hostile votes.

Honest validators vote once per place and are never far from the current round; faulty ones vote for
anything anywhere, again and again. Whatever the faulty ones do:

- nothing is counted that was not cast, and nobody twice for the same;
- no honest vote of a recent round is missing;
- every quorum, skip and commit reported is one, and those of honest votes alone are reported;
- memory stays within its bounds.
"""

from collections import Counter, defaultdict
from typing import ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from consensus.types import Address, BlockId, Height, Round, Validator, ValidatorSet, Vote, VoteType
from consensus.votes import FUTURE_ROUNDS, MAX_VOTES, OLD_ROUNDS, PAST_ROUNDS, VoteKeeper

H = Height(3)
BLOCKS = (None, *(BlockId(bytes([i]) * 32) for i in range(1, 7)))
KEYS = [Address(bytes([i]) * 20) for i in range(1, 8)]
FAULTY = (0, 1)
HONEST = tuple(range(2, 7))
NEAR = 3
"""How far an honest validator is from the current round at most; less than FUTURE_ROUNDS."""

Place = tuple[VoteType, int]


class KeeperMachine(RuleBasedStateMachine):
    """Votes of seven validators, two of them faulty with less than a third of the stake."""

    reached: ClassVar[Counter[str]] = Counter()
    """What was there to be checked, over all runs."""

    @initialize(powers=st.lists(st.integers(3, 6), min_size=5, max_size=5))
    def start(self, powers: list[int]) -> None:
        everyone = zip(KEYS, (2, 2, *powers), strict=True)
        self.set = ValidatorSet(Validator(address=k, power=p) for k, p in everyone)
        assert not self.set.is_skip(self.power_of(FAULTY))
        self.keeper = VoteKeeper(H, self.set)
        self.current = 0
        self.cast: dict[Place, dict[int, set[BlockId | None]]] = defaultdict(
            lambda: defaultdict(set)
        )
        self.accused: set[tuple[int, Place]] = set()

    def power_of(self, voters) -> int:
        return sum(self.set.validators[i].power for i in voters)

    def vote(self, voter: int, type: VoteType, round: int, block: BlockId | None) -> None:
        place = (type, round)
        known = self.keeper.power(type, round, block)
        before = self.offers()
        added = self.keeper.add(
            Vote(
                type=type,
                height=H,
                round=Round(round),
                block_id=block,
                validator=KEYS[voter],
                signature=b"",
            )
        )
        self.cast[place][voter].add(block)
        if self.offers() - before:
            assert added.decisive
            self.reached["decisive"] += 1
        power = self.power_of([voter])
        assert self.keeper.power(type, round, block) == known + power * added.counted
        if added.equivocation is not None:
            first, second = added.equivocation
            assert voter in FAULTY
            assert first.block_id != second.block_id == block
            assert {first.block_id, second.block_id} <= self.cast[place][voter]
            assert first.validator == second.validator == KEYS[voter]

    def offers(self) -> set[object]:
        """What a rule asks for: quorums for something, and of any votes, and a later round to go to."""
        keeper, skip = self.keeper, self.keeper.skip_round()
        found: set[object] = {("skip", skip)} if skip is not None else set()
        for round in {vote.round for vote in keeper.all()}:
            for type in VoteType:
                found.update((type, round, block) for block in keeper.quorums(type, round))
                if keeper.has_quorum_of_any(type, round):
                    found.add((type, round))
        return found

    @rule(
        voter=st.sampled_from(HONEST),
        type=st.sampled_from(VoteType),
        offset=st.integers(-NEAR, NEAR),
        block=st.sampled_from(BLOCKS[:3]),
    )
    def honest(self, voter: int, type: VoteType, offset: int, block: BlockId | None) -> None:
        round = max(0, self.current + offset)
        said = self.cast[type, round][voter]
        self.vote(voter, type, round, next(iter(said)) if said else block)

    @rule(
        type=st.sampled_from(VoteType),
        offset=st.integers(-NEAR, NEAR),
        block=st.sampled_from(BLOCKS[:3]),
    )
    def honest_all(self, type: VoteType, offset: int, block: BlockId | None) -> None:
        """Who has not voted there votes for one block: a quorum, if all do."""
        for voter in HONEST:
            self.honest(voter, type, offset, block)

    @rule(
        voter=st.sampled_from(FAULTY),
        type=st.sampled_from(VoteType),
        offset=st.integers(-60, 200),
        block=st.sampled_from(BLOCKS),
    )
    def faulty(self, voter: int, type: VoteType, offset: int, block: BlockId | None) -> None:
        self.vote(voter, type, max(0, self.current + offset), block)

    @rule(voter=st.sampled_from(FAULTY), type=st.sampled_from(VoteType), offset=st.integers(-3, 3))
    def faulty_everything(self, voter: int, type: VoteType, offset: int) -> None:
        for block in BLOCKS:
            self.vote(voter, type, max(0, self.current + offset), block)

    @rule(by=st.sampled_from((1, 1, 1, 2, 9, 40)), valid=st.integers(-1, 50))
    def next_round(self, by: int, valid: int) -> None:
        self.current += by
        self.keeper.move_to(Round(self.current), {min(valid, self.current - 1)})

    @rule()
    def skip(self) -> None:
        later = self.keeper.skip_round()
        if later is not None:
            assert later > self.current
            self.reached["skip"] += 1
            self.current = later
            self.keeper.move_to(later, {-1})

    @rule(round=st.integers(0, 100))
    def want(self, round: int) -> None:
        self.keeper.want(round)

    def recent(self, round: int) -> bool:
        return round >= self.current - PAST_ROUNDS

    @invariant()
    def tallies_are_of_votes_that_were_cast(self) -> None:
        for (type, round), voters in self.cast.items():
            for block in BLOCKS:
                cast = {i for i, said in voters.items() if block in said}
                honest = cast & set(HONEST)
                power = self.keeper.power(type, round, block)
                assert power <= self.power_of(cast)
                if self.recent(round):
                    assert power >= self.power_of(honest)
                votes = self.keeper.votes_for(type, round, block)
                assert power == sum(self.set.power_of(v.validator) for v in votes)
                assert len({v.validator for v in votes}) == len(votes)
                assert all((v.type, v.round, v.block_id) == (type, round, block) for v in votes)

    @invariant()
    def quorums_are_quorums(self) -> None:
        for (type, round), voters in self.cast.items():
            quorums = self.keeper.quorums(type, round)
            assert len(quorums) <= 1, "two quorums share an honest validator"
            for block in BLOCKS:
                honest = {i for i in HONEST if block in voters.get(i, ())}
                reached = self.set.is_quorum(self.power_of(honest))
                if self.recent(round) and reached:
                    assert quorums == (block,)
                    self.reached["quorum"] += 1
                assert self.keeper.has_quorum(type, round, block) == (block in quorums)
                proof = self.keeper.proof_of_quorum(type, round, block)
                assert bool(proof) == (block in quorums)
            heard = {i for i in voters if voters[i]}
            if self.keeper.has_quorum_of_any(type, round):
                assert self.set.is_quorum(self.power_of(heard))
            elif self.recent(round):
                assert not self.set.is_quorum(self.power_of(heard & set(HONEST)))

    @invariant()
    def commits_are_commits(self) -> None:
        for round, block in self.keeper.commits():
            assert self.keeper.has_quorum(VoteType.PRECOMMIT, round, block)
            self.reached["commit"] += 1

    @invariant()
    def a_skip_has_an_honest_voice(self) -> None:
        later = self.keeper.skip_round()
        heard: dict[int, set[int]] = defaultdict(set)
        for (_, round), voters in self.cast.items():
            heard[round] |= {i for i in voters if voters[i]}
        honest = {
            round
            for round, voters in heard.items()
            if round > self.current and self.set.is_skip(self.power_of(voters & set(HONEST)))
        }
        if later is not None:
            assert heard[later] & set(HONEST)
            assert self.set.is_skip(self.power_of(heard[later]))
        assert max(honest, default=-1) <= (-1 if later is None else later)

    @invariant()
    def memory_is_bounded(self) -> None:
        rounds = self.keeper._rounds
        future = [round for round in rounds if round > self.current]
        old = [round for round in rounds if not self.recent(round)]
        assert len(future) <= len(KEYS) * FUTURE_ROUNDS
        for voter in FAULTY:
            mine = [r for r in future if rounds[r].heard(voter)]
            assert len(mine) <= FUTURE_ROUNDS
        needed = {round for round, _ in self.keeper.commits()} | self.keeper._wanted
        assert len(set(old) - needed) <= len(KEYS) * OLD_ROUNDS
        for entry in rounds.values():
            for ballot in entry.ballots.values():
                assert all(0 < len(votes) <= MAX_VOTES for votes in ballot.votes.values())


@pytest.mark.slow
def test_the_keeper_is_the_model_whatever_is_voted() -> None:
    KeeperMachine.reached.clear()
    often = settings(max_examples=80, stateful_step_count=60)
    run_state_machine_as_test(KeeperMachine, settings=often)
    assert set(KeeperMachine.reached) == {"skip", "quorum", "commit", "decisive"}
