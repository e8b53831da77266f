"""The messages of one height that are worth checking, journalling and stepping. Pure.

The engine bounds its own memory. The journal is bounded here: a validator can add so much per second, and a
proposal is judged once. Execution is bounded too, since a block can take long: a proposal of an earlier round
waits on a shelf until votes name it. (Votes that the engine counts already never get here: `Engine.has_vote`.)
Only signed messages are counted, so no peer can use up another validator's allowance.
"""

from collections import OrderedDict
from collections.abc import Callable

from consensus.proposals import MAX_PROPOSALS
from consensus.types import Address, BlockId, Proposal, Vote
from consensus.votes import PAST_ROUNDS
from node.wire import ProposalMessage

VOTES_BURST = 512.0
VOTES_PER_SECOND = 16.0
REJUDGE_SECONDS = 1.0
STASHED = 8
STASHED_PER_PROPOSER = 2

Brought = tuple[ProposalMessage, Address | None]
"""A proposal, and the peer that brought it. The signature covers the block alone. So a copy that another peer
passes on may be spoilt, and never replaces one that the proposer itself brought.
"""


class Admission:
    """One height of one chain. `now` is in seconds of any clock that does not go back."""

    def __init__(self) -> None:
        self._round = 0
        self._allowance: dict[Address, tuple[float, float]] = {}
        self._judged: dict[int, dict[tuple[BlockId, int], float | None]] = {}
        self._stash: OrderedDict[int, Brought] = OrderedDict()
        self._shelf: dict[ProposalMessage, Address | None] = {}  # with the peer that brought it
        self._faults: dict[Address | None, float] = {}

    # ------------------------------------------------------------------ votes

    def admit_vote(self, vote: Vote, now: float) -> bool:
        """Count a vote whose signature was checked; False if its signer sends too many."""
        tokens, at = self._allowance.get(vote.validator, (VOTES_BURST, now))
        tokens = min(VOTES_BURST, tokens + (now - at) * VOTES_PER_SECOND)
        if tokens < 1:
            return False
        self._allowance[vote.validator] = (tokens - 1, now)
        return True

    # ------------------------------------------------------------------ proposals

    def wants(self, message: ProposalMessage, sender: Address | None, now: float) -> bool:
        """True if a proposal is to be judged (again), or to be kept for its round."""
        proposal = message.proposal
        lied_at = self._faults.get(sender, float("-inf"))
        if sender != proposal.proposer and now < lied_at + REJUDGE_SECONDS:
            return False
        if proposal.round > self._round:
            held = self._stash.get(proposal.round)
            return held is None or held[0] != message
        if proposal.round < self._round - PAST_ROUNDS:
            return False  # if it is decided after all, it comes with its certificate
        judged = self._judged.get(proposal.round, {})
        key = (proposal.block_id, proposal.pol_round)
        if key not in judged:
            return len(judged) < MAX_PROPOSALS and message not in self._shelf
        refused_at = judged[key]
        return refused_at is not None and now >= refused_at + REJUDGE_SECONDS

    def fault(self, sender: Address | None, now: float) -> None:
        """Note that a peer passed on a proposal with an invalid value: it is not believed for a while."""
        if sender is not None:
            self._faults[sender] = now

    def stash(self, message: ProposalMessage, sender: Address | None) -> bool:
        """Keep a signed proposal of a later round until that begins; False if its round is here."""
        proposal = message.proposal
        if proposal.round <= self._round:
            return False
        held = self._stash.get(proposal.round)
        if held is not None and _is_original(*held) and not _is_original(message, sender):
            return True
        mine = [r for r, (m, _) in self._stash.items() if m.proposal.proposer == proposal.proposer]
        if proposal.round not in self._stash:
            if len(mine) >= STASHED_PER_PROPOSER:
                del self._stash[min(mine)]
            elif len(self._stash) >= STASHED:
                self._stash.popitem(last=False)
        self._stash[proposal.round] = message, sender
        return True

    def shelve(self, message: ProposalMessage, sender: Address | None) -> None:
        """Keep a signed proposal of a round that is over, for the case that votes name its block: of each
        proposer the last few, and not more than `STASHED`."""
        proposer, original = message.proposal.proposer, _is_original(message, sender)
        if message in self._shelf:
            if original:
                self._shelf[message] = sender
            return
        mine = [m for m in self._shelf if m.proposal.proposer == proposer]
        crowd = mine if len(mine) >= STASHED_PER_PROPOSER else list(self._shelf)
        if crowd is mine or len(crowd) >= STASHED:
            copies = [m for m in crowd if not _is_original(m, self._shelf[m])]
            if not copies and not original:
                return
            del self._shelf[(copies or crowd)[0]]
        self._shelf[message] = sender

    def take_named(self, names: Callable[[BlockId], bool]) -> list[Brought]:
        """The shelved proposals that votes name now."""
        if not self._shelf:
            return []
        named = [brought for brought in self._shelf.items() if names(brought[0].proposal.block_id)]
        for message, _ in named:
            del self._shelf[message]
        return named

    def note_judged(self, proposal: Proposal, *, valid: bool, now: float) -> bool:
        """Remember a verdict; True if it is new."""
        judged = self._judged.setdefault(proposal.round, {})
        key = (proposal.block_id, proposal.pol_round)
        new = valid or key not in judged
        judged[key] = None if valid else now
        return new

    # ------------------------------------------------------------------ rounds

    def enter(self, round_: int) -> Brought | None:
        """A round has begun: forget old ones, and return its proposal if it came before."""
        self._round = round_
        for old in [r for r in self._judged if r < round_ - PAST_ROUNDS]:
            del self._judged[old]
        waiting = self._stash.pop(round_, None)
        for old in [r for r in self._stash if r < round_]:
            del self._stash[old]
        return waiting


def _is_original(message: ProposalMessage, sender: Address | None) -> bool:
    """True if the proposer itself brought a proposal."""
    return sender == message.proposal.proposer
