"""Requests and responses of one link, multiplexed over one stream.

Messages are frames (`p2p.framing`) whose kind is below and whose payload starts with the
requester's 4-byte request id. Bodies travel in chunks of at most 60 kB, and the writer takes the
bodies in turn, so that a large response holds up neither the small ones nor, by way of the
connection, the frame stream.

==========  ===================================================================================
REQUEST     id, 1-byte name length, name, 4-byte timeout in ms, 4-byte body length, first chunk
RESPONSE    id, 4-byte body length, first chunk
REQ_MORE    id, chunk
RES_MORE    id, chunk
REFUSED     id, 2-byte code, UTF-8 message
CANCEL      id: the requester has lost interest
==========  ===================================================================================
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import structlog
import trio

from p2p.errors import (
    LinkLost,
    Misuse,
    PeerUnavailable,
    ProtocolViolation,
    RemoteRefused,
    RequestError,
    RequestTimeout,
)
from p2p.framing import FrameDecoder, frame_header
from p2p.types import MethodSpec, MethodStats, NetworkLimits, PeerId, PeerStats, RefusalCode
from p2p.wakeup import Signal

_log = structlog.get_logger("p2p")

Handler = Callable[[PeerId, bytes], Awaitable[bytes]]

_REQUEST, _RESPONSE, _REQ_MORE, _RES_MORE, _REFUSED, _CANCEL = range(1, 7)
_CHUNK = 60_000
_WRITE = 65_000
_MAX_MESSAGE = _CHUNK + 256
_MAX_ERROR_TEXT = 512
_MAX_QUEUED = 4096
_GRACE = 1.0
_ID = struct.Struct(">I")
_ID_LENGTH = struct.Struct(">II")
_LENGTHS = struct.Struct(">II")
_ID_CODE = struct.Struct(">IH")
_MAX_ID = 2**32 - 1
_MAX_TIMEOUT_MS = 2**32 - 1


class _Outgoing:
    """A body on its way out: `head` opens it, chunks of kind `more` follow."""

    __slots__ = ("body", "first", "head", "id", "more", "sent")

    def __init__(self, first: int, more: int, request_id: int, head: bytes, body: bytes) -> None:
        self.first, self.more, self.id = first, more, request_id
        self.head, self.body = head, memoryview(body)
        self.sent = -1

    def next_message(self) -> bytes:
        """The next message; `sent` advances."""
        if self.sent < 0:
            kind, head, self.sent = self.first, self.head, 0
        else:
            kind, head = self.more, _ID.pack(self.id)
        chunk = self.body[self.sent : self.sent + _CHUNK]
        self.sent += len(chunk)
        return b"".join((frame_header(kind, len(head) + len(chunk)), head, chunk))

    @property
    def done(self) -> bool:
        return self.sent >= len(self.body)


class _Incoming:
    """A body on its way in."""

    __slots__ = ("body", "total", "whole")

    def __init__(self, total: int) -> None:
        self.total = total
        self.body = bytearray()
        self.whole = False

    def add(self, chunk: bytes | memoryview) -> bool:
        """Append; True when the body is complete. Raises `ProtocolViolation` for more, even if that is empty:
        a request is served once."""
        if self.whole or len(self.body) + len(chunk) > self.total or (not chunk and self.total):
            raise ProtocolViolation("request body does not match its announced length")
        self.body += chunk
        self.whole = len(self.body) == self.total
        return self.whole


class _PendingRequest:
    """A request of ours that waits for its response."""

    __slots__ = ("event", "incoming", "outcome", "spec")

    def __init__(self, spec: MethodSpec) -> None:
        self.spec = spec
        self.event = trio.Event()
        self.incoming: _Incoming | None = None
        self.outcome: bytes | Exception | None = None

    def settle(self, outcome: bytes | Exception) -> None:
        self.outcome = outcome
        self.event.set()


class _Served:
    """A request of the peer, from its first message until its response is handed to the stream."""

    __slots__ = ("incoming", "scope", "spec", "timeout")

    def __init__(self, spec: MethodSpec, timeout: float, total: int) -> None:
        self.spec, self.timeout = spec, timeout
        self.incoming = _Incoming(total)
        self.scope = trio.CancelScope()


class RequestChannel:
    """Both directions of requests with one peer, for the life of one link."""

    def __init__(
        self,
        *,
        peer: PeerId,
        stream: Any,
        methods: Mapping[str, tuple[MethodSpec, Handler]],
        limits: NetworkLimits,
        stats: PeerStats,
        method_stats: dict[str, MethodStats],
        heard: Callable[[], None],
    ) -> None:
        self._peer, self._stream, self._methods = peer, stream, methods
        self._limits, self._stats, self._heard = limits, stats, heard
        self._method_stats = method_stats
        self._calls: dict[int, _PendingRequest] = {}
        self._slots: dict[str, trio.Semaphore] = {}
        self._served: dict[int, _Served] = {}
        self._running: dict[str, int] = {}
        self._outgoing: deque[_Outgoing] = deque()
        self._signal = Signal()
        self._next_id = 0
        self._last_served = -1
        self._closed = False
        self.line: Callable[[int, Callable[[], object]], bool] | None = None
        """The way of messages to the stream while the link is made bad on purpose (`Link.set_fault`)."""

    async def call(self, spec: MethodSpec, payload: bytes, timeout: float) -> bytes:  # noqa: ASYNC109
        """Send a request and wait for its response, `timeout` seconds at most."""
        if len(payload) > spec.max_request:
            raise Misuse(f"request of {len(payload)} bytes to {spec.name}: {spec.max_request} max")
        slots = self._slots.setdefault(spec.name, trio.Semaphore(spec.concurrency))
        with trio.move_on_after(timeout) as scope:
            async with slots:
                left = max(0.0, scope.deadline - trio.current_time())
                return await self._exchange(spec, payload, left)
        raise RequestTimeout(f"{spec.name}: no response from {self._peer} in {timeout:g} s")

    async def _exchange(self, spec: MethodSpec, payload: bytes, timeout: float) -> bytes:  # noqa: ASYNC109
        if self._closed or self._next_id > _MAX_ID:
            raise PeerUnavailable(f"{self._peer} is not connected")
        request_id, self._next_id = self._next_id, self._next_id + 1
        call = self._calls[request_id] = _PendingRequest(spec)
        name = spec.name.encode()
        milliseconds = min(int(timeout * 1000), _MAX_TIMEOUT_MS)
        head = b"".join(
            (
                _ID.pack(request_id),
                bytes([len(name)]),
                name,
                _LENGTHS.pack(milliseconds, len(payload)),
            )
        )
        self._send(_Outgoing(_REQUEST, _REQ_MORE, request_id, head, payload))
        self._stats.requests_out += 1
        self._method_stats.setdefault(spec.name, MethodStats()).requests_out += 1
        try:
            await call.event.wait()
        finally:
            del self._calls[request_id]
            if call.outcome is None and not self._closed:
                self._withdraw(request_id)
        if isinstance(call.outcome, Exception):
            raise call.outcome
        assert call.outcome is not None
        return call.outcome

    def _withdraw(self, request_id: int) -> None:
        """Give up a request: unsent, it never was; else the peer is told."""
        for item in self._outgoing:
            if item.id == request_id and item.first == _REQUEST:
                self._outgoing.remove(item)
                if item.sent < 0:
                    return
                break
        self._send(_Outgoing(_CANCEL, _CANCEL, request_id, _ID.pack(request_id), b""))

    def close(self) -> None:
        """The link is gone: every waiting call fails with `PeerUnavailable`."""
        self._closed = True
        for call in self._calls.values():
            if call.outcome is None:
                call.settle(PeerUnavailable(f"{self._peer} disconnected"))

    def _send(self, item: _Outgoing) -> None:
        if self.line is None:
            self._queue(item)
        elif not self.line(len(item.body), partial(self._queue, item)):
            self._forget(item)  # lost on its way: to us, it was sent

    def _forget(self, item: _Outgoing) -> None:
        if item.first in (_RESPONSE, _REFUSED):
            self._served.pop(item.id, None)

    def _queue(self, item: _Outgoing) -> None:
        self._outgoing.append(item)
        self._signal.set()

    async def write(self) -> None:
        """Task: write queued messages, one chunk of each body in turn."""
        while True:
            parts: list[bytes] = []
            size = 0
            while self._outgoing and size < _WRITE - _MAX_MESSAGE + 256:
                item = self._outgoing.popleft()
                parts.append(item.next_message())
                size += len(parts[-1])
                if not item.done:
                    self._outgoing.append(item)
                else:
                    self._forget(item)
            if not parts:
                await self._signal.wait()
                continue
            with trio.move_on_after(self._limits.write_timeout) as scope:
                await self._stream.write(b"".join(parts))
            if scope.cancelled_caught:
                raise LinkLost("the peer does not read: a request write timed out")
            self._stats.bytes_out += size

    async def read(self, nursery: trio.Nursery) -> None:
        """Task: read messages; handlers run in `nursery`."""
        decoder = FrameDecoder(dict.fromkeys(range(_REQUEST, _CANCEL + 1), _MAX_MESSAGE))
        while True:
            data = await self._stream.read(65_536)
            if not data:
                raise LinkLost("the peer closed its request stream")
            self._heard()
            self._stats.bytes_in += len(data)
            for kind, message in decoder.feed(data):
                try:
                    self._on_message(kind, message, nursery)
                except (struct.error, IndexError, UnicodeDecodeError) as error:
                    raise ProtocolViolation(f"malformed request message: {error}") from error

    def _on_message(self, kind: int, message: bytes, nursery: trio.Nursery) -> None:
        (request_id,) = _ID.unpack_from(message)
        if kind == _REQUEST:
            self._on_request(request_id, message, nursery)
        elif kind == _REQ_MORE:
            served = self._served.get(request_id)
            if served is not None and served.incoming.add(memoryview(message)[4:]):
                self._start(request_id, served, nursery)
            elif request_id > self._last_served:
                raise ProtocolViolation("body of a request that was never made")
        elif kind == _CANCEL:
            served = self._served.pop(request_id, None)
            if served is not None:
                served.scope.cancel()
                for item in self._outgoing:
                    if item.id == request_id and item.first == _RESPONSE:
                        self._outgoing.remove(item)
                        break
        else:
            self._on_response(kind, request_id, message)

    def _on_request(self, request_id: int, message: bytes, nursery: trio.Nursery) -> None:
        if request_id <= self._last_served:
            raise ProtocolViolation("request ids must increase")
        self._last_served = request_id
        self._stats.requests_in += 1
        end = 5 + message[4]
        name = message[5:end].decode()
        timeout_ms, total = _LENGTHS.unpack_from(message, end)
        entry = self._methods.get(name)
        if entry is None:
            self._refuse(request_id, RefusalCode.UNKNOWN_METHOD, f"unknown method {name!r}")
            return
        spec = entry[0]
        self._method_stats.setdefault(name, MethodStats()).requests_in += 1
        if total > spec.max_request:
            raise ProtocolViolation(f"request of {total} bytes to {name}")
        waiting = sum(1 for served in self._served.values() if served.spec is spec)
        # A requester that cancels may ask again before our cancelled handler is gone.
        if waiting >= spec.concurrency or self._running.get(name, 0) >= 4 * spec.concurrency:
            self._refuse(request_id, RefusalCode.BUSY, f"too many requests to {name}")
            return
        # The requester ends its own wait (CANCEL); the grace keeps us from answering just before.
        timeout = min(timeout_ms / 1000 + _GRACE, self._limits.handler_timeout)
        served = _Served(spec, timeout, total)
        self._served[request_id] = served
        if served.incoming.add(memoryview(message)[end + _LENGTHS.size :]):
            self._start(request_id, served, nursery)

    def _start(self, request_id: int, served: _Served, nursery: trio.Nursery) -> None:
        name = served.spec.name
        self._running[name] = self._running.get(name, 0) + 1
        nursery.start_soon(self._run_handler, request_id, served)

    async def _run_handler(self, request_id: int, served: _Served) -> None:
        name = served.spec.name
        try:
            with served.scope:
                await self._answer(request_id, served)
        finally:
            self._running[name] -= 1

    async def _answer(self, request_id: int, served: _Served) -> None:
        name = served.spec.name
        handler = self._methods[name][1]
        body = bytes(served.incoming.body)
        served.incoming.body = bytearray()
        try:
            with trio.fail_after(served.timeout):
                response = await handler(self._peer, body)
            if len(response) > served.spec.max_response:
                raise Misuse(f"response of {len(response)} bytes from {name}")
        except RequestError as error:
            self._refuse(request_id, error.code, error.message)
        except trio.TooSlowError:
            self._refuse(request_id, RefusalCode.DEADLINE, f"{name} did not finish in time")
        except Exception:  # noqa: BLE001 - the callee is not ours to trust
            _log.exception("request handler failed", method=name, peer=self._peer)
            self._refuse(request_id, RefusalCode.INTERNAL, "internal error")
        else:
            head = _ID_LENGTH.pack(request_id, len(response))
            self._send(_Outgoing(_RESPONSE, _RES_MORE, request_id, head, response))

    def _refuse(self, request_id: int, code: int, text: str) -> None:
        if len(self._outgoing) > _MAX_QUEUED:
            raise ProtocolViolation("requests are sent, but their responses not read")
        encoded = text.encode()[:_MAX_ERROR_TEXT]
        head = _ID_CODE.pack(request_id, code) + encoded
        self._send(_Outgoing(_REFUSED, _REFUSED, request_id, head, b""))

    def _on_response(self, kind: int, request_id: int, message: bytes) -> None:
        if request_id >= self._next_id:
            raise ProtocolViolation("response to a request that was never made")
        call = self._calls.get(request_id)
        if call is None or call.outcome is not None:
            return  # given up meanwhile
        view = memoryview(message)
        if kind == _REFUSED:
            _, code = _ID_CODE.unpack_from(message)
            text = message[_ID_CODE.size :][:_MAX_ERROR_TEXT].decode("utf-8", "replace")
            call.settle(RemoteRefused(code, text))
            return
        if kind == _RESPONSE:
            _, total = _ID_LENGTH.unpack_from(message)
            if call.incoming is not None or total > call.spec.max_response:
                raise ProtocolViolation(f"response of {total} bytes from {call.spec.name}")
            call.incoming = _Incoming(total)
            view = view[_ID_LENGTH.size :]
        else:
            view = view[_ID.size :]
        if call.incoming is None:
            raise ProtocolViolation("response without a beginning")
        if call.incoming.add(view):
            call.settle(bytes(call.incoming.body))
