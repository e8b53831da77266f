"""The consensus host: runs one chain's engine between the network, the disk and the clock.

One task owns everything: it takes events from a bounded mailbox and fires timers, so there are no
locks. A node that is no validator of the chain uses the same host without an engine: it applies decided
blocks that are pushed or pulled.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import structlog
import trio

from consensus.errors import ConsensusError
from consensus.signing import SignatureChecker, verify_certificate
from consensus.types import Certificate, Vote
from node.primitives.errors import AtollError, DecodeError, InvalidBlock, PeerFault
from node.runtime.application import Application
from node.runtime.participant import Participant
from node.runtime.waiting import Started
from node.runtime.wire import (
    DecidedMessage,
    ProposalMessage,
    StatusMessage,
    decode_body,
)

MAILBOX_FRAMES = 4096
MAILBOX_BYTES = 64 << 20
NEXT_HEIGHT_MESSAGES = 512
STALE_REPLY_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Pacing:
    """When a new height starts: with work after `min_interval`, without after `heartbeat` (seconds)."""

    min_interval: float
    heartbeat: float


@dataclass(frozen=True, slots=True)
class _Frame:
    peer: str
    body: bytes


@dataclass(slots=True)
class _Apply:
    """A decided block from a peer, and where the answer goes."""

    message: DecidedMessage
    done: trio.Event = field(default_factory=trio.Event)
    error: Exception | None = None


class _Work:
    """The application has something to put into a block."""


_WORK = _Work()


class ConsensusHost:
    """See the module. `tell` sends a frame body to one peer, `on_ahead` hears of peers' heights."""

    def __init__(
        self,
        *,
        app: Application,
        participant: Participant | None,
        checker: SignatureChecker,
        pacing: Pacing,
        tell: Callable[[str, StatusMessage], None],
        on_ahead: Callable[[str, int], None],
    ) -> None:
        self.app = app
        self.participant = participant
        self._checker = checker
        self._pacing = pacing
        self._tell = tell
        self._on_ahead = on_ahead
        self._log = structlog.get_logger().bind(chain=app.context.tag.decode())
        self._send, self._receive = trio.open_memory_channel[Any](MAILBOX_FRAMES)
        self._queued_bytes = 0
        self._work_posted = False
        self._early: OrderedDict[bytes, tuple[str, ProposalMessage | Vote]] = OrderedDict()
        self._replied: dict[str, float] = {}
        self._started = False  # whether the engine runs the next height
        self._decided_at = 0.0

    # ------------------------------------------------------------------ from other tasks

    def deliver(self, peer: str, body: bytes) -> None:
        """A frame from the network. Dropped when the mailbox is full: everything can be asked again."""
        if self._queued_bytes + len(body) > MAILBOX_BYTES:
            return
        try:
            self._send.send_nowait(_Frame(peer, body))
        except trio.WouldBlock:
            return
        self._queued_bytes += len(body)

    def notify_work(self) -> None:
        """The application may have work now. Cheap; may be called often."""
        if self._work_posted or self._started or self.participant is None:
            return
        try:
            self._send.send_nowait(_WORK)
            self._work_posted = True
        except trio.WouldBlock:
            pass

    async def apply_decided(self, message: DecidedMessage) -> None:
        """Apply a block that others decided, if it is the next. Raises what is wrong with it."""
        request = _Apply(message)
        await self._send.send(request)
        await request.done.wait()
        if request.error is not None:
            raise request.error

    def status(self) -> dict[str, Any]:
        height = self.app.head_height()
        round_ = self.participant.round if self.participant is not None and self._started else 0
        return {"height": height, "round": round_}

    # ------------------------------------------------------------------ the task

    async def run(self, *, task_status: Started = trio.TASK_STATUS_IGNORED) -> None:
        """Recover, then serve until cancelled."""
        self._decided_at = trio.current_time()
        if self.app.head_height() == 0:  # a new chain has nothing to wait for
            self._decided_at -= self._pacing.heartbeat
        if self.participant is not None:
            self._started = await self.participant.recover()
            await self._settle()
        task_status.started()
        while True:
            event: Any = None
            with trio.move_on_at(self._next_deadline()):
                event = await self._receive.receive()
            if event is not None:
                await self._handle(event)
            await self._fire_timers()
            await self._maybe_start()

    def _next_deadline(self) -> float:
        if self.participant is None:
            return float("inf")
        if self._started:
            return self.participant.next_timer()
        earliest = self._decided_at + self._pacing.min_interval
        latest = self._decided_at + self._pacing.heartbeat
        return earliest if self.app.has_work() or self._early else latest

    async def _fire_timers(self) -> None:
        if self.participant is not None and self._started:
            await self.participant.fire_timers(trio.current_time())
            await self._settle()

    async def _maybe_start(self) -> None:
        if self.participant is None or self._started:
            return
        now, since = trio.current_time(), self._decided_at
        due = now >= since + self._pacing.heartbeat
        wanted = self.app.has_work() and now >= since + self._pacing.min_interval
        if not (due or wanted or self._early):
            return
        self._started = True
        await self.participant.start(self.app.head_height() + 1)
        await self._settle()
        early, self._early = self._early, OrderedDict()
        for peer, message in early.values():
            await self._consensus_message(peer, message, b"")

    async def _settle(self) -> None:
        """After anything that may have decided the height: commit it and wait for the next."""
        assert self.participant is not None
        decision = self.participant.take_decision()
        if decision is not None:
            value, certificate = decision
            await self._commit(value, certificate)

    async def _commit(self, value: bytes, certificate: Certificate) -> None:
        await self.app.commit(certificate.block_id, value, certificate)
        self._started = False
        self._decided_at = trio.current_time()
        self._log.debug(
            "decided", height=certificate.height, round=certificate.round,
            hash=certificate.block_id.hex()[:16],
        )  # fmt: skip

    # ------------------------------------------------------------------ events

    async def _handle(self, event: _Frame | _Apply | _Work) -> None:
        match event:
            case _Work():
                self._work_posted = False
            case _Apply():
                try:
                    await self._apply(event.message)
                except (AtollError, ConsensusError) as error:
                    event.error = error
                event.done.set()
            case _Frame(peer=peer, body=body):
                self._queued_bytes -= len(body)
                try:
                    await self._frame(peer, body)
                except (PeerFault, ConsensusError, InvalidBlock) as error:
                    self._log.info("bad frame", peer=peer, error=str(error))

    async def _frame(self, peer: str, body: bytes) -> None:
        message = decode_body(body)
        match message:
            case StatusMessage(height=height):
                self._on_ahead(peer, height)
            case DecidedMessage(certificate=certificate):
                head = self.app.head_height()
                if certificate.height == head + 1:
                    await self._apply(message)
                elif certificate.height > head:
                    self._on_ahead(peer, certificate.height)
            case _:
                if self.participant is not None:
                    await self._consensus_message(peer, message, body)

    async def _consensus_message(
        self, peer: str, message: ProposalMessage | Vote, body: bytes
    ) -> None:
        assert self.participant is not None
        height = (message if isinstance(message, Vote) else message.proposal).height
        next_height = self.app.head_height() + 1
        if height < next_height:
            self._reply_stale(peer)
        elif height > next_height:
            self._on_ahead(peer, height - 1)
        elif self._started:
            await self.participant.receive(message)
            await self._settle()
        elif len(self._early) < NEXT_HEIGHT_MESSAGES:
            # Somebody began the next height: so do we, as soon as this event is done with.
            self._early[body] = (peer, message)

    def _reply_stale(self, peer: str) -> None:
        """Somebody votes on what is decided: say where we are, so that it syncs. Not too often."""
        now = trio.current_time()
        if now - self._replied.get(peer, -1.0) >= STALE_REPLY_SECONDS:
            self._replied[peer] = now
            self._tell(peer, StatusMessage(height=self.app.head_height()))

    async def _apply(self, message: DecidedMessage) -> None:
        certificate = message.certificate
        if certificate.height != self.app.head_height() + 1:
            return  # decided here meanwhile
        verify_certificate(self.app.context, self.app.validators(), certificate, self._checker)
        block_id = await self.app.judge(message.value, decided=True)
        if block_id != certificate.block_id:
            raise DecodeError("a decided block is not the one its certificate names")
        if self.participant is not None:
            self.participant.abandon(certificate.height)
        await self._commit(message.value, certificate)
