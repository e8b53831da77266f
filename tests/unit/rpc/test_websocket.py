"""The server over real sockets: WebSocket, with wsproto's client on the other side."""

import json
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    Pong,
    RejectConnection,
    Request,
    TextMessage,
)

from rpc.dispatch import Dispatcher
from rpc.limits import Limits
from rpc.server import Server
from tests.support.scoped import WithChains


class Backend(WithChains):
    def __init__(self):
        self.waiting = 0
        self.release = trio.Event()

    async def block_number(self, scope):
        return 26 if scope is None else scope

    async def gas_price(self, scope):
        self.waiting += 1
        await self.release.wait()
        return 7


@asynccontextmanager
async def serving(limits=None, backend=None, **options):
    """Yields the port and the cancel scope of the server alone."""
    limits = limits or Limits()
    server = Server(
        Dispatcher(backend or Backend(), limits), host="127.0.0.1", port=0, limits=limits, **options
    )
    stop = trio.CancelScope()

    async def run(task_status):
        with stop:
            await server.run(task_status=task_status)

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            port = await nursery.start(lambda task_status: run(task_status))
            yield port, stop
            stop.cancel()


class Client:
    def __init__(self, stream):
        self.stream = stream
        self.ws = WSConnection(ConnectionType.CLIENT)
        self.events = []

    async def send(self, event):
        await self.stream.send_all(self.ws.send(event))

    async def next(self):
        while not self.events:
            data = await self.stream.receive_some(65536)
            self.ws.receive_data(data or None)
            self.events = list(self.ws.events())
        return self.events.pop(0)

    async def text(self):
        """The next whole text message."""
        parts = []
        while True:
            event = await self.next()
            assert isinstance(event, TextMessage), event
            parts.append(event.data)
            if event.message_finished:
                return "".join(parts)

    async def ask(self, method, request_id=1):
        await self.send(TextMessage(call(method, request_id)))
        return json.loads(await self.text())


def call(method, request_id=1):
    return json.dumps({"jsonrpc": "2.0", "id": request_id, "method": method})


@asynccontextmanager
async def dialled(port, path="/", **headers):
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        client = Client(stream)
        extra = [(name.encode(), value) for name, value in headers.items()]
        await client.send(Request(host=f"localhost:{port}", target=path, extra_headers=extra))
        yield client


@asynccontextmanager
async def connected(port, path="/"):
    async with dialled(port, path) as client:
        assert isinstance(await client.next(), AcceptConnection)
        yield client


async def test_calls_are_answered_on_the_chain_of_the_path():
    async with serving() as (port, _):
        async with connected(port) as client:
            assert await client.ask("eth_blockNumber", "a") == {
                "jsonrpc": "2.0",
                "id": "a",
                "result": "0x1a",
            }
            assert (await client.ask("eth_nothing"))["error"]["code"] == -32601
            await client.send(TextMessage("{"))
            assert json.loads(await client.text())["error"]["code"] == -32700
            assert (await client.ask("eth_blockNumber"))["result"] == "0x1a"
        async with connected(port, "/shard/4") as client:
            assert (await client.ask("eth_blockNumber"))["result"] == "0x4"


async def test_a_call_right_behind_the_handshake_is_not_lost():
    async with serving() as (port, _), await trio.open_tcp_stream("127.0.0.1", port) as stream:
        client = Client(stream)
        hello = client.ws.send(Request(host="localhost", target="/"))
        # A client's frame: text, final, masked with zeros.
        payload = call("eth_blockNumber").encode()
        frame = bytes([0x81, 0x80 | len(payload)]) + bytes(4) + payload
        await stream.send_all(hello + frame)
        assert isinstance(await client.next(), AcceptConnection)
        assert json.loads(await client.text())["result"] == "0x1a"


async def test_fragments_and_binary_frames_are_understood():
    text = call("eth_blockNumber")
    async with serving() as (port, _), connected(port) as client:
        await client.send(TextMessage(text[:9], message_finished=False))
        await client.send(Ping(b"between"))
        await client.send(TextMessage(text[9:]))
        pong = await client.next()
        assert isinstance(pong, Pong)
        assert pong.payload == b"between"
        assert json.loads(await client.text())["result"] == "0x1a"
        await client.send(BytesMessage(text.encode()))
        assert json.loads(await client.text())["result"] == "0x1a"


async def test_a_slow_call_does_not_hold_up_the_next():
    backend = Backend()
    async with serving(backend=backend) as (port, _), connected(port) as client:
        await client.send(TextMessage(call("eth_gasPrice", 1)))
        assert (await client.ask("eth_blockNumber", 2))["id"] == 2
        backend.release.set()
        assert json.loads(await client.text()) == {"jsonrpc": "2.0", "id": 1, "result": "0x7"}


async def test_calls_at_once_are_bounded():
    backend = Backend()
    limits = Limits(websocket_concurrency=3)
    async with serving(limits, backend) as (port, _), connected(port) as client:
        for i in range(10):
            await client.send(TextMessage(call("eth_gasPrice", i)))
        while backend.waiting < 3:
            await trio.lowlevel.checkpoint()
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert backend.waiting == 3
        backend.release.set()
        assert {json.loads(await client.text())["id"] for _ in range(10)} == set(range(10))


async def test_the_closing_handshake():
    async with serving() as (port, _), connected(port) as client:
        await client.send(CloseConnection(code=1000, reason="bye"))
        event = await client.next()
        assert isinstance(event, CloseConnection)
        assert event.code == 1000
        assert await client.stream.receive_some(1) == b""


async def test_a_message_too_large_closes_with_1009():
    async with serving(Limits(body_size=10_000)) as (port, _), connected(port) as client:
        await client.send(TextMessage("x" * 10_001))
        event = await client.next()
        assert isinstance(event, CloseConnection)
        assert event.code == 1009


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\xff\xff\xff\xff", 1002),  # reserved bits and opcode
        (b"\x81\x05hello", 1002),  # not masked
        (b"\x81\x81\0\0\0\0\xff", 1007),  # not UTF-8
    ],
)
async def test_broken_frames_close_with_their_reason(data, code):
    async with serving() as (port, _):
        async with connected(port) as client:
            await client.stream.send_all(data)
            event = await client.next()
            assert isinstance(event, CloseConnection)
            assert event.code == code
        async with connected(port) as client:
            assert (await client.ask("eth_blockNumber"))["result"] == "0x1a"


async def test_a_peer_that_is_silent_for_two_pings_is_dropped(loopback_clock):
    async with serving(Limits(ping_interval=0.1)) as (port, _), connected(port) as client:
        while data := await client.stream.receive_some(1000):  # pings, unanswered
            assert data == b"\x89\x00"


async def test_a_peer_that_answers_pings_stays(loopback_clock):
    # An answer has two intervals, on a busy machine too; it would be dropped at the third ping.
    async with serving(Limits(ping_interval=0.5)) as (port, _), connected(port) as client:
        for _ in range(4):
            event = await client.next()
            assert isinstance(event, Ping)
            await client.send(event.response())
        assert (await client.ask("eth_blockNumber"))["result"] == "0x1a"


async def test_a_foreign_page_is_refused():
    async with (
        serving(cors_origins=("https://app.example",)) as (port, _),
        dialled(port, Origin=b"https://evil.example") as client,
    ):
        event = await client.next()
        assert isinstance(event, RejectConnection)
        assert event.status_code == 403


async def test_a_page_of_anywhere_does_not_sign():
    async with serving(cors_origins=("*",)) as (port, _):
        for origin, refused in ((b"https://evil.example", True), (b"http://localhost:1", False)):
            async with dialled(port, Origin=origin) as client:
                await client.next()
                answer = await client.ask("eth_sign")
                assert ("web page" in answer["error"]["message"]) is refused


async def test_a_stop_answers_what_is_under_way_then_says_1001():
    backend = Backend()
    async with (
        serving(backend=backend) as (port, stop),
        connected(port) as busy,
        connected(port) as idle,
    ):
        await busy.send(TextMessage(call("eth_gasPrice")))
        while not backend.waiting:
            await trio.lowlevel.checkpoint()
        stop.cancel()
        event = await idle.next()
        assert isinstance(event, CloseConnection)
        assert event.code == 1001
        backend.release.set()
        assert json.loads(await busy.text())["result"] == "0x7"
        event = await busy.next()
        assert isinstance(event, CloseConnection)
        assert event.code == 1001
