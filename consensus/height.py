"""One height of one chain: the message log, and which rules it enables.

The paper states its rules as guards over everything received so far ("upon ... while ..."). So does
this: after each input the rules are offered to the round state machine, in a fixed order and from
the first again after each that fires, until none does. The outcome does not depend on the order in
which messages arrived further than the protocol itself does.
"""

from collections.abc import Iterator

from consensus import round_state
from consensus.effects import (
    Effect,
    Equivocation,
    Rebroadcast,
    SendProposal,
    SendVote,
    StartTimeout,
)
from consensus.evidence import Offence, place_of
from consensus.inputs import (
    ProposalReceived,
    Snapshot,
    StartHeight,
    TimeoutElapsed,
    ValueBuilt,
    VoteReceived,
)
from consensus.proposals import ProposalLog
from consensus.signing import certificate_from_votes
from consensus.types import NO_ROUND, BlockId, Proposal, Round, TimeoutKind, Vote, VoteType
from consensus.votes import VoteKeeper

_POLKA_NIL, _POLKA_ANY, _PRECOMMIT_ANY = (
    round_state.PolkaNil(),
    round_state.PolkaAny(),
    round_state.PrecommitAny(),
)


class HeightProcess:
    """A process of the paper, from its StartRound(0) to its decision.

    Its inputs are all of this height. ``state`` is for reading.
    """

    def __init__(self, start: StartHeight) -> None:
        self._validators = start.validators
        self._me = start.me
        self._index = None if start.me is None else start.validators.index_of(start.me)
        self._votes = VoteKeeper(start.height, start.validators)
        self._proposals = ProposalLog(start.height, start.validators)
        self.state = round_state.RoundState(height=start.height)
        self._snapshot = start.snapshot

    def start(self) -> tuple[Effect, ...]:
        """L10, or what a snapshot goes on with."""
        if self._snapshot is None:
            return self._settle(self._new_round(Round(0)))
        snapshot, self._snapshot = self._snapshot, None
        return self._resume(snapshot)

    def _resume(self, snapshot: Snapshot) -> tuple[Effect, ...]:
        """Contradictions are told again, as a replay of the log would."""
        self.state = state = snapshot.state
        self._proposals.restore(state.round, ((p.proposal, p.valid) for p in snapshot.proposals))
        self._count_again(snapshot.votes)
        known: dict[Offence, Vote | Proposal] = {}
        told: dict[Offence, Equivocation] = {}
        for message in self.messages():
            first = known.setdefault(place_of(message), message)
            if first is not message:
                told.setdefault(place_of(message), Equivocation(first=first, second=message))
        return (*told.values(), *round_state.resumed(state), *self._settle())

    def _count_again(self, votes: tuple[Vote, ...]) -> None:
        self._votes = VoteKeeper(self.state.height, self._validators)
        self._votes.restore(self.state.round, self._wanted_rounds(), votes)

    def snapshot(self) -> Snapshot:
        """Everything that is kept, with which we go on ourselves.

        Which vote of an old round makes way for another depends on the order in which they came, and that is
        not kept. So we forget it, too.
        """
        votes = tuple(self._votes.all())
        self._count_again(votes)
        return Snapshot(
            state=self.state,
            proposals=tuple(
                ProposalReceived(proposal=p, valid=self._proposals.is_valid(p.block_id))
                for p in self._proposals.all()
            ),
            votes=votes,
        )

    def on_proposal(self, received: ProposalReceived) -> tuple[Effect, ...]:
        """L22, L28, and the block of L36 and L49."""
        proposal = received.proposal
        added, pair = self._proposals.add(
            proposal,
            valid=received.valid,
            has_quorum=any(
                self._votes.has_quorum(type, proposal.round, proposal.block_id) for type in VoteType
            ),
        )
        if not added:
            return ()
        if proposal.pol_round != NO_ROUND and proposal.round - self.state.round in (0, 1):
            self._votes.want(proposal.pol_round)
        evidence = () if pair is None else (Equivocation(first=pair[0], second=pair[1]),)
        return (*evidence, *self._settle())

    def on_vote(self, received: VoteReceived) -> tuple[Effect, ...]:
        """The quorums of L28, L34, L36, L44, L47, L49, and L55."""
        added = self._votes.add(received.vote)
        if not added.counted:
            return ()
        pair = added.equivocation
        evidence = () if pair is None else (Equivocation(first=pair[0], second=pair[1]),)
        return (*evidence, *self._settle()) if added.decisive else evidence

    def has_vote(self, vote: Vote) -> bool:
        """True if the vote is counted already, so that stepping it would change nothing."""
        return self._votes.has(vote)

    def knows(self, block_id: BlockId) -> bool:
        """True if the block is known to be valid."""
        return self._proposals.is_valid(block_id)

    def valid_blocks(self) -> tuple[BlockId, ...]:
        """The blocks known to be valid, the one that was proposed first before the others."""
        return self._proposals.valid_blocks()

    def names(self, block_id: BlockId) -> bool:
        """True if votes of more than a third of the stake, of one round and type, are for this block."""
        return self._votes.is_named(block_id)

    def messages(self) -> Iterator[Vote | Proposal]:
        """The kept messages of this height."""
        yield from self._proposals.all()
        yield from self._votes.all()

    def on_value(self, built: ValueBuilt) -> tuple[Effect, ...]:
        """L18."""
        return self._settle(round_state.ValueReady(round=built.round, block_id=built.block_id))

    def on_timeout(self, elapsed: TimeoutElapsed) -> tuple[Effect, ...]:
        """L57-67. A timeout that is not of the current round and step, or was not started, is ignored."""
        timeout = elapsed.timeout
        state = self.state
        if timeout.round != state.round or state.step is round_state.Step.DECIDED:
            return ()
        again = self._rebroadcast()
        match timeout.kind:
            case TimeoutKind.REBROADCAST:
                return (*again, StartTimeout(timeout=timeout))
            case TimeoutKind.PROPOSE:
                event: round_state.RoundEvent = round_state.ProposeTimeout()
            case TimeoutKind.PREVOTE if state.prevote_timeout_started:
                event = round_state.PrevoteTimeout()
            case TimeoutKind.PRECOMMIT if state.precommit_timeout_started:  # L65-67
                event = self._new_round(Round(state.round + 1))
            case _:
                return ()
        effects = self._settle(event)
        return (*again, *effects) if self.state is not state else ()

    def _new_round(self, round: Round) -> round_state.NewRound:
        proposer = self._validators.proposer(self.state.height, round).address
        return round_state.NewRound(
            round=round,
            proposer=proposer,
            mine=self._index is not None and proposer == self._me,
        )

    def _settle(self, first: round_state.RoundEvent | None = None) -> tuple[Effect, ...]:
        """Apply an event, if given, and then every rule that the message log enables."""
        effects: list[Effect] = []
        if first is not None:
            self._fire(first, effects)
        while self.state.step is not round_state.Step.DECIDED:
            if not any(self._fire(event, effects) for event in self._offers()):
                break
        return tuple(effects)

    def _offers(self) -> Iterator[round_state.RoundEvent]:
        """Every rule whose messages are there; the rest of the guard is up to ``apply``."""
        votes, proposals, round = self._votes, self._proposals, self.state.round
        for committed_round, block_id in votes.commits():  # L49
            if proposals.is_valid(block_id):
                precommits = votes.votes_for(VoteType.PRECOMMIT, committed_round, block_id)
                yield round_state.PrecommitValue(
                    certificate=certificate_from_votes(self._validators, precommits)
                )
        later = votes.skip_round()
        if later is not None:  # L55
            yield self._new_round(later)
        for proposal in proposals.at(round):
            block_id = proposal.block_id
            valid = proposals.is_valid(block_id)
            if proposal.pol_round == NO_ROUND:  # L22
                yield round_state.FreshProposal(block_id=block_id, valid=valid)
            elif votes.has_quorum(VoteType.PREVOTE, proposal.pol_round, block_id):  # L28
                yield round_state.Reproposal(
                    block_id=block_id, pol_round=proposal.pol_round, valid=valid
                )
        for polka in votes.quorums(VoteType.PREVOTE, round):
            if polka is None:  # L44
                yield _POLKA_NIL
            elif proposals.is_valid(polka):  # L36
                yield round_state.PolkaBlock(block_id=polka)
        for earlier, block_id in votes.polkas_between(self.state.valid_round, round):
            if proposals.is_valid(block_id):
                yield round_state.EarlierPolka(round=earlier, block_id=block_id)
        if votes.has_quorum_of_any(VoteType.PREVOTE, round):  # L34
            yield _POLKA_ANY
        if votes.has_quorum_of_any(VoteType.PRECOMMIT, round):  # L47
            yield _PRECOMMIT_ANY

    def _fire(self, event: round_state.RoundEvent, effects: list[Effect]) -> bool:
        """Apply one event; whether it was enabled."""
        before = self.state
        transition = round_state.apply(before, event)
        if transition.state is before:
            return False
        self.state = transition.state
        if self.state.round != before.round:
            self._enter(self.state.round)
        elif self.state.valid_round != before.valid_round:
            self._votes.want(self.state.valid_round)
        for effect in transition.effects:
            effects.extend(self._permitted(effect))
        return True

    def _enter(self, round: Round) -> None:
        state = self.state
        needed = {block_id for _, block_id in self._votes.commits()}
        needed.update(b for b in (state.locked_block, state.valid_block) if b is not None)
        self._proposals.move_to(round, needed)
        self._votes.move_to(round, self._wanted_rounds())

    def _wanted_rounds(self) -> set[int]:
        """Past rounds whose votes are needed however old they are."""
        round = self.state.round
        named = [p for r in (round, round + 1) for p in self._proposals.at(Round(r))]
        return {self.state.valid_round, *(p.pol_round for p in named)}

    def _permitted(self, effect: Effect) -> tuple[Effect, ...]:
        """The effect, unless it signs for a follower or at a place where a message of our own is known already.

        The latter happens only to a process that lost its log and hears its own past from its peers.
        """
        match effect:
            case SendVote(type=type, round=round):
                if self._index is None or self._votes.own(type, round, self._index):
                    return ()
            case SendProposal(round=round, block_id=block_id, pol_round=pol_round):
                if self._proposals.at(round):
                    return ()
                if pol_round != NO_ROUND:  # L28 needs the polka as much as the proposal
                    polka = self._votes.proof_of_quorum(VoteType.PREVOTE, pol_round, block_id)
                    return effect, Rebroadcast(proposal=None, votes=polka)
            case _:
                pass
        return (effect,)

    def _rebroadcast(self) -> tuple[Rebroadcast, ...]:
        """The messages that a peer may lack to follow us: see :class:`consensus.effects.Rebroadcast`."""
        state, votes = self.state, self._votes
        again: dict[Vote, None] = {}
        if self._index is not None:
            for type in VoteType:
                own = votes.own(type, state.round, self._index)
                if own is not None:
                    again[own] = None
        if state.round > 0:
            again.update(dict.fromkeys(votes.proof_of_round(state.round)))
        if state.valid_block is not None:
            polka = votes.proof_of_quorum(VoteType.PREVOTE, state.valid_round, state.valid_block)
            again.update(dict.fromkeys(polka))
        proposal = next(iter(self._proposals.at(state.round)), None)
        if proposal is None and state.valid_block is not None:
            proposal = self._proposals.of_block(state.valid_block)
        if proposal is None and not again:
            return ()
        return (Rebroadcast(proposal=proposal, votes=tuple(again)),)
