"""A Yamux session that holds its peer to the limits (`p2p.compat.Patches.session_muxer`).

The wire is Yamux as libp2p speaks it; stream states and the handshake around it are libp2p's. The read loop
is ours, because stock libp2p 0.8.1 buffers whatever a peer sends beyond its window, lets it open thousands of
streams, sends a window update for every read, polls for window every 10 ms, and formats a dozen log lines per
frame even if no log wants them.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import trio

from p2p._libp2p import (
    MuxedStreamEOF,
    MuxedStreamError,
    MuxedStreamReset,
    Yamux,
    YamuxStream,
)
from p2p.errors import LinkLost, ProtocolViolation
from p2p.pacing import TokenBucket, pace

MAX_PLAINTEXT = 65_535 - 16
"""Plaintext of one Noise message: a write up to this size is one message and one system call."""

WINDOW = 1024 * 1024
"""Receive window of a stream, the bound on what one peer makes us buffer per stream."""

_INITIAL_WINDOW = 256 * 1024
_HEADER = struct.Struct(">BBHII")
_DATA, _WINDOW_UPDATE, _PING, _GO_AWAY = range(4)
_SYN, _ACK, _FIN, _RST = 1, 2, 4, 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The limits that a peer is held to on one session."""

    window: int
    """Bytes of one stream that may wait to be read. Yamux lets a peer send 256 KiB on a new stream unasked; a
    peer that sends more than this breaks the protocol all the same."""
    streams: int
    """Streams that it may have open at once; one more is reset."""
    opens: float
    opens_burst: int
    """Streams that it may open a second, over time and at once; one more breaks the protocol."""
    pings: float
    pings_burst: int
    """Yamux pings a second; a peer that sends more is read more slowly."""
    frames: float | None = None
    frames_burst: int = 0
    """Noise messages and Yamux frames a second, together; a peer that sends more is read more slowly."""


MEMBER = Terms(
    window=WINDOW,
    streams=8,
    opens=1.0,
    opens_burst=256,
    pings=10.0,
    pings_burst=100,
)
"""Of a peer of our network. Other implementations open a stream for every ping that they send."""

STRANGER = Terms(
    window=4096,
    streams=4,
    opens=1.0,
    opens_burst=64,
    pings=1.0,
    pings_burst=8,
    frames=32.0,
    frames_burst=256,
)
"""Of any other: what identify and ping need."""


class SessionStream(YamuxStream):  # type: ignore[misc]
    """One stream of `SessionMuxer`."""

    def __init__(self, stream_id: int, conn: SessionMuxer, is_initiator: bool) -> None:
        super().__init__(stream_id, conn, is_initiator)
        self.send_closed = self.recv_closed = False
        self.buffer = bytearray()
        self.recv_window = conn.terms.window
        self._unreturned = 0
        self._readable = trio.Event()
        self._writable = trio.Event()

    def wake(self) -> None:
        self._readable.set()
        self._writable.set()

    async def read(self, n: int | None = 65_536) -> bytes:
        """Between 1 and `n` bytes, as soon as there are any."""
        if self.buffer:
            await trio.lowlevel.checkpoint()
        while not self.buffer:
            if self.reset_received:
                raise MuxedStreamReset("stream was reset")
            if self.recv_closed:
                raise MuxedStreamEOF("stream was closed")
            self._readable = trio.Event()
            await self._readable.wait()
        data = bytes(self.buffer[:n])
        del self.buffer[:n]
        self._unreturned += len(data)
        if self._unreturned >= self.conn.terms.window // 2:
            credit, self._unreturned = self._unreturned, 0
            self.recv_window += credit
            await self.conn.send_header(_WINDOW_UPDATE, 0, self.stream_id, credit)
        return data

    async def write(self, data: bytes) -> None:
        """Write all of `data`; the deadline is the caller's."""
        view = memoryview(data)
        while view:
            while self.send_window <= 0 and not self.send_closed:
                self._writable = trio.Event()
                await self._writable.wait()
            if self.send_closed:
                raise MuxedStreamError("stream is closed for sending")
            size = min(len(view), self.send_window, MAX_PLAINTEXT - _HEADER.size)
            self.send_window -= size
            header = _HEADER.pack(0, _DATA, 0, self.stream_id, size)
            await self.conn._write_frame(header + view[:size])
            view = view[size:]

    async def close(self) -> None:
        """Tell the peer that we write no more; it may go on."""
        if self.send_closed:
            return
        self.send_closed = True
        self.wake()
        if self.recv_closed:
            self.conn.streams.pop(self.stream_id, None)
        await self.conn.send_header(_WINDOW_UPDATE, _FIN, self.stream_id, 0)

    async def reset(self) -> None:
        self.conn.streams.pop(self.stream_id, None)
        self.shut()
        await self.conn.send_header(_WINDOW_UPDATE, _RST, self.stream_id, 0)

    def shut(self) -> None:
        self.closed = self.send_closed = self.recv_closed = self.reset_received = True
        self.wake()

    def on_data(self, data: memoryview) -> None:
        self.recv_window -= len(data)
        if self.recv_window < 0:
            raise ProtocolViolation("the peer exceeded its stream window")
        self.buffer += data
        self._readable.set()

    def on_window(self, increment: int) -> None:
        self.send_window += increment
        self._writable.set()


class SessionMuxer(Yamux):  # type: ignore[misc]
    """Yamux sessions that hold a peer to its limits. Owns no task but `start`."""

    def __init__(self, *args: Any, terms: Terms, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        now = trio.current_time()
        self.terms = terms
        self._opens = TokenBucket(terms.opens, terms.opens_burst, now)
        self._pings = TokenBucket(terms.pings, terms.pings_burst, now)
        self._frames = (
            None if terms.frames is None else TokenBucket(terms.frames, terms.frames_burst, now)
        )

    async def start(self) -> None:
        """Read frames until the connection ends; raises why. Every stream is shut on the way."""
        self._established = True
        self.event_started.set()
        try:
            await self.handle_incoming()
        finally:
            self.event_shutting_down.set()
            self.new_stream_send_channel.close()
            for stream in self.streams.values():
                stream.shut()
            self.streams.clear()

    async def handle_incoming(self) -> None:
        rest = b""
        while True:
            data = await self.secured_conn.read(None)  # one Noise message
            if self._frames is not None:
                await pace(self._frames)
            if rest:
                data = rest + data
            view, position, size = memoryview(data), 0, len(data)
            while size - position >= _HEADER.size:
                version, kind, flags, stream_id, length = _HEADER.unpack_from(data, position)
                if (
                    version != 0
                    or kind > _GO_AWAY
                    or (kind == _DATA and length > self.terms.window)
                ):
                    raise ProtocolViolation("malformed Yamux frame")
                body = position + _HEADER.size
                end = body + length if kind == _DATA else body
                if end > size:
                    break
                if self._frames is not None:
                    await pace(self._frames)
                await self._on_frame(kind, flags, stream_id, length, view[body:end])
                position = end
            rest = data[position:]

    async def _on_frame(
        self, kind: int, flags: int, stream_id: int, length: int, body: memoryview
    ) -> None:
        if kind == _PING:
            if flags & _SYN:
                await pace(self._pings)
                await self.send_header(_PING, _ACK, 0, length)
            return
        if kind == _GO_AWAY:
            raise LinkLost(f"the peer said goodbye with code {length}")
        if flags & _SYN:
            await self._on_syn(stream_id)
        stream = self.streams.get(stream_id)
        if stream is None:
            return  # of a stream that was refused or reset meanwhile
        if kind == _DATA:
            stream.on_data(body)
        else:
            stream.on_window(length)
        if flags & _FIN:
            stream.recv_closed = True
            stream.wake()
            if stream.send_closed:
                self.streams.pop(stream_id, None)
        if flags & _RST:
            self.streams.pop(stream_id, None)
            stream.shut()

    async def _on_syn(self, stream_id: int) -> None:
        if stream_id in self.streams or stream_id % 2 == self.next_stream_id % 2 or stream_id == 0:
            raise ProtocolViolation(f"invalid new stream id {stream_id}")
        if self._opens.take(1, trio.current_time()) > 0:
            raise ProtocolViolation("too many streams")
        if len(self.streams) >= self.terms.streams:
            await self.send_header(_WINDOW_UPDATE, _RST, stream_id, 0)
            return
        stream = SessionStream(stream_id, self, False)
        self.streams[stream_id] = stream
        await self.send_header(_WINDOW_UPDATE, _ACK, stream_id, self._beyond_initial())
        try:
            self.new_stream_send_channel.send_nowait(stream)
        except trio.WouldBlock:
            await stream.reset()

    async def open_stream(self) -> SessionStream:
        stream_id = self.next_stream_id
        self.next_stream_id += 2
        stream = self.streams[stream_id] = SessionStream(stream_id, self, True)
        await self.send_header(_WINDOW_UPDATE, _SYN, stream_id, self._beyond_initial())
        return stream

    def _beyond_initial(self) -> int:
        return max(0, self.terms.window - _INITIAL_WINDOW)

    async def send_header(self, kind: int, flags: int, stream_id: int, length: int) -> None:
        await self._write_frame(_HEADER.pack(0, kind, flags, stream_id, length))

    async def _write_frame(self, data: bytes) -> None:
        lock = self._write_lock
        try:
            lock.acquire_nowait()  # the checkpoint is in the write
        except trio.WouldBlock:
            await lock.acquire()
        try:
            await self.secured_conn.write(data)
        finally:
            lock.release()
