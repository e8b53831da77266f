"""The proposals of one height and the blocks known to be valid, in bounded memory.

An honest proposer signs one proposal per round. Of an equivocating one the first two are kept (they
are the evidence), and more, up to ``MAX_PROPOSALS``, only for a block that has a quorum of votes in
that round. Later rounds and past rounds are bounded as votes are (see :mod:`consensus.votes`).
"""

from collections.abc import Collection, Iterable, Iterator
from typing import Final

from consensus.types import Address, BlockId, Height, Proposal, Round, ValidatorSet
from consensus.votes import FUTURE_ROUNDS, PAST_ROUNDS

MAX_PROPOSALS: Final = 4
"""Conflicting proposals kept per round."""


class ProposalLog:
    """Proposals by round, whose signatures the host has checked."""

    def __init__(self, height: Height, validators: ValidatorSet) -> None:
        self._height = height
        self._validators = validators
        self._rounds: dict[Round, list[Proposal]] = {}
        self._valid: set[BlockId] = set()
        self._current = Round(0)

    def restore(self, current: Round, proposals: Iterable[tuple[Proposal, bool]]) -> None:
        """Into an empty log: what another one kept in this round, and whether each block is valid."""
        self._current = current
        for proposal, valid in proposals:
            self._rounds.setdefault(proposal.round, []).append(proposal)
            if valid:
                self._valid.add(proposal.block_id)

    def move_to(self, current: Round, needed: Collection[BlockId]) -> None:
        """Make ``current`` the current round; forget old rounds, except proposals of ``needed``."""
        self._current = current
        for round in [r for r in self._rounds if r < current - PAST_ROUNDS]:
            kept = [p for p in self._rounds[round] if p.block_id in needed]
            if kept:
                self._rounds[round] = kept
            else:
                del self._rounds[round]
        self._forget_blocks()

    def _forget_blocks(self) -> None:
        proposed = {p.block_id for proposals in self._rounds.values() for p in proposals}
        self._valid &= proposed

    def add(
        self, proposal: Proposal, *, valid: bool, has_quorum: bool
    ) -> tuple[bool, tuple[Proposal, Proposal] | None]:
        """Keep a proposal, or learn that a known one's block is valid.

        Args:
            valid: the host's judgement of the block.
            has_quorum: whether a quorum of prevotes or precommits of the proposal's round is for
                its block.

        Returns:
            Whether anything is new, and the pair that proves an equivocation, if it does.
        """
        round = proposal.round
        turn = self._validators.proposer(self._height, round).address
        if (
            proposal.height != self._height
            or proposal.proposer != turn
            or not proposal.pol_round < round
        ):
            return False, None
        known = self._rounds.get(round, [])
        subject = (proposal.block_id, proposal.pol_round)
        equivocation = None
        if all((p.block_id, p.pol_round) != subject for p in known):
            if len(known) >= MAX_PROPOSALS or (len(known) >= 2 and not has_quorum):
                return False, None
            if round < self._current - PAST_ROUNDS and not has_quorum:
                return False, None
            if not known and not self._make_room(round, turn):
                return False, None
            if len(known) == 1:
                equivocation = (known[0], proposal)
            self._rounds.setdefault(round, []).append(proposal)
        elif not valid or proposal.block_id in self._valid:
            return False, None
        if valid:
            self._valid.add(proposal.block_id)
        return True, equivocation

    def _make_room(self, round: Round, proposer: Address) -> bool:
        """Admit a new round, at the price of the same proposer's lowest future one."""
        if round <= self._current:
            return True
        rounds = [
            r for r in self._rounds if r > self._current and self._rounds[r][0].proposer == proposer
        ]
        if len(rounds) >= FUTURE_ROUNDS:
            lowest = min(rounds)
            if round < lowest:
                return False
            del self._rounds[lowest]
            self._forget_blocks()
        return True

    def all(self) -> Iterator[Proposal]:
        """Every proposal that is kept, those of one round in the order of arrival."""
        for proposals in self._rounds.values():
            yield from proposals

    def at(self, round: Round) -> tuple[Proposal, ...]:
        """The proposals of a round in the order of arrival."""
        return tuple(self._rounds.get(round, ()))

    def is_valid(self, block_id: BlockId) -> bool:
        """True if some proposal of this height brought the block and the host found it valid."""
        return block_id in self._valid

    def valid_blocks(self) -> tuple[BlockId, ...]:
        """The blocks known to be valid, in the order of the rounds that proposed them first."""
        ordered = (p.block_id for round in sorted(self._rounds) for p in self._rounds[round])
        return tuple(dict.fromkeys(block_id for block_id in ordered if block_id in self._valid))

    def of_block(self, block_id: BlockId) -> Proposal | None:
        """The first proposal that is kept of this block, if it is valid."""
        if block_id not in self._valid:
            return None
        return next((p for p in self.all() if p.block_id == block_id), None)
