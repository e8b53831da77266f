"""One live connection with one peer: the tasks that read, write and watch it."""

from __future__ import annotations

import random
import struct
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import structlog
import trio

from p2p.compat import IO_ERRORS
from p2p.errors import LinkLost, PeerFault, ProtocolViolation
from p2p.framing import FrameDecoder
from p2p.netem import SOUND, BadLine, LinkFault
from p2p.outbox import Outbox
from p2p.pacing import TokenBucket, pace
from p2p.requests import Handler, RequestChannel
from p2p.session import Session
from p2p.types import (
    CONTROL_CHANNEL,
    ChannelSpec,
    ChannelStats,
    MethodSpec,
    MethodStats,
    NetworkLimits,
    PeerId,
    PeerStats,
)
from p2p.wakeup import Signal

_log = structlog.get_logger("p2p")

OnFrame = Callable[[PeerId, int, bytes], Awaitable[None]]

# One write is one Noise message is one system call: 65,519 bytes less the Yamux header.
_WRITE = 65_507
_CONTROL = struct.Struct(">BQ")
_PING, _PONG = 0, 1
_RTT_WEIGHT = 0.25


class Link:
    """Frames and requests over one session, until it breaks or is dropped."""

    def __init__(
        self,
        session: Session,
        *,
        channels: Mapping[int, ChannelSpec],
        methods: Mapping[str, tuple[MethodSpec, Handler]],
        on_frame: OnFrame,
        limits: NetworkLimits,
        stats: PeerStats,
        channel_stats: Mapping[int, ChannelStats],
        method_stats: dict[str, MethodStats],
    ) -> None:
        self.peer = session.peer
        self._session = session
        self._on_frame = on_frame
        self._limits = limits
        self._stats = stats
        self._channel_stats = channel_stats
        self._outbox = Outbox(channels.values(), channel_stats)
        self._signal = Signal()
        self._max_payload = {spec.id: spec.max_frame for spec in channels.values()}
        self._max_payload[CONTROL_CHANNEL] = _CONTROL.size
        self._scope = trio.CancelScope()
        self._failure: PeerFault | None = None
        self._heard_at = trio.current_time()
        self._busy = False
        self._ping: tuple[int, float] | None = None
        self._nonce = 0
        self._rtt_at = float("-inf")
        self._line: BadLine | None = None
        self._line_signal = Signal()
        self._nursery: trio.Nursery | None = None
        self.requests = RequestChannel(
            peer=self.peer,
            stream=session.requests,
            methods=methods,
            limits=limits,
            stats=stats,
            method_stats=method_stats,
            heard=self._heard,
        )

    def send(self, channel_id: int, payload: bytes) -> bool:
        """Queue a frame; False if it was dropped. Never blocks."""
        if self._failure is not None:
            return False
        if self._line is not None:
            self._put_on_line(len(payload), partial(self._queue, channel_id, payload))
            return True  # the sender does not see that it is lost
        return self._queue(channel_id, payload)

    def _queue(self, channel_id: int, payload: bytes) -> bool:
        drops = self._outbox.drops
        try:
            accepted = self._outbox.put(channel_id, payload)
        except LinkLost as error:
            self._fail(error)
            accepted = False
        self._stats.drops += self._outbox.drops - drops
        if accepted:
            self._signal.set()
        return accepted

    def _send_control(self, kind: int, nonce: int) -> None:
        if self._line is not None:
            self._put_on_line(_CONTROL.size, partial(self._queue_control, kind, nonce))
        else:
            self._queue_control(kind, nonce)

    def _queue_control(self, kind: int, nonce: int) -> None:
        self._outbox.put_control(kind, _CONTROL.pack(kind, nonce))
        self._signal.set()

    @property
    def queued_bytes(self) -> int:
        """Payload bytes of frames not yet handed to the stream."""
        return self._outbox.queued_bytes

    @property
    def failure(self) -> PeerFault:
        """The fault that ended the link."""
        return self._session.failure or self._failure or LinkLost("shut down")

    def drop(self, reason: str) -> None:
        """End the link; `run` raises `LinkLost(reason)`."""
        self._fail(LinkLost(reason))

    async def run(self) -> None:
        """Serve the link; always ends by raising the `PeerFault` that ended it."""
        self._heard()
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    self._nursery = nursery
                    if self._line is not None:
                        nursery.start_soon(self._guard, self._run_line)
                    nursery.start_soon(self._guard, self._read_frames)
                    nursery.start_soon(self._guard, self._write_frames)
                    nursery.start_soon(self._guard, self._watch)
                    nursery.start_soon(self._guard, self.requests.write)
                    nursery.start_soon(self._guard, self.requests.read, nursery)
        finally:
            self._failure = self.failure
            self._nursery = None
            self.requests.close()
        raise self._failure

    async def _guard(self, task: Callable[..., Awaitable[None]], *args: object) -> None:
        try:
            await task(*args)
        except PeerFault as error:
            self._fail(error)
        except IO_ERRORS as error:
            self._fail(LinkLost(str(error) or type(error).__name__))
        except Exception as error:  # noqa: BLE001 - one link, not the process
            _log.exception("link task failed", peer=self.peer)
            self._fail(LinkLost(f"internal error: {error}"))

    def _fail(self, error: PeerFault) -> None:
        self._failure = self._failure or error
        self._scope.cancel()

    def _heard(self) -> None:
        self._heard_at = trio.current_time()

    # --- faults on purpose -------------------------------------------------------------------

    def set_fault(self, fault: LinkFault, draw: random.Random) -> None:
        """Let our messages suffer `fault` from now on; with `SOUND`, those under way arrive at once."""
        line = self._line
        if fault == SOUND:
            self._line = self.requests.line = None
            if line is not None:
                line.flush()
                self._line_signal.set()
        elif line is not None:
            line.fault = fault
        else:
            self._line = BadLine(fault, draw)
            self.requests.line = self._put_on_line
            if self._nursery is not None:
                self._nursery.start_soon(self._guard, self._run_line)

    def _put_on_line(self, size: int, deliver: Callable[[], object]) -> bool:
        assert self._line is not None
        if not self._line.put(trio.current_time(), size, deliver):
            self._stats.drops += 1
            return False
        self._line_signal.set()
        return True

    async def _run_line(self) -> None:
        """Deliver the messages under way when they are due; end when the link is sound again."""
        line = self._line
        while line is not None and line is self._line:
            due = line.release(trio.current_time())
            if due is None:
                await self._line_signal.wait()
            else:
                await trio.sleep_until(due)

    # --- frames in ----------------------------------------------------------------------------

    async def _read_frames(self) -> None:
        decoder = FrameDecoder(self._max_payload)
        stats, limits = self._stats, self._limits
        now = trio.current_time()
        bucket = TokenBucket(limits.frames_per_second, limits.frames_burst, now)
        while True:
            data = await self._session.frames.read(65_536)
            if not data:
                raise LinkLost("the peer closed its frame stream")
            frames = decoder.feed(data)
            stats.bytes_in += len(data)
            stats.frames_in += len(frames)
            self._busy = True
            for channel_id, payload in frames:
                if channel_id == CONTROL_CHANNEL:
                    self._on_control(payload)
                    continue
                channel = self._channel_stats[channel_id]
                channel.frames_in += 1
                channel.bytes_in += len(payload)
                try:
                    await self._on_frame(self.peer, channel_id, payload)
                except Exception:  # noqa: BLE001 - the callee is not ours to trust
                    _log.exception("frame handler failed", peer=self.peer, channel=channel_id)
            await pace(bucket, len(frames))
            self._busy = False
            self._heard()

    def _on_control(self, payload: bytes) -> None:
        if len(payload) != _CONTROL.size:
            raise ProtocolViolation("malformed control frame")
        kind, nonce = _CONTROL.unpack(payload)
        if kind == _PING:
            self._send_control(_PONG, nonce)
        elif kind != _PONG:
            raise ProtocolViolation(f"unknown control frame {kind}")
        elif self._ping is not None and self._ping[0] == nonce:
            now = trio.current_time()
            sample, self._ping, self._rtt_at = now - self._ping[1], None, now
            rtt = self._stats.rtt
            self._stats.rtt = sample if rtt is None else rtt + _RTT_WEIGHT * (sample - rtt)

    # --- frames out ---------------------------------------------------------------------------

    async def _write_frames(self) -> None:
        outbox, stream, stats = self._outbox, self._session.frames, self._stats
        timeout = self._limits.write_timeout
        while True:
            data, count = outbox.take(_WRITE)
            if not count:
                await self._signal.wait()
                continue
            with trio.move_on_after(timeout) as scope:
                await stream.write(data)
            if scope.cancelled_caught:
                # A write cut short leaves half a frame behind: the connection is of no more use.
                raise LinkLost(f"the peer did not take a frame in {timeout:g} s")
            stats.frames_out += count
            stats.bytes_out += len(data)

    async def _watch(self) -> None:
        """Ping a quiet peer, give up a silent one."""
        limits = self._limits
        # Both sides would ask at the same instant: the one that did not dial waits for the other.
        interval = limits.ping_interval * (1.0 if self._session.muxer.is_initiator else 1.5)
        while True:
            now = trio.current_time()
            quiet = now - self._heard_at
            # While we are busy with its frames we do not hear it, but it must go on hearing us.
            if quiet >= limits.silence_timeout and not self._busy:
                raise LinkLost(f"not heard of for {quiet:.1f} s")
            due = self._heard_at + interval
            if now >= due or now - self._rtt_at >= limits.rtt_interval:
                self._nonce += 1
                self._ping = (self._nonce, now)
                self._send_control(_PING, self._nonce)
            wake_at = due if now < due else now + interval / 2
            await trio.sleep_until(wake_at)
            if trio.current_time() - wake_at > interval:
                # This process stood still: what the peer sent meanwhile has yet to be read.
                self._heard()
