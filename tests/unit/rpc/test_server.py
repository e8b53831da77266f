"""The server over real sockets: HTTP."""

import errno
import json
import socket
from contextlib import asynccontextmanager

import pytest
import trio
from structlog.testing import capture_logs

from rpc.dispatch import Dispatcher
from rpc.errors import ListenError, RpcPortInUse
from rpc.limits import Limits
from rpc.places import GRACE, WaitKind
from rpc.server import Server
from tests.support.scoped import WithChains


class Backend(WithChains):
    async def block_number(self, scope):
        return 26 if scope is None else scope

    async def code(self, scope, address, ref):
        return b"\0" * 4_000_000

    def health(self):
        return True, {"height": 1}


@asynccontextmanager
async def serving(limits=None, backend=None, **options):
    limits = limits or Limits()
    server = Server(
        Dispatcher(backend or Backend(), limits),
        host="127.0.0.1",
        port=0,
        limits=limits,
        **options,
    )
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            port = await nursery.start(lambda task_status: server.run(task_status=task_status))
            yield port
            nursery.cancel_scope.cancel()


class Client:
    """A connection that reads whole responses."""

    def __init__(self, stream):
        self.stream = stream
        self.buffer = b""

    async def send(self, data):
        await self.stream.send_all(data)

    async def more(self):
        data = await self.stream.receive_some(65536)
        self.buffer += data
        return bool(data)

    async def response(self):
        while b"\r\n\r\n" not in self.buffer:
            assert await self.more(), "the connection ended before a response"
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        headers = dict(line.lower().split(b": ", 1) for line in lines)
        length = int(headers.get(b"content-length", 0))
        while len(self.buffer) < length:
            assert await self.more(), "the connection ended within a response"
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return int(first.split()[1]), headers, body

    async def ended(self):
        """True once the server has closed; what it sent before must have been read."""
        try:
            return not await self.more()
        except trio.BrokenResourceError:
            return True


@asynccontextmanager
async def connected(port):
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    async with stream:
        yield Client(stream)


def call(method="eth_blockNumber", *params, request_id=1):
    return json.dumps(
        {"jsonrpc": "2.0", "id": request_id, "method": method, "params": list(params)}
    ).encode()


def post(body, *headers, path=b"/"):
    return b"\r\n".join(
        [
            b"POST " + path + b" HTTP/1.1",
            b"Host: localhost",
            b"Content-Type: application/json",
            b"Content-Length: %d" % len(body),
            *headers,
            b"",
            body,
        ]
    )


async def test_a_connection_is_kept_for_many_requests():
    async with serving() as port, connected(port) as client:
        for i in range(50):
            await client.send(post(call(request_id=i)))
            status, headers, body = await client.response()
            assert status == 200
            assert headers[b"content-type"] == b"application/json"
            assert b"connection" not in headers
            assert json.loads(body) == {"jsonrpc": "2.0", "id": i, "result": "0x1a"}


async def test_connection_close_is_respected():
    async with serving() as port, connected(port) as client:
        await client.send(post(call(), b"Connection: close"))
        status, headers, _ = await client.response()
        assert (status, headers[b"connection"]) == (200, b"close")
        assert await client.ended()


async def test_http_1_0_closes_unless_asked_to_stay():
    async with serving() as port:
        async with connected(port) as client:
            await client.send(post(call()).replace(b"HTTP/1.1", b"HTTP/1.0"))
            assert (await client.response())[0] == 200
            assert await client.ended()
        async with connected(port) as client:
            stay = post(call(), b"Connection: keep-alive").replace(b"HTTP/1.1", b"HTTP/1.0")
            for _ in range(2):
                await client.send(stay)
                assert (await client.response())[1][b"connection"] == b"keep-alive"


async def test_pipelined_requests_are_answered_in_order():
    async with serving() as port, connected(port) as client:
        await client.send(b"".join(post(call(request_id=i)) for i in range(200)))
        for i in range(200):
            assert json.loads((await client.response())[2])["id"] == i


async def test_a_chunked_body_and_a_body_in_pieces():
    body = call()
    head = b"POST /shard/5 HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    async with serving() as port, connected(port) as client:
        await client.send(head + b"Transfer-Encoding: chunked\r\n\r\n")
        for i in range(0, len(body), 7):
            piece = body[i : i + 7]
            await client.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        await client.send(b"0\r\n\r\n")
        assert json.loads((await client.response())[2])["result"] == "0x5"
        for byte in post(body):
            await client.send(bytes([byte]))
        assert json.loads((await client.response())[2])["result"] == "0x1a"


async def test_expect_100_continue():
    body = call()
    head, _, _ = post(body, b"Expect: 100-continue").partition(b"\r\n\r\n")
    async with serving() as port, connected(port) as client:
        await client.send(head + b"\r\n\r\n")
        assert (await client.response())[0] == 100
        await client.send(body)
        assert (await client.response())[0] == 200


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_too_large_is_refused_and_the_client_can_read_why(chunked):
    async with serving(Limits(body_size=100_000)) as port, connected(port) as client:
        payload = b"x" * 3_000_000
        if chunked:
            head, _, _ = post(b"").partition(b"Content-Length")
            data = head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(payload) + payload
        else:
            data = post(payload)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.send, data)
            status, headers, body = await client.response()
        assert status == 413
        assert headers[b"connection"] == b"close"
        assert b"100000 bytes" in body


async def test_headers_too_large_are_refused():
    async with serving() as port, connected(port) as client:
        await client.send(post(call(), b"X: " + b"x" * 20_000))
        assert (await client.response())[0] == 431
        assert await client.ended()


@pytest.mark.parametrize(
    "garbage",
    [b"\0" * 100, b"\x16\x03\x01\x02\x00\x01", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"?\r\n"],
)
async def test_garbage_is_refused_and_others_are_served(garbage):
    async with serving() as port, connected(port) as other:
        async with connected(port) as client:
            await client.send(garbage)
            assert (await client.response())[0] == 400
            assert await client.ended()
        await other.send(post(call()))
        assert (await other.response())[0] == 200


async def test_a_client_that_leaves_in_the_middle_harms_nobody():
    with capture_logs() as logs:
        async with serving() as port:
            for data in (
                b"",
                b"POST",
                post(call())[:-5],
                post(call("eth_getCode", "0x" + "0" * 40)),
            ):
                stream = await trio.open_tcp_stream("127.0.0.1", port)
                await stream.send_all(data)
                # With linger 0 the close is a reset, the rudest way to leave.
                stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
                await stream.aclose()
            async with connected(port) as client:
                await client.send(post(call()))
                assert (await client.response())[0] == 200
    assert not [entry for entry in logs if entry["log_level"] == "error"]


async def test_a_slow_request_ends_at_its_deadline_however_it_drips(loopback_clock):
    async with serving(Limits(read_timeout=0.3)) as port, connected(port) as client:
        start = trio.current_time()

        async def drip():
            try:
                for byte in post(call()):
                    await client.send(bytes([byte]))
                    await trio.sleep(0.02)  # the client's slowness is what is tested
            except trio.BrokenResourceError:
                pass

        async with trio.open_nursery() as nursery:
            nursery.start_soon(drip)
            assert (await client.response())[0] == 408
            nursery.cancel_scope.cancel()
        assert 0.25 < trio.current_time() - start < 2


async def test_empty_lines_do_not_keep_a_connection_open(loopback_clock):
    limits = Limits(idle_timeout=0.3, read_timeout=0.3)

    async def drip(client):
        try:
            while True:
                await client.send(b"\r\n")
                await trio.sleep(0.02)  # the client's slowness is what is tested
        except trio.BrokenResourceError:
            pass

    async with serving(limits) as port, connected(port) as client, trio.open_nursery() as nursery:
        nursery.start_soon(drip, client)
        while not await client.ended():
            pass
        nursery.cancel_scope.cancel()


async def test_an_idle_connection_is_closed_in_silence(loopback_clock):
    async with serving(Limits(idle_timeout=0.2)) as port, connected(port) as client:
        await client.send(post(call()))
        await client.response()
        assert await client.ended()
        assert client.buffer == b""


async def test_a_client_that_does_not_read_is_dropped(loopback_clock):
    async with serving(Limits(write_timeout=0.3)) as port, connected(port) as client:
        client.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        large = post(call("eth_getCode", "0x" + "0" * 40))
        with trio.move_on_after(5) as scope:
            try:
                while True:
                    await client.send(large)  # answers pile up until the server gives up
            except trio.BrokenResourceError:
                pass
        assert not scope.cancelled_caught


async def test_one_connection_too_many_is_told_so(monkeypatch):
    monkeypatch.setitem(GRACE, WaitKind.IDLE, 60.0)
    async with serving(Limits(connections=2)) as port:
        async with connected(port) as first, connected(port) as second:
            for client in (first, second):
                await client.send(post(call()))
                assert (await client.response())[0] == 200
            async with connected(port) as third:
                status, headers, _ = await third.response()
                assert (status, headers[b"retry-after"]) == (503, b"1")
                assert await third.ended()
            await first.send(post(call()))
            assert (await first.response())[0] == 200
        # Places become free again.
        while True:
            async with connected(port) as client:
                await client.send(post(call()))
                if (await client.response())[0] == 200:
                    break


async def test_a_preflight_and_a_refused_host_over_the_wire():
    async with serving(cors_origins=("https://app.example",)) as port, connected(port) as client:
        await client.send(
            b"OPTIONS / HTTP/1.1\r\nHost: localhost\r\nOrigin: https://app.example\r\n"
            b"Access-Control-Request-Method: POST\r\n\r\n"
        )
        status, headers, _ = await client.response()
        assert status == 204
        assert headers[b"access-control-allow-origin"] == b"https://app.example"
        await client.send(post(call()).replace(b"localhost", b"rebound.example"))
        assert (await client.response())[0] == 403


async def test_health_for_get_and_head():
    async with serving() as port, connected(port) as client:
        await client.send(b"HEAD /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        while not client.buffer.endswith(b"\r\n\r\n"):
            await client.more()
        assert b"Content-Length: 12" in client.buffer
        client.buffer = b""
        await client.send(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await client.response())[2] == b'{"height":1}'


async def test_a_port_in_use_is_named_with_what_to_do():
    async with serving() as port:
        limits = Limits()
        second = Server(Dispatcher(Backend(), limits), host="127.0.0.1", port=port, limits=limits)
        with pytest.raises(
            RpcPortInUse, match=rf"127\.0\.0\.1:{port}.*Stop that program.*or choose"
        ):
            await second.run()


async def test_an_address_that_is_not_ours_is_an_error_of_its_own():
    limits = Limits()
    server = Server(Dispatcher(Backend(), limits), host="192.0.2.1", port=0, limits=limits)
    with pytest.raises(ListenError, match=r"192\.0\.2\.1") as raised:
        await server.run()
    assert not isinstance(raised.value, RpcPortInUse)
    assert raised.value.__cause__.errno == errno.EADDRNOTAVAIL
