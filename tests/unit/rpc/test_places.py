"""Who makes room where there are as many connections as there may be."""

import json
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import trio
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Request, TextMessage

from rpc.dispatch import Dispatcher
from rpc.limits import Limits
from rpc.places import GRACE, ClientWait, WaitKind, first_to_go
from rpc.server import Server
from tests.support.scoped import WithChains

HALF = b"POST / HTTP/1.1\r\nHost: loc"


def waits(*rows):
    return [(name, wait and ClientWait(*wait)) for name, wait in rows]


def test_whoever_has_waited_longest_goes():
    arriving = [
        ("b", (WaitKind.ARRIVING, 2.0)),
        ("a", (WaitKind.ARRIVING, 1.0)),
        ("c", (WaitKind.ARRIVING, 3)),
    ]
    assert first_to_go(waits(*arriving), 3.0) == "a"
    assert first_to_go(waits(*arriving[::-1]), 3.0) == "a"


def test_whoever_never_asked_goes_before_those_that_asked():
    rows = [
        (kind.name, (kind, float(-kind))) for kind in reversed(WaitKind)
    ]  # the last waits longest
    for kind in WaitKind:
        assert first_to_go(waits(*rows), 100.0) == kind.name
        rows.pop()
    assert first_to_go([], 100.0) is None


def test_whoever_waits_for_us_stays():
    assert first_to_go(waits(("busy", None), ("late", (WaitKind.UNREAD, 0.0))), 100.0) == "late"
    assert first_to_go(waits(("busy", None)), 100.0) is None


@pytest.mark.parametrize("kind", WaitKind)
def test_a_moment_is_left_to_who_asked(kind):
    row = waits(("a", (kind, 10.0)))
    assert first_to_go(row, 10.0 + GRACE[kind]) == "a"
    if GRACE[kind]:
        assert first_to_go(row, 9.99 + GRACE[kind]) is None


class Backend(WithChains):
    def __init__(self):
        self.working = 0
        self.done = trio.Event()

    async def chain_id(self):
        return 7

    async def block_number(self, scope):
        self.working += 1
        await self.done.wait()
        return 1

    async def syncing(self):
        return False

    async def code(self, scope, address, ref):
        return bytes(8 << 20)  # more than sockets buffer


@asynccontextmanager
async def serving(backend=None, **limits):
    """The port and the server."""
    bounds = Limits(**limits)
    server = Server(
        Dispatcher(backend or Backend(), bounds), host="127.0.0.1", port=0, limits=bounds
    )
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery, AsyncExitStack() as clients:
            port = await nursery.start(lambda task_status: server.run(task_status=task_status))

            async def dial(data=b""):
                stream = await clients.enter_async_context(
                    await trio.open_tcp_stream("127.0.0.1", port)
                )
                await stream.send_all(data)
                return stream

            yield dial, server
            nursery.cancel_scope.cancel()


async def until(condition):
    while not condition():  # noqa: ASYNC110 - what is looked at has no event
        await trio.sleep(0.005)


def post(method="eth_chainId", *params):
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


async def everything(stream):
    """What comes until the server closes."""
    data = b""
    try:
        while some := await stream.receive_some(1 << 20):
            data += some
    except trio.BrokenResourceError:
        pass
    return data


async def answered(stream, request=None):
    await stream.send_all(post() if request is None else request)
    return (await stream.receive_some(10_000)).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("begun", [b"", HALF, post()[:-1]], ids=["nothing", "head", "body"])
async def test_half_a_request_gives_way_to_a_whole_one(begun):
    async with serving(connections=3) as (dial, server):
        slow = []
        for _ in range(3):
            slow.append(await dial(begun))
            await until(lambda: sum(server.connections()[:2]) == len(slow))
        assert await answered(await dial())
        first = await everything(slow[0])
        assert first.startswith(b"HTTP/1.1 503")
        assert b"Retry-After: 1" in first
        if begun:  # the others have kept theirs
            rest = post().removeprefix(begun) if begun != HALF else b"alhost\r\n\r\n"
            await slow[1].send_all(rest)
            assert (await slow[1].receive_some(100)).startswith(b"HTTP/1.1 ")
        assert server.refused == 1


async def test_however_many_send_halves_others_are_served():
    async with serving(connections=8) as (dial, server):
        closing = post().replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
        for count in range(1, 25):
            await dial(HALF)
            await until(lambda least=count - 8: server.refused >= least)
            assert await answered(await dial(), closing)


async def test_what_is_worked_on_is_not_given_up():
    backend = Backend()
    async with serving(backend, connections=2) as (dial, _):
        working = [await dial(post("eth_blockNumber")) for _ in range(2)]
        await until(lambda: backend.working == 2)
        assert (await everything(await dial(post()))).startswith(b"HTTP/1.1 503")
        backend.done.set()
        for stream in working:
            assert b'"0x1"' in await stream.receive_some(10_000)


async def test_an_idle_connection_gives_way_without_a_word(monkeypatch):
    monkeypatch.setitem(GRACE, WaitKind.IDLE, 60.0)
    async with serving(connections=2) as (dial, _):
        idle, half = await dial(), await dial()
        assert await answered(idle)
        await half.send_all(HALF)
        assert await answered(await dial())  # in the place of the half one
        assert (await everything(await dial())).startswith(b"HTTP/1.1 503")  # both have just asked
        monkeypatch.setitem(GRACE, WaitKind.IDLE, 0.0)
        assert await answered(await dial())
        assert await everything(idle) == b""


async def test_who_does_not_read_an_answer_gives_way(monkeypatch):
    monkeypatch.setitem(GRACE, WaitKind.UNREAD, 0.0)
    async with serving(connections=1) as (dial, server):
        unread = await dial(post("eth_getCode", "0x" + "00" * 20))
        (connection,) = await accepted(server, 1)
        await until(lambda: connection.wait is not None and connection.wait.kind is WaitKind.UNREAD)
        assert await answered(await dial())
        assert len(await everything(unread)) < 16 << 20  # cut off


async def accepted(server, count):
    await until(lambda: len(server._connections) == count)
    return tuple(server._connections)


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

    async def ask(self, method, *params):
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        await self.send(TextMessage(json.dumps(body)))
        return json.loads((await self.next()).data)


async def websocket(dial):
    client = WebSocket(await dial())
    await client.send(Request(host="localhost", target="/"))
    assert isinstance(await client.next(), AcceptConnection)
    return client


async def test_a_quiet_websocket_gives_way_and_one_that_listens_does_not(monkeypatch):
    monkeypatch.setitem(GRACE, WaitKind.QUIET, 0.0)
    async with serving(connections=2) as (dial, _):
        listening, quiet = await websocket(dial), await websocket(dial)
        assert "result" in await listening.ask("eth_subscribe", "syncing")
        assert "result" in await quiet.ask("eth_chainId")
        assert await answered(await dial())
        event = await quiet.next()
        assert isinstance(event, CloseConnection)
        assert event.code == 1013
        assert "result" in await listening.ask("eth_chainId")


async def test_a_websocket_that_works_does_not_give_way(monkeypatch):
    monkeypatch.setitem(GRACE, WaitKind.QUIET, 0.0)
    backend = Backend()
    async with serving(backend, connections=1) as (dial, _):
        client = await websocket(dial)
        body = {"jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber"}
        await client.send(TextMessage(json.dumps(body)))
        await until(lambda: backend.working == 1)
        assert (await everything(await dial(post()))).startswith(b"HTTP/1.1 503")
        backend.done.set()
        assert json.loads((await client.next()).data)["result"] == "0x1"


async def test_websockets_that_listen_leave_places_to_others():
    async with serving(connections=4, subscribers=2) as (dial, _):
        one, two, three = [await websocket(dial) for _ in range(3)]
        asked = await one.ask("eth_subscribe", "syncing")
        assert "result" in await one.ask("eth_subscribe", "syncing")
        assert "result" in await two.ask("eth_subscribe", "syncing")
        assert (await three.ask("eth_subscribe", "syncing"))["error"]["code"] == -32005
        assert (await one.ask("eth_unsubscribe", asked["result"]))["result"] is True
        assert (await three.ask("eth_subscribe", "syncing"))["error"]["code"] == -32005
        await two.send(CloseConnection(1000))
        assert isinstance(await two.next(), CloseConnection)
        while "error" in await three.ask("eth_subscribe", "syncing"):
            pass
