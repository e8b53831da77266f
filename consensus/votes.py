"""The vote keeper: weighted tallies of one height in bounded memory.

Bounds against validators that sign anything (strangers never get this far):

- **Future rounds.** A validator's votes are kept in at most ``FUTURE_ROUNDS`` rounds after the
  current one; a later round replaces its own lowest. An honest validator only moves upwards, so its
  highest rounds say the most, and a spammer replaces nothing but its own votes.
- **Past rounds.** The last ``PAST_ROUNDS``, besides those still needed: the valid round, rounds that
  a proposal names as its proof, and rounds with a quorum of precommits whose block is missing. Of
  still older rounds each validator's votes are kept in the ``OLD_ROUNDS`` last heard of: after a long
  partition a validator's lock may be that old, and its polka may arrive before the proposal that
  names it.
- **Conflicting votes.** The second vote of a key is kept and counted as well as the first: it is
  evidence, and if others saw it first their quorum may rest on it. Further ones only for a block
  that more than a third of the stake votes for anyway, and never more than ``MAX_VOTES``.

Counting an equivocator for each of its blocks is what the paper's message log does; any two quorums
still share an honest validator. For "a quorum of any" everyone counts once.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from consensus.errors import ContractViolation
from consensus.types import BlockId, Height, Round, ValidatorSet, Vote, VoteType

FUTURE_ROUNDS: Final = 4
"""Rounds after the current one in which one validator's votes are kept."""
PAST_ROUNDS: Final = 16
"""Rounds before the current one of which everything is kept."""
OLD_ROUNDS: Final = 4
"""Rounds before those in which one validator's votes are kept, the last to arrive."""
MAX_VOTES: Final = 4
"""Conflicting votes kept per validator, round and type."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """The result of adding a vote: counted or not, and the pair that proves an equivocation."""

    counted: bool
    decisive: bool = False
    """The stake of a ballot, of a block or of a round has gone over a threshold. Of most votes that is not so,
    and they enable no rule."""
    equivocation: tuple[Vote, Vote] | None = None


_REFUSED: Final = Added(counted=False)
_COUNTED: Final = Added(counted=True)


class _Ballot:
    """The votes of one round and type."""

    __slots__ = ("power", "tally", "votes")

    def __init__(self) -> None:
        self.votes: dict[int, dict[BlockId | None, Vote]] = {}
        self.tally: dict[BlockId | None, int] = {}
        self.power = 0


class _RoundVotes:
    """The two ballots of one round and the stake of everyone heard in either."""

    __slots__ = ("ballots", "voice_power")

    def __init__(self) -> None:
        self.ballots = {VoteType.PREVOTE: _Ballot(), VoteType.PRECOMMIT: _Ballot()}
        self.voice_power = 0

    def heard(self, index: int) -> bool:
        ballots = self.ballots
        return (
            index in ballots[VoteType.PREVOTE].votes or index in ballots[VoteType.PRECOMMIT].votes
        )


class VoteKeeper:
    """Tallies of the votes of one height, whose signatures the host has checked."""

    def __init__(self, height: Height, validators: ValidatorSet) -> None:
        self._height = height
        self._validators = validators
        self._rounds: dict[int, _RoundVotes] = {}
        self._current = Round(0)
        self._wanted: set[int] = set()
        self._future: dict[int, list[Round]] = {}
        self._old: dict[int, list[Round]] = {}
        self._skips: set[Round] = set()
        self._quorums: dict[VoteType, dict[tuple[Round, BlockId], None]] = {t: {} for t in VoteType}

    def move_to(self, current: Round, wanted: Iterable[int]) -> None:
        """Make ``current`` the current round and forget the rounds that are not needed any more.

        ``wanted`` are past rounds to keep however old they are, as :meth:`want` does.
        """
        self._current = current
        self._wanted = set(wanted)
        self._skips = {round for round in self._skips if round > current}
        for index, rounds in list(self._future.items()):
            later = [round for round in rounds if round > current]
            if later:
                self._future[index] = later
            else:
                del self._future[index]
        listed = {round for rounds in self._old.values() for round in rounds}
        for round in [r for r in self._rounds if not self._is_needed(r) and r not in listed]:
            del self._rounds[round]
        polkas = self._quorums[VoteType.PREVOTE]
        for round, block_id in [polka for polka in polkas if polka[0] not in self._rounds]:
            del polkas[round, block_id]

    def want(self, round: int) -> None:
        """Keep the votes of this past round, too, while the current round lasts."""
        self._wanted.add(round)

    def _is_recent(self, round: int) -> bool:
        return round >= self._current - PAST_ROUNDS or round in self._wanted

    def _is_needed(self, round: int) -> bool:
        return self._is_recent(round) or any(
            round == committed for committed, _ in self._quorums[VoteType.PRECOMMIT]
        )

    def restore(self, current: Round, wanted: Iterable[int], votes: Iterable[Vote]) -> None:
        """Into an empty keeper: what another one kept in this round (:meth:`all`)."""
        self.move_to(current, wanted)
        for vote in votes:
            index = self._validators.index_of(vote.validator)
            if index is None:
                raise ContractViolation("a snapshot with a stranger's vote")
            self._count(index, vote)
        for round in sorted(self._rounds):
            lists = self._future if round > current else self._old
            if round > current or not self._is_recent(round):
                for index in range(len(self._validators)):
                    if self._rounds[round].heard(index):
                        lists.setdefault(index, []).append(Round(round))

    def has(self, vote: Vote) -> bool:
        """True if a vote with this content is counted already, under whichever signature."""
        index = self._validators.index_of(vote.validator)
        ballot = self._ballot(vote.type, vote.round)
        if index is None or ballot is None or vote.height != self._height:
            return False
        return vote.block_id in ballot.votes.get(index, ())

    def all(self) -> Iterator[Vote]:
        """Every vote that is kept, a validator's of one round and type in the order of arrival."""
        for entry in self._rounds.values():
            for ballot in entry.ballots.values():
                for votes in ballot.votes.values():
                    yield from votes.values()

    def add(self, vote: Vote) -> Added:
        """Count a vote, unless it is known, of another height, a stranger's, or out of bounds."""
        index = self._validators.index_of(vote.validator)
        if index is None or vote.height != self._height:
            return _REFUSED
        known = self._rounds.get(vote.round)
        earlier = known.ballots[vote.type].votes.get(index) if known else None
        if earlier and vote.block_id in earlier:
            return _REFUSED
        equivocation = None
        if known and earlier:
            if len(earlier) == 1:
                equivocation = (next(iter(earlier.values())), vote)
            elif len(earlier) >= MAX_VOTES or not self._validators.is_skip(
                known.ballots[vote.type].tally.get(vote.block_id, 0)
            ):
                return _REFUSED
        elif not self._make_room(index, vote.round):
            return _REFUSED
        decisive = self._count(index, vote)
        if not decisive and equivocation is None:
            return _COUNTED
        return Added(counted=True, decisive=decisive, equivocation=equivocation)

    def _count(self, index: int, vote: Vote) -> bool:
        """Count a vote; True if it is decisive (:class:`Added`)."""
        validators, round, block_id = self._validators, vote.round, vote.block_id
        power = validators.validators[index].power
        entry = self._rounds.get(round)
        if entry is None:
            entry = self._rounds[round] = _RoundVotes()
        ballot = entry.ballots[vote.type]
        decisive = False
        if not entry.heard(index):
            entry.voice_power = voices = entry.voice_power + power
            if round > self._current and validators.is_skip(voices):
                self._skips.add(round)
                decisive = not validators.is_skip(voices - power)
        votes = ballot.votes.get(index)
        if votes is None:
            votes = ballot.votes[index] = {}
            ballot.power += power
            decisive |= self._reaches_quorum(ballot.power, power)
        votes[block_id] = vote
        ballot.tally[block_id] = tally = ballot.tally.get(block_id, 0) + power
        if self._reaches_quorum(tally, power):
            decisive = True
            if block_id is not None:
                self._quorums[vote.type][round, block_id] = None
        return decisive

    def _reaches_quorum(self, stake: int, added: int) -> bool:
        is_quorum = self._validators.is_quorum
        return is_quorum(stake) and not is_quorum(stake - added)

    def _make_room(self, index: int, round: Round) -> bool:
        """Let the validator vote in this round, at the price of its lowest future round, or of the
        old round that was heard of first."""
        if not self._is_recent(round):
            old = self._old.setdefault(index, [])
            if round not in old:
                if len(old) >= OLD_ROUNDS:
                    evicted = old.pop(0)
                    if not self._is_needed(evicted):
                        self._forget(index, evicted)
                old.append(round)
            return True
        if round <= self._current:
            return True
        rounds = self._future.setdefault(index, [])
        if round in rounds:
            return True
        if len(rounds) >= FUTURE_ROUNDS:
            lowest = min(rounds)
            if round < lowest:
                return False
            rounds.remove(lowest)
            self._forget(index, lowest)
        rounds.append(round)
        return True

    def _forget(self, index: int, round: Round) -> None:
        entry = self._rounds.get(round)
        if entry is None or not entry.heard(index):
            return
        power = self._validators.validators[index].power
        for type, ballot in entry.ballots.items():
            votes = ballot.votes.pop(index, None)
            if votes is None:
                continue
            ballot.power -= power
            for block_id in votes:
                ballot.tally[block_id] -= power
                if not ballot.tally[block_id]:
                    del ballot.tally[block_id]
                if block_id is not None and not self.has_quorum(type, round, block_id):
                    self._quorums[type].pop((round, block_id), None)
        entry.voice_power -= power
        if not entry.voice_power:
            del self._rounds[round]
        if not self._validators.is_skip(entry.voice_power):
            self._skips.discard(round)

    def _ballot(self, type: VoteType, round: int) -> _Ballot | None:
        entry = self._rounds.get(round)
        return None if entry is None else entry.ballots[type]

    def power(self, type: VoteType, round: int, block_id: BlockId | None) -> int:
        """Stake that voted for this block, or for nil."""
        ballot = self._ballot(type, round)
        return 0 if ballot is None else ballot.tally.get(block_id, 0)

    def has_quorum(self, type: VoteType, round: int, block_id: BlockId | None) -> bool:
        """More than 2/3 of the stake voted for this block, or for nil."""
        return self._validators.is_quorum(self.power(type, round, block_id))

    def has_quorum_of_any(self, type: VoteType, round: int) -> bool:
        """More than 2/3 of the stake voted, for whatever."""
        ballot = self._ballot(type, round)
        return ballot is not None and self._validators.is_quorum(ballot.power)

    def quorums(self, type: VoteType, round: int) -> tuple[BlockId | None, ...]:
        """The block or nil that has a quorum, if any; more than one only with f >= n/3."""
        if not self.has_quorum_of_any(type, round):
            return ()
        ballot = self._rounds[round].ballots[type]
        return tuple(
            block_id
            for block_id, power in ballot.tally.items()
            if self._validators.is_quorum(power)
        )

    def commits(self) -> tuple[tuple[Round, BlockId], ...]:
        """The blocks with a quorum of precommits, and the rounds of these, ascending."""
        commits = self._quorums[VoteType.PRECOMMIT]
        return tuple(sorted(commits)) if commits else ()

    def polkas_between(self, after: int, before: Round) -> tuple[tuple[Round, BlockId], ...]:
        """The blocks with a quorum of prevotes in rounds between these two, the latest first."""
        polkas = self._quorums[VoteType.PREVOTE]
        if not polkas:
            return ()
        return tuple(sorted((p for p in polkas if after < p[0] < before), reverse=True))

    def is_named(self, block_id: BlockId) -> bool:
        """More than 1/3 of the stake, so an honest validator, voted for this block in one round and type."""
        return any(
            self._validators.is_skip(ballot.tally.get(block_id, 0))
            for entry in self._rounds.values()
            for ballot in entry.ballots.values()
        )

    def skip_round(self) -> Round | None:
        """The highest later round in which more than 1/3 of the stake votes already (L55)."""
        return max(self._skips) if self._skips else None

    def own(self, type: VoteType, round: int, index: int) -> Vote | None:
        """The first vote of the validator at this index."""
        ballot = self._ballot(type, round)
        votes = None if ballot is None else ballot.votes.get(index)
        return None if votes is None else next(iter(votes.values()))

    def votes_for(self, type: VoteType, round: int, block_id: BlockId | None) -> tuple[Vote, ...]:
        """All votes for this block, or for nil, in the order of the set."""
        ballot = self._ballot(type, round)
        if ballot is None:
            return ()
        return tuple(
            ballot.votes[index][block_id]
            for index in sorted(ballot.votes)
            if block_id in ballot.votes[index]
        )

    def proof_of_quorum(
        self, type: VoteType, round: int, block_id: BlockId | None
    ) -> tuple[Vote, ...]:
        """Just enough votes to show a quorum for the block, or () if there is none."""
        return self._enough(self.votes_for(type, round, block_id), quorum=True)

    def proof_of_round(self, round: Round) -> tuple[Vote, ...]:
        """Just enough votes to bring another process into this round, or () if there are none.

        Either a quorum of any precommits of the round before (L47) or votes of more than a third of
        the stake in this one (L55).
        """
        ended = self._ballot(VoteType.PRECOMMIT, round - 1)
        if ended is not None:
            votes = self._enough(self._first_votes(ended), quorum=True)
            if votes:
                return votes
        entry = self._rounds.get(round)
        if entry is None:
            return ()
        heard: dict[int, Vote] = {}
        for ballot in entry.ballots.values():
            for vote in self._first_votes(ballot):
                index = self._validators.index_of(vote.validator)
                if index is not None:
                    heard.setdefault(index, vote)
        return self._enough((heard[index] for index in sorted(heard)), quorum=False)

    @staticmethod
    def _first_votes(ballot: _Ballot) -> Iterator[Vote]:
        return (next(iter(ballot.votes[index].values())) for index in sorted(ballot.votes))

    def _enough(self, votes: Iterable[Vote], *, quorum: bool) -> tuple[Vote, ...]:
        is_enough = self._validators.is_quorum if quorum else self._validators.is_skip
        power = 0
        taken: list[Vote] = []
        for vote in votes:
            power += self._validators.power_of(vote.validator)
            taken.append(vote)
            if is_enough(power):
                return tuple(taken)
        return ()
