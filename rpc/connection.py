"""One TCP connection: reads requests, has them answered in order, writes the answers.

A single cancel scope covers the connection's life, and the server, which looks at all connections in
turn, cancels it when what is going on takes too long: waiting for a request (idle timeout), receiving one
(read timeout), working on it (its method's limit), writing (write timeout). At this request rate a scope or
a deadline of the scheduler for each of these would show. So would a pass through the scheduler: answers are
written at once where the socket takes them whole.
"""

import math
import os
from enum import Enum, auto

import trio

from rpc.budget import Share
from rpc.caller import CALLER, new_caller
from rpc.gateway import Gateway, Upgrade
from rpc.http import HttpRequest, HttpResponse, RequestParser, render_response, text_response
from rpc.inclusion import HABIT, Habit
from rpc.limits import Limits
from rpc.places import ClientWait, WaitKind
from rpc.websocket import RECEIVE_SIZE, WebSocketSession

LINGER = 1.0
"""Seconds given to a last answer: to be written, and for the client to read it and close."""
_LINGER_BYTES = 16 * 1024 * 1024


class _Phase(Enum):
    IDLE = auto()
    """Waiting for the first byte of a request."""
    READING = auto()
    """A request has begun to arrive."""
    WORKING = auto()
    """A request is being answered; a shutdown waits for it."""
    WRITING = auto()
    """An answer waits to be read; a shutdown waits for that as well."""
    WEBSOCKET = auto()
    LINGERING = auto()
    """Everything is said; the client has a moment to read it."""


class Connection:
    """Serves one stream with a gateway. `share` is its part of the memory that all connections share."""

    def __init__(
        self, stream: trio.SocketStream, gateway: Gateway, limits: Limits, share: Share
    ) -> None:
        self._share = share
        self._stream = stream
        self._gateway = gateway
        self._limits = limits
        self._parser = RequestParser(limits)
        # The server's own cancellation must not cut an answer short; `shut_down` ends this instead.
        self._scope = trio.CancelScope(shield=True)
        self._phase = _Phase.IDLE
        self.session: WebSocketSession | None = None
        self._latest = math.inf  # no deadline may be later than this
        self._due = math.inf  # of the current step
        self._since = trio.current_time()  # when that began
        self._has_asked = False  # for something that was answered
        self._gives_way = False
        self._farewell: HttpResponse | None = None
        self._working: HttpRequest | None = None  # what its own limit may end
        self._answered = 0  # bytes of the body that is being answered

    async def serve(self) -> None:
        """Serves until the client leaves, breaks a rule or runs out of time; then closes the stream."""
        CALLER.set(new_caller())
        HABIT.set(Habit())
        try:
            with self._scope:
                await self._converse()
            if self._scope.cancelled_caught:
                if self._gives_way:
                    if self._farewell is not None:
                        await self._last_words(self._farewell)
                elif self._phase is _Phase.READING:
                    late = text_response(408, "the request took too long to arrive")
                    await self._last_words(late)
                elif self._working is not None and trio.current_time() < self._latest:
                    await self._last_words(self._gateway.overdue(self._working))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client is gone
        finally:
            with trio.CancelScope(shield=True):
                await self._stream.aclose()

    def expire(self, now: float) -> None:
        """Ends what takes longer than it may. `now` is of trio's clock."""
        if now >= self._due:
            self._scope.cancel()
        if self.session is not None:
            self.session.expire(now)

    @property
    def wait(self) -> ClientWait | None:
        """The wait for the client; None while we work for it."""
        if self.session is not None and self._phase is _Phase.WEBSOCKET:
            return self.session.wait
        match self._phase:
            case _Phase.IDLE if self._has_asked:
                return ClientWait(WaitKind.IDLE, self._since)
            case _Phase.IDLE | _Phase.READING:
                return ClientWait(WaitKind.ARRIVING, self._since)
            case _Phase.WRITING:
                return ClientWait(WaitKind.UNREAD, self._since)
            case _Phase.LINGERING:
                return ClientWait(WaitKind.LEAVING, self._since)
        return None

    def give_way(self, farewell: HttpResponse | None) -> None:
        """End a connection that waits, for another that needs its place. `farewell` is the answer to a client
        that has begun a request, None if there is no time for one.
        """
        if self.session is not None and self._phase is _Phase.WEBSOCKET:
            self.session.give_way(abruptly=farewell is None)
            return
        # Between requests a response would be taken for that of the next one.
        arriving = self.wait is not None and self.wait.kind is WaitKind.ARRIVING
        self._farewell = farewell if arriving else None
        self._gives_way = True
        self._scope.cancel()

    async def refuse(self, response: HttpResponse) -> None:
        """Says why this connection is not served, and closes it."""
        try:
            await self._last_words(response)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            with trio.CancelScope(shield=True):
                await self._stream.aclose()

    def shut_down(self, deadline: float) -> None:
        """Ends the connection: now if no request is being answered, else when that is done and at
        `deadline` (trio's clock) at the latest."""
        self._latest = deadline
        self._scope.deadline = min(self._scope.deadline, deadline)
        if self.session is not None:
            self.session.finish()
        elif self._phase in (_Phase.IDLE, _Phase.READING):
            self._phase = _Phase.IDLE
            self._scope.cancel()

    async def _converse(self) -> None:
        parser = self._parser
        while True:
            if not parser.requests and parser.failure is None and not await self._receive():
                return
            while parser.requests:
                self._phase = _Phase.WORKING
                if not await self._answer(parser.requests.popleft()):
                    return
                if parser.requests:  # pipelined: the others have their turn in between
                    await trio.lowlevel.checkpoint()
            if parser.failure is not None:
                self._phase = _Phase.WORKING
                await self._last_words(parser.failure)
                return

    async def _receive(self) -> bool:
        """Reads until a request is complete or the parser gives up; False at the end of the stream."""
        parser = self._parser
        self._answered = 0
        self._share.hold(parser.buffered)  # what came before is answered
        self._phase = _Phase.IDLE
        self._allow(self._limits.idle_timeout)
        while True:
            data = await self._read()
            if not data:
                return False
            parser.feed(data)
            if not self._share.hold(parser.buffered):
                self._phase = _Phase.WORKING
                full = "too many large requests at once, try again later"
                await self._last_words(text_response(503, full, b"Retry-After: 1"))
                return False
            if parser.requests or parser.failure is not None:
                return True
            if self._phase is _Phase.IDLE:
                # One deadline for the whole request: a byte now and then does not move it.
                self._phase = _Phase.READING
                self._allow(self._limits.read_timeout)
            if parser.wants_continue:
                parser.wants_continue = False
                await self._stream.send_all(b"HTTP/1.1 100 Continue\r\n\r\n")

    async def _read(self) -> bytes:
        """The bytes that have come; empty at the end of the stream. Always lets other tasks have their turn."""
        descriptor = self._stream.socket.fileno()
        while True:
            await trio.lowlevel.wait_readable(descriptor)
            if self._gives_way:  # nothing may begin that is ended at once
                await trio.lowlevel.checkpoint_if_cancelled()
            try:
                return os.read(descriptor, RECEIVE_SIZE)
            except BlockingIOError:
                continue
            except OSError as error:
                raise trio.BrokenResourceError("the client is gone") from error

    async def _write(self, data: bytes) -> None:
        """Sends everything: at once if there is room for it."""
        try:
            sent = os.write(self._stream.socket.fileno(), data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise trio.BrokenResourceError("the client is gone") from error
        if sent < len(data):
            if not self._share.hold(self._answered + self._parser.buffered + len(data) - sent):
                raise trio.BrokenResourceError("too many answers wait to be read")
            self._allow(self._limits.write_timeout)
            self._phase = _Phase.WRITING
            await self._stream.send_all(memoryview(data)[sent:])
            self._phase = _Phase.WORKING

    async def _answer(self, request: HttpRequest) -> bool:
        """Answers one request; False if the connection ends with it."""
        self._due = self._latest
        self._working, self._answered = request, len(request.body)
        response = await self._gateway.respond(request, self._allow)
        self._working = None
        if isinstance(response, Upgrade):
            await self._serve_websocket(response)
            return False
        # A request to speak something other than WebSocket was answered as plain HTTP, but what follows
        # it may be in that other protocol.
        close = not request.keep_alive or request.upgrade or self._latest < math.inf
        data = render_response(
            response, close=close, http_1_0=request.http_1_0, head=request.method == b"HEAD"
        )
        await self._write(data)
        self._has_asked = True
        if close:
            await self._linger()
        return not close

    async def _serve_websocket(self, upgrade: Upgrade) -> None:
        self._allow(self._limits.write_timeout)
        await self._stream.send_all(render_response(upgrade.response, close=False))
        self._due = self._latest
        self.session = WebSocketSession(
            self._stream,
            self._gateway.dispatcher,
            upgrade.scope,
            upgrade.trust,
            self._limits,
            self._share,
        )
        self._phase = _Phase.WEBSOCKET
        if self._latest < math.inf:
            self.session.finish()
        await self.session.run(self._parser.trailing)
        await self._linger()

    async def _last_words(self, response: HttpResponse) -> None:
        with trio.CancelScope(deadline=trio.current_time() + LINGER, shield=True):
            await self._stream.send_all(render_response(response, close=True))
            await self._linger()

    async def _linger(self) -> None:
        """Ends our side and reads on for a moment. Closing with input unread would reset the connection,
        and the client could lose the answer that explains why."""
        self._phase, self._since = _Phase.LINGERING, trio.current_time()
        with trio.move_on_after(LINGER):
            await self._stream.send_eof()
            drained = 0
            while drained < _LINGER_BYTES:
                data = await self._stream.receive_some(RECEIVE_SIZE)
                if not data:
                    return
                drained += len(data)

    def _allow(self, seconds: float) -> None:
        self._since = trio.current_time()
        self._due = min(self._since + seconds, self._latest)
