"""JSON-RPC over one WebSocket (RFC 6455, framed by wsproto).

One task reads; each message is answered by a task of its own, so a slow call does not hold up the next
one, at most `websocket_concurrency` at once: when all are busy nothing is read, and TCP slows the
client down. Notifications of subscriptions wait in a bounded queue of their own; a client that does not
read them is dropped with code 1008. A ping now and then finds peers that vanished.
"""

from collections import deque
from contextlib import closing

import trio
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, TextMessage
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from rpc.budget import Share
from rpc.dispatch import Dispatcher
from rpc.limits import Limits
from rpc.origins import Trust
from rpc.places import ClientWait, WaitKind
from rpc.subscriptions import Subscriber, Subscriptions

RECEIVE_SIZE = 64 * 1024


class WebSocketSession:
    """One WebSocket, from after the opening handshake to the closing one. `scope` is the chain that its path
    names, `trust` the trust in the client that opened it. `run` returns when the conversation is over; the
    stream stays open for its owner to close.
    """

    def __init__(
        self,
        stream: trio.abc.HalfCloseableStream,
        dispatcher: Dispatcher,
        scope: int | None,
        trust: Trust,
        limits: Limits,
        share: Share,
    ) -> None:
        self._share = share
        self._stream = stream
        self._dispatcher = dispatcher
        self._scope = scope
        self._trust = trust
        self._limits = limits
        self._frames = Connection(ConnectionType.SERVER)
        self._write_lock = trio.Lock()
        self._slots = trio.Semaphore(limits.websocket_concurrency)
        self._reading = trio.CancelScope()
        self._everything = trio.CancelScope()
        self._last_heard = 0.0
        self._last_asked = trio.current_time()
        self._writing: float | None = None  # since when something waits to be read
        self._message = bytearray()
        self._began: float | None = None  # the message that arrives
        self._working_bytes = 0
        self._farewell = CloseConnection(CloseReason.NORMAL_CLOSURE)
        self._subscriptions: Subscriptions | None = None
        self._notifications: deque[bytes] = deque()
        self._notification_bytes = 0
        self._notified = trio.Event()

    async def run(self, trailing: bytes) -> None:
        """Serves until either side closes. `trailing` is what came right after the upgrade request."""
        self._last_heard = trio.current_time()
        with self._everything:
            async with trio.open_nursery() as tasks:
                subscriptions = self._subscriptions = Subscriptions(
                    self._dispatcher.feeds,
                    self._scope,
                    self._limits.subscriptions,
                    self._push,
                )
                tasks.start_soon(self._ping)
                tasks.start_soon(self._notify)
                with closing(subscriptions), self._reading:
                    await self._read(trailing, tasks)
                for _ in range(self._limits.websocket_concurrency):
                    await self._slots.acquire()  # until the last answer under way is sent
                await self._send(self._farewell)
                tasks.cancel_scope.cancel()

    @property
    def subscriptions(self) -> int:
        """The number of subscriptions."""
        return 0 if self._subscriptions is None else len(self._subscriptions)

    def finish(self) -> None:
        """Stops reading; calls under way are still answered, then the WebSocket is closed as
        `1001 going away`."""
        self._farewell = CloseConnection(CloseReason.GOING_AWAY)
        self._reading.cancel()

    def expire(self, now: float) -> None:
        """End the session if a message takes too long to arrive. `now` is of trio's clock."""
        if self._began is not None and now >= self._began + self._limits.read_timeout:
            self._dismiss(
                CloseReason.POLICY_VIOLATION, "too slow: a message took too long to arrive"
            )

    @property
    def wait(self) -> ClientWait | None:
        """The wait for the client; None while we work for it."""
        if self._writing is not None:
            return ClientWait(WaitKind.UNREAD, self._writing)
        if self.subscriptions or self._slots.value < self._limits.websocket_concurrency:
            return None
        return ClientWait(WaitKind.QUIET, self._last_asked)

    def give_way(self, *, abruptly: bool) -> None:
        """End a session that waits: another connection needs its place."""
        if abruptly or self._writing is not None:
            self._everything.cancel()
        else:
            self._dismiss(
                CloseReason.TRY_AGAIN_LATER, "too many connections, and this one is quiet"
            )

    def _dismiss(self, reason: CloseReason, why: str) -> None:
        self._farewell = CloseConnection(reason, why)
        self._reading.cancel()

    def _hold(self) -> bool:
        """Hold the memory in use now; true if there is room for it."""
        return self._share.hold(len(self._message) + self._working_bytes + self._notification_bytes)

    async def send(self, text: str) -> None:
        """Sends one text message. Safe from several tasks; a peer that does not read for the write timeout
        loses the connection."""
        await self._send(TextMessage(text))

    async def _read(self, data: bytes, tasks: trio.Nursery) -> None:
        while True:
            if data:
                self._last_heard = trio.current_time()
                try:
                    self._frames.receive_data(data)
                    for event in self._frames.events():
                        if not await self._take(event, tasks):
                            return
                except RemoteProtocolError as error:
                    if isinstance(error.event_hint, CloseConnection):
                        self._farewell = error.event_hint
                    return
            try:
                data = await self._stream.receive_some(RECEIVE_SIZE)
            except trio.BrokenResourceError:
                data = b""
            if not data:
                self._everything.cancel()  # the client that reads the answers is gone
                return

    async def _take(self, event: Event, tasks: trio.Nursery) -> bool:
        """Acts on an event; False ends the reading."""
        match event:
            case TextMessage() | BytesMessage():
                # JSON is text, but some clients send binary frames.
                data = event.data.encode() if isinstance(event.data, str) else event.data
                self._message += data
                if len(self._message) > self._limits.body_size:
                    self._farewell = CloseConnection(CloseReason.MESSAGE_TOO_BIG)
                    return False
                if not self._hold():
                    self._farewell = CloseConnection(
                        CloseReason.TRY_AGAIN_LATER, "too many large messages at once"
                    )
                    return False
                if self._began is None:
                    self._began = trio.current_time()
                if event.message_finished:
                    body, self._message, self._began = bytes(self._message), bytearray(), None
                    self._working_bytes += len(body)
                    await self._slots.acquire()
                    tasks.start_soon(self._answer, body)
            case Ping():
                await self._send(event.response())
            case CloseConnection():
                self._farewell = event.response()
                return False
            case _:
                pass
        return True

    async def _answer(self, body: bytes) -> None:
        assert self._subscriptions is not None  # made before anything is read
        subscriber = Subscriber(self._subscriptions)
        size = len(body)
        try:
            answer = await self._dispatcher.handle(body, self._scope, subscriber, trust=self._trust)
            if answer is not None:
                size += len(answer)
                self._working_bytes += len(answer)
                if not self._hold():
                    self._dismiss(CloseReason.TRY_AGAIN_LATER, "too many answers wait to be read")
                    return
                await self.send(answer.decode())
            subscriber.start()
        finally:
            self._working_bytes -= size
            self._last_asked = trio.current_time()
            self._hold()
            self._slots.release()

    def _push(self, notification: bytes) -> None:
        """Queue a notification. A client that lets too many wait is told so and dropped."""
        if self._reading.cancel_called:
            return  # the session ends
        self._notifications.append(notification)
        self._notification_bytes += len(notification)
        if (
            len(self._notifications) > self._limits.notifications
            or self._notification_bytes > self._limits.notification_size
            or not self._hold()
        ):
            self._notifications.clear()
            self._notification_bytes = 0
            self._dismiss(CloseReason.POLICY_VIOLATION, "too slow: notifications are not read")
        self._notified.set()

    async def _notify(self) -> None:
        while True:
            await self._notified.wait()
            self._notified = trio.Event()
            while self._notifications:
                some, size = [], 0
                while self._notifications and size < RECEIVE_SIZE:
                    some.append(self._notifications.popleft())
                    size += len(some[-1])
                await self._send(*(TextMessage(each.decode()) for each in some))
                self._notification_bytes = max(0, self._notification_bytes - size)
                self._hold()

    async def _ping(self) -> None:
        interval = self._limits.ping_interval
        while True:
            await trio.sleep(interval)
            if trio.current_time() - self._last_heard > 2 * interval:
                self._everything.cancel()
                return
            await self._send(Ping())

    async def _send(self, *events: Event) -> None:
        async with self._write_lock:
            try:
                data = b"".join([self._frames.send(event) for event in events])
            except LocalProtocolError:
                return  # the closing handshake has begun: nothing more may be said
            self._writing = trio.current_time()
            with trio.move_on_after(self._limits.write_timeout) as within:
                try:
                    await self._stream.send_all(data)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    self._everything.cancel()
            self._writing = None
            if within.cancelled_caught:
                self._everything.cancel()
