"""A validator's part in one chain: the engine, its journal, its key and its timers.

The order of things is the engine's contract (see consensus.engine): every input is in the journal
before it is stepped, the journal is on disk before anything of ours is sent, and own messages are
stepped after the effects of the step that asked for them.
"""

from collections import deque
from collections.abc import Callable

import structlog
import trio

from consensus.effects import (
    BuildValue,
    Decided,
    Effect,
    EnteredRound,
    Equivocation,
    Rebroadcast,
    SendProposal,
    SendVote,
    StartTimeout,
)
from consensus.engine import Engine
from consensus.inputs import (
    Input,
    ProposalReceived,
    StartHeight,
    TimeoutElapsed,
    ValueBuilt,
    VoteReceived,
)
from consensus.params import TimeoutParams
from consensus.recovery import replay
from consensus.signing import (
    SignatureChecker,
    check_proposal,
    check_vote,
    proposal_sign_bytes,
    vote_sign_bytes,
)
from consensus.types import (
    Address,
    BlockId,
    Certificate,
    Height,
    Proposal,
    Round,
    Timeout,
    TimeoutKind,
    ValidatorSet,
    Vote,
)
from node.primitives.basics import keccak_fast
from node.primitives.errors import DecodeError, InvalidBlock
from node.primitives.keys import SigningKey
from node.runtime.application import Application
from node.runtime.journal import Built, Journal, Judged, Started
from node.runtime.wire import ProposalMessage
from node.storage.errors import WouldEquivocate
from node.storage.last_signed import LastSigned

PROPOSAL_STEP = 0  # before the vote types in LastSigned's order
KEPT_VALUES = 32


class Participant:
    """Everything that signs. Used by one task only (the host's)."""

    def __init__(
        self,
        *,
        app: Application,
        key: SigningKey,
        journal: Journal,
        last_signed: LastSigned,
        checker: SignatureChecker,
        timeouts: TimeoutParams,
        broadcast: Callable[[ProposalMessage | Vote], None],
    ) -> None:
        self._app = app
        self._key = key
        self._journal = journal
        self._last_signed = last_signed
        self._checker = checker
        self._timeouts = timeouts
        self._broadcast = broadcast
        self._engine = Engine()
        self._validators: ValidatorSet = app.validators()
        self._timers: dict[Timeout, float] = {}
        self._values: dict[BlockId, bytes] = {}
        self._valid: set[BlockId] = set()
        self._decision: Certificate | None = None
        self._log = structlog.get_logger().bind(chain=app.context.tag.decode())

    @property
    def round(self) -> int:
        return max(self._engine.round, 0)

    # ------------------------------------------------------------------ life of a height

    async def start(self, height: int) -> None:
        self._begin()
        self._journal.start(height)
        await self._step(self._start_input(height))

    def _begin(self) -> None:
        self._validators = self._app.validators()
        self._timers.clear()
        self._values.clear()
        self._valid.clear()
        self._decision = None

    def _start_input(self, height: int) -> StartHeight:
        return StartHeight(
            height=Height(height), validators=self._validators, me=Address(self._key.address)
        )

    async def recover(self) -> bool:
        """Replay the journal. True if a height had been started and goes on now."""
        height = self._app.head_height() + 1
        records = self._journal.replay(height)
        if not records:
            return False
        self._begin()
        inputs: list[Input] = []
        for record in records:
            match record:
                case Started():
                    inputs.append(self._start_input(height))
                case Judged(message=message, valid=valid):
                    if valid:
                        await self._judge_again(message.proposal.block_id, message.value)
                    inputs.append(ProposalReceived(proposal=message.proposal, valid=valid))
                case Vote():
                    inputs.append(VoteReceived(vote=record))
                case Built(block_id=block_id, value=value):
                    await self._judge_again(BlockId(block_id), value)
                    inputs.append(
                        ValueBuilt(
                            height=Height(height),
                            round=Round(record.round),
                            block_id=BlockId(block_id),
                        )
                    )
                case TimeoutElapsed():
                    inputs.append(record)
        self._engine = Engine()
        pending = replay(self._engine, inputs)
        self._log.info("journal replayed", height=height, records=len(records))
        await self._run_queue(deque(), pending)
        return True

    async def _judge_again(self, block_id: BlockId, value: bytes) -> None:
        """Rebuild what execution results a restart lost. What was valid stays so for the engine."""
        self._values[block_id] = value
        self._valid.add(block_id)
        try:
            await self._app.judge(value, decided=False)
        except (InvalidBlock, DecodeError) as error:
            self._log.info("a journalled block waits for its anchor", error=str(error))

    def abandon(self, height: int) -> None:
        """The height was decided by others: forget ours."""
        self._timers.clear()
        self._decision = None
        self._log.info("synced past a height", height=height)

    def take_decision(self) -> tuple[bytes, Certificate] | None:
        """The value and certificate of the height once it is decided; given once."""
        certificate, self._decision = self._decision, None
        if certificate is None:
            return None
        self._timers.clear()
        return self._values[certificate.block_id], certificate

    # ------------------------------------------------------------------ inputs

    async def receive(self, message: ProposalMessage | Vote) -> None:
        """A message of this height. Raises what is wrong with it: the sender's fault."""
        if isinstance(message, Vote):
            check_vote(self._app.context, self._validators, message, self._checker)
            self._journal.vote(message)
            await self._step(VoteReceived(vote=message))
            return
        check_proposal(self._app.context, self._validators, message.proposal, self._checker)
        valid = await self._judge(message)
        self._journal.judged(message, valid)
        await self._step(ProposalReceived(proposal=message.proposal, valid=valid))

    async def _judge(self, message: ProposalMessage) -> bool:
        block_id = message.proposal.block_id
        if block_id in self._valid:
            return True
        try:
            judged = await self._app.judge(message.value, decided=False)
        except (InvalidBlock, DecodeError) as error:
            self._log.warning("prevoting nil", height=message.proposal.height, reason=str(error))
            return False
        if judged != block_id:
            return False
        if len(self._values) >= KEPT_VALUES:  # a proposer can only add one a round; be safe
            return False
        self._valid.add(block_id)
        self._values[block_id] = message.value
        return True

    def next_timer(self) -> float:
        return min(self._timers.values(), default=float("inf"))

    async def fire_timers(self, now: float) -> None:
        due = sorted((at, t.kind) for t, at in self._timers.items() if at <= now)
        for at, kind in due:
            timeout = next(
                (t for t, when in self._timers.items() if when == at and t.kind == kind), None
            )
            if timeout is None:
                continue
            del self._timers[timeout]
            if timeout.kind is not TimeoutKind.REBROADCAST:
                self._journal.timeout(timeout)
            await self._step(TimeoutElapsed(timeout=timeout))

    async def _step(self, input: Input) -> None:
        await self._run_queue(deque([input]), ())

    async def _run_queue(self, queue: deque[Input], effects: tuple[Effect, ...]) -> None:
        for effect in effects:
            await self._perform(effect, queue)
        while queue:
            for effect in self._engine.step(queue.popleft()):
                await self._perform(effect, queue)

    # ------------------------------------------------------------------ effects

    async def _perform(self, effect: Effect, queue: deque[Input]) -> None:
        match effect:
            case SendVote():
                self._send_vote(effect, queue)
            case SendProposal():
                self._send_proposal(effect, queue)
            case BuildValue():
                await self._build(effect, queue)
            case StartTimeout(timeout=timeout):
                self._timers[timeout] = trio.current_time() + self._timeouts.duration(timeout)
            case Rebroadcast():
                self._rebroadcast(effect)
            case Decided(certificate=certificate):
                self._decision = certificate
            case Equivocation(first=first, second=second):
                self._log.error("equivocation", first=first, second=second)
            case EnteredRound(round=round_, height=height):
                if round_:
                    self._log.info("new round", height=height, round=round_)

    def _send_vote(self, effect: SendVote, queue: deque[Input]) -> None:
        preimage = vote_sign_bytes(
            self._app.context, effect.type, effect.height, effect.round, effect.block_id
        )
        signature = self._sign(effect.height, effect.round, effect.type, preimage)
        if signature is None:
            return
        vote = Vote(
            type=effect.type,
            height=effect.height,
            round=effect.round,
            block_id=effect.block_id,
            validator=Address(self._key.address),
            signature=signature,
        )
        self._journal.vote(vote)
        self._journal.sync()
        self._broadcast(vote)
        queue.append(VoteReceived(vote=vote))

    def _send_proposal(self, effect: SendProposal, queue: deque[Input]) -> None:
        preimage = proposal_sign_bytes(
            self._app.context, effect.height, effect.round, effect.block_id, effect.pol_round
        )
        signature = self._sign(effect.height, effect.round, PROPOSAL_STEP, preimage)
        if signature is None:
            return
        proposal = Proposal(
            height=effect.height,
            round=effect.round,
            block_id=effect.block_id,
            pol_round=effect.pol_round,
            proposer=Address(self._key.address),
            signature=signature,
        )
        message = ProposalMessage(proposal=proposal, value=self._values[effect.block_id])
        self._journal.judged(message, True)
        self._journal.sync()
        self._broadcast(message)
        queue.append(ProposalReceived(proposal=proposal, valid=True))

    def _sign(self, height: int, round_: int, step: int, preimage: bytes) -> bytes | None:
        digest = keccak_fast(preimage)
        try:
            self._last_signed.check_and_record(height, round_, step, digest)
        except WouldEquivocate as error:
            self._log.error("not signed", reason=str(error))
            return None
        return self._key.sign_digest(digest)

    async def _build(self, effect: BuildValue, queue: deque[Input]) -> None:
        block_id, value = await self._app.build()
        self._values[block_id] = value
        self._valid.add(block_id)
        self._journal.built(
            Built(height=effect.height, round=effect.round, block_id=block_id, value=value)
        )
        queue.append(ValueBuilt(height=effect.height, round=effect.round, block_id=block_id))

    def _rebroadcast(self, effect: Rebroadcast) -> None:
        if effect.proposal is not None:
            value = self._values.get(effect.proposal.block_id)
            if value is not None:
                self._broadcast(ProposalMessage(proposal=effect.proposal, value=value))
        for vote in effect.votes:
            self._broadcast(vote)
