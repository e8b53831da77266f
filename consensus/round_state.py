"""The round state machine: Tendermint's lines 1-67 as a pure function.

Source: Buchman, Kwon, Milosevic, "The latest gossip on BFT consensus", arXiv 1807.04938v3,
Algorithm 1. Lines are cited as L22 and so on. An event says that the *messages* of a rule are there
(a quorum, a proposal); :func:`apply` holds the rest of its guard, so that offering an event that is
not enabled, or not any more, changes nothing.

Departures, none of which touches safety:

- L21: the proposer, too, has a propose timeout, for building a block can fail or take too long.
- L18: building is asynchronous: ``BuildValue`` out, ``ValueReady`` in.
- A ``REBROADCAST`` timer runs in every round, because messages can be lost here.
- L36, L49: a block counts as received whichever round's proposal brought it: the votes name its
  hash, and validity is a property of the block.
- L52-54: the next height is started by the host, after the block is stored.
"""

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final, TypeAlias, assert_never

from consensus.effects import (
    BuildValue,
    Decided,
    Effect,
    EnteredRound,
    SendProposal,
    SendVote,
    StartTimeout,
)
from consensus.types import (
    NO_ROUND,
    Address,
    BlockId,
    Certificate,
    Height,
    Round,
    Timeout,
    TimeoutKind,
    VoteType,
)

NOT_STARTED: Final = Round(-1)


class Step(IntEnum):
    """L4, and the end of the height."""

    PROPOSE = 1
    PREVOTE = 2
    PRECOMMIT = 3
    DECIDED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundState:
    """The variables of one process at one height (L1-9), and what happened "for the first time"."""

    height: Height
    round: Round = NOT_STARTED
    step: Step = Step.PROPOSE
    locked_round: int = NO_ROUND
    locked_block: BlockId | None = None
    valid_round: int = NO_ROUND
    valid_block: BlockId | None = None
    awaiting_value: bool = False
    """We propose in this round and BuildValue has not been answered (L18)."""
    prevote_timeout_started: bool = False
    """L34 has fired in this round."""
    polka_handled: bool = False
    """L36 has fired in this round."""
    precommit_timeout_started: bool = False
    """L47 has fired in this round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRound:
    """StartRound (L11), from the start (L10), a skip (L56), or the precommit timeout (L67)."""

    round: Round
    proposer: Address
    mine: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueReady:
    """getValue() of L18 has returned."""

    round: Round
    block_id: BlockId


@dataclass(frozen=True, slots=True, kw_only=True)
class FreshProposal:
    """A proposal of the current round with pol_round -1 (L22)."""

    block_id: BlockId
    valid: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproposal:
    """A proposal of the current round, together with the polka of its pol_round (L28)."""

    block_id: BlockId
    pol_round: int
    valid: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PolkaAny:
    """A quorum of prevotes of the current round, for whatever (L34)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolkaBlock:
    """A quorum of prevotes of the current round for one block, known to be valid (L36)."""

    block_id: BlockId


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierPolka:
    """A quorum of prevotes of an earlier round for one block, known to be valid.

    Not in the paper, where L36 is for the current round alone: see :func:`apply`.
    """

    round: Round
    block_id: BlockId


@dataclass(frozen=True, slots=True, kw_only=True)
class PolkaNil:
    """A quorum of prevotes of the current round for nil (L44)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrecommitAny:
    """A quorum of precommits of the current round, for whatever (L47)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrecommitValue:
    """A quorum of precommits of any round for one block, known to be valid (L49)."""

    certificate: Certificate


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposeTimeout:
    """OnTimeoutPropose of the current height and round (L57)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrevoteTimeout:
    """OnTimeoutPrevote of the current height and round (L61)."""


RoundEvent: TypeAlias = (
    NewRound
    | ValueReady
    | FreshProposal
    | Reproposal
    | PolkaAny
    | PolkaBlock
    | EarlierPolka
    | PolkaNil
    | PrecommitAny
    | PrecommitValue
    | ProposeTimeout
    | PrevoteTimeout
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """The state after an event, and the effects it asks for. An event that was not enabled returns the very
    same state and no effects.
    """

    state: RoundState
    effects: tuple[Effect, ...] = ()


def apply(state: RoundState, event: RoundEvent) -> Transition:
    """Apply one event. Total: defined for every state and event, and never raises."""
    same = Transition(state=state)
    if state.step is Step.DECIDED:  # "while decision[h] = nil"
        return same
    match event:
        case NewRound():
            return _start_round(state, event) if event.round > state.round else same  # L55

        case ValueReady(round=round, block_id=block_id):  # L18-19
            if round != state.round or state.step is not Step.PROPOSE or not state.awaiting_value:
                return same
            return Transition(
                state=replace(state, awaiting_value=False),
                effects=(
                    SendProposal(
                        height=state.height, round=round, block_id=block_id, pol_round=NO_ROUND
                    ),
                ),
            )

        case FreshProposal(block_id=block_id, valid=valid):  # L22
            if state.step is not Step.PROPOSE:
                return same
            unlocked = state.locked_round == NO_ROUND or state.locked_block == block_id
            return _prevote(state, block_id if valid and unlocked else None)  # L23-27

        case Reproposal(block_id=block_id, pol_round=pol_round, valid=valid):  # L28
            if state.step is not Step.PROPOSE or not 0 <= pol_round < state.round:
                return same
            unlocked = state.locked_round <= pol_round or state.locked_block == block_id
            return _prevote(state, block_id if valid and unlocked else None)  # L29-33

        case PolkaAny():  # L34-35
            if state.step is not Step.PREVOTE or state.prevote_timeout_started:
                return same
            return Transition(
                state=replace(state, prevote_timeout_started=True),
                effects=(_timeout(state, TimeoutKind.PREVOTE),),
            )

        case PolkaBlock(block_id=block_id):  # L36
            if state.step is Step.PROPOSE or state.polka_handled:
                return same
            valid_now = replace(  # L42-43
                state, polka_handled=True, valid_block=block_id, valid_round=state.round
            )
            if state.step is not Step.PREVOTE:  # L37
                return Transition(state=valid_now)
            locked = replace(valid_now, locked_block=block_id, locked_round=state.round)  # L38-39
            return _precommit(locked, block_id)  # L40-41

        case EarlierPolka(round=round, block_id=block_id):
            # L42-43 without L37-41. We would propose the block on which another validator may be locked,
            # whatever that validator's stake. Otherwise only the locked validators could propose it, when it is
            # their turn. Safe, since it changes what we propose, not what we vote for: L28 asks for the polka
            # as ever.
            if not state.valid_round < round < state.round:
                return same
            return Transition(state=replace(state, valid_block=block_id, valid_round=round))

        case PolkaNil():  # L44-46; the lock stays
            return _precommit(state, None) if state.step is Step.PREVOTE else same

        case PrecommitAny():  # L47-48
            if state.precommit_timeout_started:
                return same
            return Transition(
                state=replace(state, precommit_timeout_started=True),
                effects=(_timeout(state, TimeoutKind.PRECOMMIT),),
            )

        case PrecommitValue(certificate=certificate):  # L49-51
            return Transition(
                state=replace(state, step=Step.DECIDED, awaiting_value=False),
                effects=(
                    Decided(
                        height=state.height,
                        round=certificate.round,
                        block_id=certificate.block_id,
                        certificate=certificate,
                    ),
                ),
            )

        case ProposeTimeout():  # L57-60
            return _prevote(state, None) if state.step is Step.PROPOSE else same

        case PrevoteTimeout():  # L61-64
            return _precommit(state, None) if state.step is Step.PREVOTE else same

        case _:
            assert_never(event)


def resumed(state: RoundState) -> tuple[Effect, ...]:
    """The effects that this state has asked for and that are not answered, for a process that goes on in it.

    A timeout that has elapsed has left its mark on the state.
    """
    if state.step is Step.DECIDED:
        return ()
    running = [
        (TimeoutKind.PROPOSE, state.step is Step.PROPOSE),
        (TimeoutKind.REBROADCAST, True),
        (TimeoutKind.PREVOTE, state.step is Step.PREVOTE and state.prevote_timeout_started),
        (TimeoutKind.PRECOMMIT, state.precommit_timeout_started),
    ]
    timeouts = tuple(_timeout(state, kind) for kind, runs in running if runs)
    if state.awaiting_value:
        return *timeouts, BuildValue(height=state.height, round=state.round)
    return timeouts


def _start_round(state: RoundState, event: NewRound) -> Transition:
    round = event.round
    begun = replace(  # L12-13
        state,
        round=round,
        step=Step.PROPOSE,
        awaiting_value=False,
        prevote_timeout_started=False,
        polka_handled=False,
        precommit_timeout_started=False,
    )
    effects: list[Effect] = [
        EnteredRound(height=state.height, round=round, proposer=event.proposer),
        _timeout(begun, TimeoutKind.PROPOSE),  # L21
        _timeout(begun, TimeoutKind.REBROADCAST),
    ]
    if event.mine:  # L14
        if state.valid_block is not None:  # L15-16, L19
            effects.append(
                SendProposal(
                    height=state.height,
                    round=round,
                    block_id=state.valid_block,
                    pol_round=state.valid_round,
                )
            )
        else:  # L17-18
            begun = replace(begun, awaiting_value=True)
            effects.append(BuildValue(height=state.height, round=round))
    return Transition(state=begun, effects=tuple(effects))


def _prevote(state: RoundState, block_id: BlockId | None) -> Transition:
    return Transition(
        state=replace(state, step=Step.PREVOTE, awaiting_value=False),
        effects=(_vote(state, VoteType.PREVOTE, block_id),),
    )


def _precommit(state: RoundState, block_id: BlockId | None) -> Transition:
    return Transition(
        state=replace(state, step=Step.PRECOMMIT),
        effects=(_vote(state, VoteType.PRECOMMIT, block_id),),
    )


def _vote(state: RoundState, type: VoteType, block_id: BlockId | None) -> SendVote:
    return SendVote(type=type, height=state.height, round=state.round, block_id=block_id)


def _timeout(state: RoundState, kind: TimeoutKind) -> StartTimeout:
    return StartTimeout(timeout=Timeout(kind=kind, height=state.height, round=state.round))
