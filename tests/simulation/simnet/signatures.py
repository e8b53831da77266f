"""What nodes sign, with the fake signatures of ``scheme.py``."""

from consensus import (
    ChainContext,
    Proposal,
    ProposalReceived,
    SendProposal,
    SendVote,
    Vote,
    VoteReceived,
    proposal_sign_bytes,
    vote_sign_bytes,
)
from tests.simulation.simnet.disk import Place
from tests.simulation.simnet.scheme import address, sign

Own = VoteReceived | ProposalReceived
"""A message of ours on its way to the log and the engine."""


def make_vote(context: ChainContext, key: int, asked: SendVote) -> Vote:
    """The vote that an effect asks for, signed."""
    preimage = vote_sign_bytes(context, asked.type, asked.height, asked.round, asked.block_id)
    return Vote(
        type=asked.type,
        height=asked.height,
        round=asked.round,
        block_id=asked.block_id,
        validator=address(key),
        signature=sign(key, preimage),
    )


def make_proposal(context: ChainContext, key: int, asked: SendProposal) -> Proposal:
    """The proposal that an effect asks for, signed."""
    preimage = proposal_sign_bytes(
        context, asked.height, asked.round, asked.block_id, asked.pol_round
    )
    return Proposal(
        height=asked.height,
        round=asked.round,
        block_id=asked.block_id,
        pol_round=asked.pol_round,
        proposer=address(key),
        signature=sign(key, preimage),
    )


def signed_part(context: ChainContext, own: Own) -> tuple[Place, object, bytes]:
    """Where a message was signed, what it says there, and the preimage of its signature."""
    match own:
        case VoteReceived(vote=vote):
            text = vote_sign_bytes(context, vote.type, vote.height, vote.round, vote.block_id)
            return (vote.height, vote.round, int(vote.type)), vote.block_id, text
        case ProposalReceived(proposal=said):
            text = proposal_sign_bytes(
                context, said.height, said.round, said.block_id, said.pol_round
            )
            return (said.height, said.round, 0), (said.block_id, said.pol_round), text
