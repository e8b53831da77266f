"""Bringing an engine back from its write-ahead log."""

from collections.abc import Hashable, Iterable

from consensus import effects
from consensus.engine import Engine
from consensus.inputs import (
    Input,
    ProposalReceived,
    StartHeight,
    TimeoutElapsed,
    ValueBuilt,
    VoteReceived,
)
from consensus.round_state import Step
from consensus.types import Address


def replay(engine: Engine, log: Iterable[Input]) -> tuple[effects.Effect, ...]:
    """Feed logged inputs to a new engine; return the effects that are still to be performed.

    These are described in point 4 of the contract of :class:`consensus.engine.Engine`. What they
    lead to is logged and stepped as ever.

    Args:
        log: inputs in the order of the log, starting with a StartHeight.

    Raises:
        ContractViolation: the log is not one that an engine's host writes.
    """
    open_effects: dict[Hashable, effects.Effect] = {}
    me: Address | None = None
    for input in log:
        if isinstance(input, StartHeight):
            open_effects.clear()
            me = input.me
        else:
            open_effects.pop(_answered_by(input, me), None)
        for effect in engine.step(input):
            key = _key(effect)
            if key is not None:
                open_effects.pop(key, None)  # a restarted timeout moves to the end
                open_effects[key] = effect
    return tuple(effect for effect in open_effects.values() if _is_current(effect, engine))


def _key(effect: effects.Effect) -> Hashable:
    """The key that matches an effect with its answer; None for an effect that replay drops."""
    match effect:
        case effects.SendVote(type=type, height=height, round=round):
            return effects.SendVote, type, height, round
        case effects.SendProposal(height=height, round=round):
            return effects.SendProposal, height, round
        case effects.BuildValue(height=height, round=round):
            return effects.BuildValue, height, round
        case effects.StartTimeout(timeout=timeout):
            return effects.StartTimeout, timeout
        case effects.Decided() | effects.Equivocation():
            return effect
        case effects.Rebroadcast() | effects.EnteredRound():
            return None


def _answered_by(
    input: ProposalReceived | VoteReceived | ValueBuilt | TimeoutElapsed,
    me: Address | None,
) -> Hashable:
    """The key of the effect that this input answers, or None."""
    match input:
        case VoteReceived(vote=vote):
            return (
                (effects.SendVote, vote.type, vote.height, vote.round)
                if vote.validator == me
                else None
            )
        case ProposalReceived(proposal=proposal):
            if proposal.proposer != me:
                return None
            return effects.SendProposal, proposal.height, proposal.round
        case ValueBuilt(height=height, round=round):
            return effects.BuildValue, height, round
        case TimeoutElapsed(timeout=timeout):
            return effects.StartTimeout, timeout


def _is_current(effect: effects.Effect, engine: Engine) -> bool:
    """True if performing the effect can still matter."""
    match effect:
        case effects.BuildValue(round=round):
            return engine.round_step is Step.PROPOSE and round == engine.round
        case effects.SendProposal(round=round):
            return engine.decided is None and round == engine.round
        case effects.StartTimeout(timeout=timeout):
            return engine.decided is None and timeout.round == engine.round
        case _:
            return True
