"""What all connections together hold in memory of messages that have not arrived, and for how long."""

import json
from contextlib import asynccontextmanager

import pytest
import trio
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    Pong,
    Request,
    TextMessage,
)

from rpc.budget import Budget, Share
from rpc.dispatch import Dispatcher
from rpc.limits import Limits
from rpc.server import Server
from tests.support.scoped import WithChains

LIMITS = Limits(buffered=100_000, buffered_free=1_000)
CALL = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_chainId"})
HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


class Backend(WithChains):
    def __init__(self):
        self.working, self.done = trio.Event(), trio.Event()

    async def block_number(self, scope):
        self.working.set()
        await self.done.wait()
        return 1

    async def chain_id(self):
        return 7

    async def code(self, scope, address, ref):
        return bytes(8 << 20)  # more than sockets buffer


@asynccontextmanager
async def serving(limits=LIMITS, backend=None):
    dispatcher = Dispatcher(backend or Backend(), limits)
    server = Server(dispatcher, host="127.0.0.1", port=0, limits=limits)
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            port = await nursery.start(lambda task_status: server.run(task_status=task_status))
            yield port
            nursery.cancel_scope.cancel()


class WebSocket:
    def __init__(self, stream):
        self.stream = stream
        self.ws = WSConnection(ConnectionType.CLIENT)
        self.events = []

    async def send(self, event):
        await self.stream.send_all(self.ws.send(event))

    async def next(self):
        while not self.events:
            self.ws.receive_data(await self.stream.receive_some(65536) or None)
            self.events = list(self.ws.events())
        return self.events.pop(0)

    async def holds(self, size):
        """Leave a message of so many bytes unfinished, and see that it was taken in."""
        await self.send(BytesMessage(bytes(size), message_finished=False))
        await self.send(Ping(b"read?"))
        assert isinstance(await self.next(), Pong)


@asynccontextmanager
async def websocket(port):
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        client = WebSocket(stream)
        await client.send(Request(host="localhost", target="/"))
        assert isinstance(await client.next(), AcceptConnection)
        yield client


async def posted(port, body):
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(HEAD % len(body) + body)
        return await stream.receive_some(10_000)


def padded(size):
    return CALL.ljust(size)


async def test_an_unfinished_message_ends_a_websocket_in_time(loopback_clock):
    async with serving(Limits(read_timeout=0.3, ping_interval=60)) as port:
        async with websocket(port) as client:
            await client.send(TextMessage("[", message_finished=False))
            event = await client.next()
            assert isinstance(event, CloseConnection)
            assert (event.code, event.reason) == (
                1008,
                "too slow: a message took too long to arrive",
            )
        async with websocket(port) as client:  # a message that has arrived is no such thing
            await client.send(TextMessage(CALL))
            assert "0x7" in (await client.next()).data
            with trio.move_on_after(1) as waited:
                await client.next()
            assert waited.cancelled_caught


async def test_unfinished_messages_have_a_bound_together():
    async with serving() as port:
        async with websocket(port) as greedy:
            await greedy.holds(90_000)
            async with websocket(port) as other:
                await other.send(TextMessage(padded(1_000)))  # what is small always has room
                assert "0x7" in (await other.next()).data
                await other.send(TextMessage(padded(20_000)))
                event = await other.next()
                assert isinstance(event, CloseConnection)
                assert event.code == 1013
            assert b"503 Service Unavailable" in await posted(port, padded(20_000).encode())
            assert b"200 OK" in await posted(port, CALL.encode())
        await until_room(port)


async def test_unfinished_bodies_have_the_same_bound():
    async with serving() as port:
        async with await trio.open_tcp_stream("127.0.0.1", port) as greedy:
            await greedy.send_all(HEAD % 95_000 + bytes(90_000))
            while b"200 OK" in await posted(port, padded(20_000).encode()):
                pass  # it has not arrived yet
            assert b"200 OK" in await posted(port, CALL.encode())
        await until_room(port)


async def test_a_body_counts_while_it_is_worked_on_whatever_follows_it():
    """The beginning of another request, in the same packet, takes nothing off."""
    asked = {"jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber"}
    slow = json.dumps(asked).ljust(95_000).encode()
    backend = Backend()
    async with (
        serving(backend=backend) as port,
        await trio.open_tcp_stream("127.0.0.1", port) as greedy,
    ):
        await greedy.send_all(HEAD % len(slow) + slow + HEAD[:20])
        await backend.working.wait()
        assert b"503 Service Unavailable" in await posted(port, padded(20_000).encode())
        assert b"200 OK" in await posted(port, CALL.encode())
        backend.done.set()
        assert b"200 OK" in await greedy.receive_some(10_000)
        await until_room(port)


async def test_answers_that_are_not_read_have_it_too():
    """A client that does not read one loses its connection where there is no room to wait."""
    code = {"jsonrpc": "2.0", "id": 1, "method": "eth_getCode", "params": ["0x" + "00" * 20]}
    asked = json.dumps(code).encode()
    async with serving() as port:
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(HEAD % len(asked) + asked)
            size = 0
            try:
                while data := await stream.receive_some(65536):
                    size += len(data)
            except trio.BrokenResourceError:
                pass
            assert size < 16 << 20  # it ends before it is whole
        async with websocket(port) as client:
            await client.send(TextMessage(asked.decode()))
            event = await client.next()
            assert isinstance(event, CloseConnection)
            assert event.code == 1013
        await until_room(port)


async def until_room(port):
    """What was held is given back: nothing is left of those who are gone."""
    while b"200 OK" not in await posted(port, padded(90_000).encode()):
        pass
    for _ in range(5):
        assert b"200 OK" in await posted(port, padded(90_000).encode())


@pytest.mark.parametrize("sizes", [(50, 0), (100, 150, 0), (150, 120, 149, 0)])
def test_shares_take_and_give_back(sizes):
    budget = Budget(60)
    share, other = Share(budget, 100), Share(budget, 100)
    for size in sizes:
        assert share.hold(size)
        assert budget.used == max(0, size - 100)
        assert other.hold(160 - max(0, size - 100))
        assert not other.hold(161 - max(0, size - 100))
        other.hold(0)
    assert budget.used == 0
