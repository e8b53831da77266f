"""The JSON-RPC server: listens, bounds the number of connections, stops in an orderly way."""

import errno
from collections.abc import Iterable, Mapping
from typing import Protocol

import structlog
import trio

from rpc.budget import Budget, Share
from rpc.connection import Connection
from rpc.dispatch import Dispatcher
from rpc.errors import ListenError, RpcPortInUse, join_host_port
from rpc.gateway import Gateway, Route
from rpc.http import HttpResponse, text_response
from rpc.limits import Limits
from rpc.origins import LOCAL_HOSTS
from rpc.places import first_to_go

WATCH_SECONDS = 0.25
"""Between looks at the connections' time limits."""

log = structlog.get_logger(__name__)


class ServerStatus(Protocol):
    """The part of a trio task status that `Server.run` uses."""

    def started(self, value: int, /) -> None:
        """Reports the port."""


class Server:
    """JSON-RPC over HTTP and WebSocket on one port.

    `port` 0 takes any free one. `cors_origins`: web pages that may use the endpoint besides those of this
    machine (`rpc.origins`). `allowed_hosts`: names of the endpoint besides localhost, 127.0.0.1 and ::1 ("*":
    any); requests under another name are refused. `routes`: the answers to GET and HEAD on further paths, such
    as `/metrics`. `/health` (the report of the backend) and `/healthz` (the process answers) are there already.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        *,
        host: str,
        port: int,
        limits: Limits,
        cors_origins: Iterable[str] = (),
        allowed_hosts: Iterable[str] = (),
        routes: Mapping[str, Route] | None = None,
    ) -> None:
        self._dispatcher = dispatcher
        self._host = host
        self._port = port
        self._limits = limits
        self._gateway = Gateway(
            dispatcher,
            cors_origins=cors_origins,
            allowed_hosts=allowed_hosts,
            routes=routes or {},
        )
        self._budget = Budget(limits.buffered)
        self._connections: set[Connection] = set()
        self._leaving: set[Connection] = set()  # they are told why, and hold no place
        self.refused = 0
        "Connections that were refused, or lost their place to others, since there were too many."
        self._deadline: float | None = None  # set when the server stops

    def connections(self) -> tuple[int, int, int]:
        """Open connections that speak (HTTP, WebSocket), and the subscriptions of the latter."""
        sessions = [c.session for c in self._connections if c.session is not None]
        subscriptions = sum(session.subscriptions for session in sessions)
        return len(self._connections) - len(sessions), len(sessions), subscriptions

    async def run(self, *, task_status: ServerStatus = trio.TASK_STATUS_IGNORED) -> None:
        """Serves until cancelled; reports the port. When cancelled it stops listening, drops idle
        connections, and gives requests under way `limits.shutdown_grace` seconds.

        Raises RpcPortInUse or ListenError before it reports.
        """
        listeners = await self._listen()
        port: int = listeners[0].socket.getsockname()[1]
        log.info("rpc.listening", address=join_host_port(self._host, port))
        if self._host not in LOCAL_HOSTS:
            log.warning(
                "rpc.exposed",
                reason="listening beyond this machine: every client that reaches the address may use the node",
                address=join_host_port(self._host, port),
            )
        async with trio.open_nursery() as connections:
            try:
                task_status.started(port)
                connections.start_soon(self._watch)
                connections.start_soon(self._dispatcher.feeds.run)
                await trio.serve_listeners(
                    self._serve_stream, listeners, handler_nursery=connections
                )
            finally:
                self._shut_down()

    async def _listen(self) -> list[trio.SocketListener]:
        try:
            listeners = list(await trio.open_tcp_listeners(self._port, host=self._host))
        except OSError as error:
            # trio wraps the errors of several addresses (localhost: IPv4 and IPv6) in one.
            if error.errno == errno.EADDRINUSE:
                raise RpcPortInUse(self._host, self._port) from error
            raise ListenError(self._host, self._port, error.strerror or str(error)) from error
        if self._port == 0:
            # With "any port" each address of a name got a port of its own; one is what we report.
            for surplus in listeners[1:]:
                await surplus.aclose()
            del listeners[1:]
        return listeners

    async def _serve_stream(self, stream: trio.SocketStream) -> None:
        share = Share(self._budget, self._limits.buffered_free)
        connection = Connection(stream, self._gateway, self._limits, share)
        if len(self._connections) >= self._limits.connections and not self._make_room():
            await self._refuse(connection, stream)
            return
        self._connections.add(connection)
        try:
            if self._deadline is not None:
                connection.shut_down(self._deadline)
            await connection.serve()
        except Exception:  # a bug in serving one client must not end the others
            log.exception("rpc.connection_failed")
        finally:
            share.hold(0)
            self._connections.discard(connection)
            self._leaving.discard(connection)

    def _make_room(self) -> bool:
        """Take the place of a connection that gives us nothing to do; true if there was one."""
        now = trio.current_time()
        leaver = first_to_go(((each, each.wait) for each in self._connections), now)
        if leaver is None:
            return False
        self.refused += 1
        leaver.give_way(self._farewell())
        self._connections.discard(leaver)
        self._leaving.add(leaver)
        return True

    def _farewell(self) -> HttpResponse | None:
        """The answer to a connection without a place. It takes a moment too; in a flood, connections over twice
        the limit are just dropped.
        """
        if len(self._leaving) >= self._limits.connections:
            return None
        return text_response(503, "too many connections, try again later", b"Retry-After: 1")

    async def _watch(self) -> None:
        """End what takes too long on a connection, soon after it should have ended."""
        while True:
            await trio.sleep(WATCH_SECONDS)
            now = trio.current_time()
            for connection in (*self._connections, *self._leaving):
                connection.expire(now)

    async def _refuse(self, connection: Connection, stream: trio.SocketStream) -> None:
        self.refused += 1
        farewell = self._farewell()
        if farewell is None:
            await trio.aclose_forcefully(stream)
            return
        self._leaving.add(connection)
        try:
            await connection.refuse(farewell)
        finally:
            self._leaving.discard(connection)

    def _shut_down(self) -> None:
        self._deadline = trio.current_time() + self._limits.shutdown_grace
        for connection in (*self._connections, *self._leaving):
            connection.shut_down(self._deadline)
