"""The engine: one chain's consensus as a deterministic function of its inputs."""

from collections.abc import Iterator
from typing import assert_never

from consensus.effects import Decided, Effect
from consensus.errors import ContractViolation
from consensus.height import HeightProcess
from consensus.inputs import (
    Input,
    ProposalReceived,
    Snapshot,
    StartHeight,
    TimeoutElapsed,
    ValueBuilt,
    VoteReceived,
)
from consensus.round_state import NOT_STARTED, Step
from consensus.types import NO_ROUND, BlockId, Height, Proposal, Round, Vote


class Engine:
    """Stake-weighted Tendermint for one chain; sans-IO, no clock, no randomness.

    The host feeds one input at a time to :meth:`step` and performs the effects in their order.
    Messages must have been checked (:mod:`consensus.signing`) before; those of another height are
    ignored, so the host keeps messages of the next height until it has started it. Whatever needs a
    retry is retried by the engine's own timeouts.

    **The contract of the host.** It makes restarts safe and is what :func:`consensus.recovery.replay`
    relies on:

    1. Every input is appended to the write-ahead log before any effect of its step is performed, and
       what changes the state (all of them, except REBROADCAST timeouts, which need not be logged at
       all) is durable before the effects of that step that leave the process.
    2. An own vote or proposal is signed, appended to the log as VoteReceived or
       ProposalReceived(valid=True), made durable, then noted in the last-signed record (or both by one
       write that a crash leaves whole or undone), and only then broadcast. For a proposal, the block
       is durable before that, too. Meanwhile it can be stepped, and more inputs after it: what leaves
       the process waits. The record never comes before the log: if it came first, a crash in between
       would leave a record of a vote that the replayed engine, which has lost the inputs that led to
       it, may not ask for again. The node could then not vote in that round at all, and some such
       nodes stall their height.
    3. Own messages are stepped after all effects of the step that asked for them, in the order in
       which they were logged, and before any other input.
    4. After a crash a new engine is fed the log from the last StartHeight, and the effects are
       ignored, except those that are still unanswered at the end of the log: SendVote, SendProposal
       and BuildValue without a logged answer, StartTimeouts of the current round that have not
       elapsed, Decided, and Equivocation. They are performed in order. Then the network is heard.
       A Decided or Equivocation may be performed twice that way; both must be idempotent. Own
       messages in the log are noted in the last-signed record, if it is not past them already.
    5. The log before a StartHeight can be dropped once that is durable. So can the log of a height,
       for a StartHeight with a :meth:`snapshot`, taken when all effects are performed and our own
       messages stepped.

    The engine does not wait for its own messages: a step that asks for a vote has already moved on,
    so that no later input can make it ask for a second, different one in the same round and type.

    A host that waits for work before it proposes delays StartHeight, not ValueBuilt: the propose
    timeout runs from the start of the round.
    """

    def __init__(self) -> None:
        self._process: HeightProcess | None = None
        self._decided: Decided | None = None

    def step(self, input: Input) -> tuple[Effect, ...]:
        """Take one input and return what to do, in order.

        Raises:
            ContractViolation: StartHeight for a height that is not higher than the current one. (To
                repeat a height would forget locks.)
        """
        process = self._process
        if isinstance(input, VoteReceived):  # most inputs
            if process is None or input.vote.height != process.state.height:
                return ()
            return self._note(process.on_vote(input))
        if isinstance(input, StartHeight):
            if process is not None and input.height <= process.state.height:
                raise ContractViolation(
                    f"height {input.height} started after {process.state.height}"
                )
            if input.snapshot is not None and input.snapshot.state.height != input.height:
                raise ContractViolation(f"a snapshot of another height than {input.height}")
            self._process = process = HeightProcess(input)
            self._decided = None
            return self._note(process.start())
        if process is None or _height_of(input) != process.state.height:
            return ()
        match input:
            case ProposalReceived():
                effects = process.on_proposal(input)
            case ValueBuilt():
                effects = process.on_value(input)
            case TimeoutElapsed():
                effects = process.on_timeout(input)
            case _:
                assert_never(input)
        return self._note(effects)

    def _note(self, effects: tuple[Effect, ...]) -> tuple[Effect, ...]:
        for effect in effects:
            if isinstance(effect, Decided):
                self._decided = effect
        return effects

    def has_vote(self, vote: Vote) -> bool:
        """True if a vote with this content is counted at the current height. However often it comes again, the
        host need not check, log or step it.
        """
        return self._process is not None and self._process.has_vote(vote)

    def snapshot(self) -> Snapshot | None:
        """The current height as it stands, for a shorter log; None if there is nothing to go on with. An engine
        that starts from it does what this one goes on to do.
        """
        process = self._process
        if process is None or process.state.step is Step.DECIDED:
            return None
        return process.snapshot()

    def knows(self, block_id: BlockId) -> bool:
        """True if this block may still be locked, proposed, or decided here: a kept proposal brought it, and it
        is valid. The host keeps its value as long as this is true.
        """
        return self._process is not None and self._process.knows(block_id)

    def valid_blocks(self) -> tuple[BlockId, ...]:
        """The blocks of the current height that are known to be valid, the one proposed first before the
        others. A host answers BuildValue with one of them rather than with a new one, which every validator
        would have to execute once more.
        """
        return () if self._process is None else self._process.valid_blocks()

    def names(self, block_id: BlockId) -> bool:
        """True if votes of more than a third of the stake, of one round and type, are for this block.

        An honest validator found it valid then. A proposal of an earlier round is worth judging only in this
        case: nothing else can make its block matter any more.
        """
        return self._process is not None and self._process.names(block_id)

    def messages(self) -> Iterator[Vote | Proposal]:
        """The kept messages of the current height."""
        return iter(()) if self._process is None else self._process.messages()

    @property
    def height(self) -> Height | None:
        """The height started last, or None before the first."""
        return None if self._process is None else self._process.state.height

    @property
    def round(self) -> Round:
        """The current round, -1 before the first StartHeight."""
        return NOT_STARTED if self._process is None else self._process.state.round

    @property
    def round_step(self) -> Step:
        """The current step."""
        return Step.PROPOSE if self._process is None else self._process.state.step

    @property
    def locked_round(self) -> int:
        """The round of the lock, or -1."""
        return NO_ROUND if self._process is None else self._process.state.locked_round

    @property
    def locked_block(self) -> BlockId | None:
        """The block this process is locked on."""
        return None if self._process is None else self._process.state.locked_block

    @property
    def valid_round(self) -> int:
        """The last round in which a polka for a valid block was seen, or -1."""
        return NO_ROUND if self._process is None else self._process.state.valid_round

    @property
    def valid_block(self) -> BlockId | None:
        """The block of that polka: what this process would propose."""
        return None if self._process is None else self._process.state.valid_block

    @property
    def decided(self) -> Decided | None:
        """The decision of the current height, once there is one."""
        return self._decided


def _height_of(
    input: ProposalReceived | ValueBuilt | TimeoutElapsed,
) -> Height:
    match input:
        case ProposalReceived(proposal=proposal):
            return proposal.height
        case ValueBuilt(height=height):
            return height
        case TimeoutElapsed(timeout=timeout):
            return timeout.height
        case _:
            assert_never(input)
