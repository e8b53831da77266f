"""The consensus host: runs one chain's engine between the network, the disk and the clock.

One task owns everything: it takes events from a mailbox and fires timers. Proposals are executed beside it
(`block_work`), since that may take longer than a round; the host waits only for a decided block. A node that is
no validator of the chain uses the same host without an engine: it applies decided blocks that are pushed or
pulled.
"""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import structlog
import trio

from consensus.signing import SignatureChecker, verify_certificate
from consensus.types import Address, Certificate, Vote
from node.concurrency.deadline import Alarm
from node.concurrency.height_gate import Started
from node.engine.application import FAULTS, Application, Diverged, NotReady, Unjudged, judge
from node.engine.early_messages import EarlyMessages, height_of
from node.engine.mailbox import Mailbox, PeerFrame
from node.engine.pacing import Pacing
from node.engine.participant import Participant
from node.metrics.counts import ConsensusCounts
from node.primitives.errors import DecodeError, InvalidBlock, PeerFault
from node.wire import DecidedMessage, ProposalMessage, StatusMessage, decode_body

STALE_REPLY_SECONDS = 0.5
RESEND_SECONDS = 0.25
COMMIT_RETRY_SECONDS = 0.25
CATCH_UP_SECONDS = 1.0  # without a pulled block, after which we take part again
OPENING_GRACE = 0.5  # for peers to say that they are ahead
FLUSH_AFTER = 16
"""Events that are waiting already are taken before what we have to say is made durable and sent, so that
one write serves for all of it; but not more than this."""


@dataclass(slots=True)
class _Apply:
    """A decided block from a peer, and where the answer goes. `more`: the peer has yet higher ones."""

    message: DecidedMessage
    more: bool
    done: trio.Event = field(default_factory=trio.Event)
    error: Exception | None = None


class _Work:
    """The application may have something to put into a block."""


class _PeerUp:
    """A validator of the chain has connected."""


@dataclass(slots=True)
class _Open:
    """Peers are there: heights may start. `waited`: no peer has to see a block to know that we are here."""

    waited: bool


class _Worked:
    """A block was built or judged."""


class _Alarm:
    """It may be time to start a height, or for one of its timers."""


_Event = PeerFrame | _Apply | _Work | _Worked | _PeerUp | _Open | _Alarm


class ConsensusHost:
    """See the module. `tell` sends a frame body to one peer, `on_ahead` hears of peers' heights,
    `validator_of` gives the consensus address behind a peer id, `halted` says that no height is to
    begin any more. A participant whose key has lost its seat follows, as a node without one does."""

    def __init__(
        self,
        *,
        app: Application,
        participant: Participant | None,
        checker: SignatureChecker,
        pacing: Pacing,
        tell: Callable[[str, StatusMessage], None],
        on_ahead: Callable[[str, int], None],
        validator_of: Callable[[str], Address | None],
        halted: Callable[[], bool] = lambda: False,
    ) -> None:
        self.app = app
        self.participant = participant
        self.counts = ConsensusCounts() if participant is None else participant.counts
        self._checker = checker
        self._pacing = pacing
        self._tell = tell
        self._on_ahead = on_ahead
        self._validator_of = validator_of
        self._halted = halted
        self._halt_noted = False
        self._log = structlog.get_logger().bind(chain=app.context.tag.decode())
        self._mailbox = Mailbox()
        self._alarm = Alarm(lambda: self._mailbox.post(_Alarm()))
        self._work_posted = False
        self._early = EarlyMessages()
        self._begun = False  # a peer has begun the next height
        self._replied: dict[str, float] = {}
        self._open = False
        self._started = False  # whether the engine runs the next height
        self._decided_at = 0.0
        self._resent_at = float("-inf")
        self._held_until = float("-inf")
        self._commit_at = float("inf")  # time of the next try to commit a decided block

    # ------------------------------------------------------------------ from other tasks

    async def deliver(self, peer: str, body: bytes) -> None:
        """A frame from the network. Waits while the peer has too much queued."""
        await self._mailbox.deliver(PeerFrame(peer, body))

    def notify_work(self) -> None:
        """The application may have work now. Cheap; may be called often."""
        if not (self._work_posted or self._started or self.participant is None):
            self._mailbox.post(_Work())
            self._work_posted = True

    def peer_up(self) -> None:
        """Note that a validator of the chain has connected; it may lack earlier messages."""
        if self.participant is not None:
            self._mailbox.post(_PeerUp())

    def open(self, *, restarted: bool = True) -> None:
        """Start heights from now on. Before, decided blocks are applied and messages kept.

        A node that has `restarted` begins a height soon, to see that the chain lives."""
        self._mailbox.post(_Open(not restarted))

    def close(self) -> None:
        """Take no more: `run` has ended, and the network goes on."""
        self._mailbox.close()

    async def apply_decided(self, message: DecidedMessage, *, more: bool = False) -> None:
        """Apply a block that others decided, if it is the next. Raises one of FAULTS."""
        request = _Apply(message, more)
        self._mailbox.post(request)
        await request.done.wait()
        if request.error is not None:
            raise request.error

    @property
    def waiting_events(self) -> int:
        """Events that wait to be handled."""
        return len(self._mailbox)

    def reached(self) -> int:
        """The highest height that this node has decided or helped to decide."""
        signed = 0 if self.participant is None else self.participant.precommitted
        return max(self.app.head_height(), signed)

    def status(self) -> dict[str, Any]:
        height = self.app.head_height()
        round_ = self.participant.round if self.participant is not None and self._started else 0
        return {"height": height, "round": round_}

    # ------------------------------------------------------------------ the task

    async def run(self, *, task_status: Started = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled."""
        self._decided_at = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._alarm.run)
            if self.participant is not None:
                nursery.start_soon(self.participant.work, lambda: self._mailbox.post(_Worked()))
            task_status.started()
            await self._serve()

    async def _serve(self) -> None:
        unflushed = 0  # events since what we have to say was sent
        while True:
            event = self._mailbox.get_nowait()
            if event is None or unflushed >= FLUSH_AFTER:
                unflushed = 0
                if self.participant is not None:
                    await self.participant.flush()
            if event is None:
                self._alarm.at(self._next_deadline())
                event = await self._mailbox.get()
            unflushed += 1
            await self._handle(event)
            await self._fire_timers()
            await self._maybe_start()

    def _next_deadline(self) -> float:
        if self.participant is None or not self._open:
            return float("inf")
        if self._started:
            return min(self.participant.next_timer(), self._commit_at)
        if not self._is_member() or self._halted():
            return float("inf")
        again = trio.current_time() + self._pacing.patience()
        return max(min(self._start_time(), again), self._held_until)

    def _start_time(self) -> float:
        return self._decided_at + self._pacing.pause(begun=self._begun, has_work=self.app.has_work)

    async def _fire_timers(self) -> None:
        if self.participant is not None and self._started:
            now = trio.current_time()
            if self._commit_at <= now:
                await self._settle()
            if self._started and self.participant.next_timer() <= now:
                await self.participant.fire_timers(now)
                await self._settle()

    async def _maybe_start(self) -> None:
        if self.participant is None or self._started or not self._open:
            return
        if not self._is_member() or self._is_halted():
            return
        if trio.current_time() < max(self._start_time(), self._held_until):
            return
        height = self.app.head_height() + 1
        self._started = True
        await self.participant.start(height)
        await self._settle()
        await self._take_early(height)

    def _is_member(self) -> bool:
        return self.participant is not None and self.participant.is_member

    def _is_halted(self) -> bool:
        halted = self._halted()
        if halted and not self._halt_noted:
            self._halt_noted = True
            self._log.error("halted: no height begins any more", height=self.app.head_height())
        return halted

    async def _take_early(self, height: int) -> None:
        """Go through the messages of a height that came before it was started here."""
        for peer, message in self._early.take(height):
            await self._blaming(peer, self._consensus_message, peer, message)

    async def _opened(self, waited: bool) -> None:
        """Go on where the journal ends, or begin a height soon: a block shows that the chain lives."""
        if self._open:
            return
        self._open = True
        grace = OPENING_GRACE if self.app.head_height() else 0.0
        heartbeat = self._pacing.heartbeat()
        self._decided_at = trio.current_time()
        if not waited:
            self._decided_at -= heartbeat - min(grace, heartbeat)
        if self.participant is not None:
            self._started = await self.participant.recover()
            if self._started:
                height = self.app.head_height() + 1
                await self._settle()
                await self._take_early(height)

    async def _settle(self) -> None:
        """After anything that may have decided the height: commit it and wait for the next."""
        assert self.participant is not None
        decision = self.participant.decision
        if decision is None:
            return
        certificate, value = decision.certificate, decision.value
        try:
            async with self.participant.paused(certificate.block_id):
                await self._commit(value, certificate)
            self.counts.decided += 1
        except NotReady as error:
            self._log.info(
                "a decided block has to wait",
                height=certificate.height,
                hash="0x" + certificate.block_id.hex(),
                reason=str(error),
            )
            self._commit_at = trio.current_time() + COMMIT_RETRY_SECONDS

    def _diverged(self, certificate: Certificate, reason: Exception) -> Diverged:
        return Diverged(
            f"{self.app.context.tag.decode()}: block {certificate.height} "
            f"(0x{certificate.block_id.hex()}) was decided, but is not valid here: {reason}; "
            "does this node run the same version as the others? If its data is damaged, delete "
            "its data directory but the last-signed records, and it syncs again"
        )

    async def _commit(self, value: bytes, certificate: Certificate) -> None:
        """Raises NotReady, and then nothing has changed; Diverged, which ends the node."""
        validators = self.app.validators()
        try:
            await self.app.commit(certificate.block_id, value, certificate)
        except NotReady:
            raise
        except FAULTS as error:  # of nobody: it is decided
            raise self._diverged(certificate, error) from error
        self._started = False
        self._begun = self._early.has(certificate.height + 1)
        self._commit_at = float("inf")
        self._decided_at = trio.current_time()
        self.counts.committed_at = self._decided_at
        self.counts.unsigned = len(validators) - certificate.signers.bit_count()
        if self.participant is not None:
            await self.participant.leave(certificate)
            for peer, message in self._early.take(certificate.height):  # if it never began here
                await self._blaming(peer, self._late, message)
        self._log.debug(
            "decided", height=certificate.height, round=certificate.round,
            hash="0x" + certificate.block_id.hex(),
        )  # fmt: skip

    # ------------------------------------------------------------------ events

    async def _handle(self, event: _Event) -> None:
        match event:
            case PeerFrame(peer=peer, body=body):
                await self._blaming(peer, self._frame, peer, body)
            case _Alarm():
                pass  # the timers are looked at after every event
            case _Work():
                self._work_posted = False
            case _Worked():
                assert self.participant is not None
                await self.participant.finish()
                await self._settle()
            case _Open(waited=waited):
                await self._opened(waited)
            case _PeerUp():
                await self._resend()
            case _Apply():
                try:
                    await self._apply(event.message)
                except FAULTS as error:
                    event.error = error
                else:
                    if event.more:
                        self._held_until = trio.current_time() + CATCH_UP_SECONDS
                    else:
                        self._held_until = float("-inf")
                event.done.set()

    async def _blaming(self, peer: str, handle: Callable[..., Any], *args: object) -> None:
        try:
            await handle(*args)
        except NotReady as error:
            self._log.debug("not ready for a frame", peer=peer, reason=str(error))
        except FAULTS as error:
            self._log.info("bad frame", peer=peer, reason=str(error))

    async def _frame(self, peer: str, body: bytes) -> None:
        message = decode_body(body)
        match message:
            case StatusMessage(height=height):
                self._on_ahead(peer, height)
            case DecidedMessage(certificate=certificate):
                head = self.app.head_height()
                if certificate.height == head + 1:
                    try:
                        await self._apply(message)
                    except NotReady:
                        self._on_ahead(peer, certificate.height)
                elif certificate.height > head:
                    self._on_ahead(peer, certificate.height)
            case _:
                sender = self._validator_of(peer)
                if sender is not None and height_of(message) <= self.app.head_height():
                    self._reply_stale(peer, height_of(message))  # it may have had a seat then
                    await self._late(message)
                elif sender not in self.app.validators():
                    raise PeerFault("it is no validator of this chain")
                else:
                    await self._consensus_message(peer, message)

    async def _consensus_message(self, peer: str, message: ProposalMessage | Vote) -> None:
        height, next_height = height_of(message), self.app.head_height() + 1
        if height < next_height:
            self._reply_stale(peer, height)
            await self._late(message)
            return
        if height > next_height:
            self._on_ahead(peer, height - 1)
        if self.participant is None or not self.participant.is_member:
            return
        if height == next_height and self._started:
            await self.participant.receive(message, self._validator_of(peer))
            await self._settle()
        elif height <= next_height + 1:
            if height == next_height and not self._begun:
                self.participant.check(message)
                self._begun = True
            self._early.add(peer, message)

    def _reply_stale(self, peer: str, height: int) -> None:
        """Tell a peer that votes on a decided height where we are, so that it syncs. Not too often.

        The last votes on our head come after a quorum of them: only a peer that repeats them needs an answer.
        """
        now = trio.current_time()
        if height == self.app.head_height() and now - self._decided_at < STALE_REPLY_SECONDS:
            return
        if now - self._replied.get(peer, float("-inf")) >= STALE_REPLY_SECONDS:
            self._replied[peer] = now
            self._tell(peer, StatusMessage(height=self.app.head_height()))

    async def _late(self, message: ProposalMessage | Vote) -> None:
        """A message of a decided height: it may contradict what its signer said then."""
        if self.participant is not None:
            await self.participant.late(message)

    async def _resend(self) -> None:
        now = trio.current_time()
        if self._started and now - self._resent_at >= RESEND_SECONDS:
            assert self.participant is not None
            self._resent_at = now
            await self.participant.resend()

    async def _apply(self, message: DecidedMessage) -> None:
        certificate = message.certificate
        if certificate.height != self.app.head_height() + 1:
            return  # decided here meanwhile
        verify_certificate(self.app.context, self.app.validators(), certificate, self._checker)
        if self.app.identify(message.value) != certificate.block_id:
            raise DecodeError("a decided block is not the one its certificate names")
        participant, block_id = self.participant, certificate.block_id
        async with nullcontext() if participant is None else participant.paused(block_id):
            await self._execute_decided(message)
            await self._commit(message.value, certificate)
        self.counts.synced += 1

    async def _execute_decided(self, message: DecidedMessage) -> None:
        """Execute a decided block.

        Raises the peer's fault, or NotReady; Diverged, if the quorum that decided it is to blame; Unjudged, or
        an error of the disk, if no other node is to blame.
        """
        certificate = message.certificate
        try:
            if await judge(self.app, message.value, decided=True) != certificate.block_id:
                raise DecodeError("a decided block is not the one its certificate names")
        except NotReady:
            raise
        except (InvalidBlock, DecodeError, Unjudged) as error:
            if not self.app.body_matches(message.value):
                # A peer has put other contents under a header that was decided.
                raise InvalidBlock(str(error)) from error
            if isinstance(error, Unjudged):
                raise
            raise self._diverged(certificate, error) from error
