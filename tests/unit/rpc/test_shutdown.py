"""How the server stops: what is under way is answered, the rest is dropped."""

import json
from contextlib import asynccontextmanager

import pytest
import trio

from rpc.dispatch import Dispatcher
from rpc.limits import Limits
from rpc.server import Server
from tests.support.scoped import WithChains


class Backend(WithChains):
    """`gas_price` waits until `release` is set and says so in `working`."""

    def __init__(self):
        self.working = trio.Event()
        self.release = trio.Event()

    async def block_number(self, scope):
        return 26

    async def gas_price(self, scope):
        self.working.set()
        await self.release.wait()
        return 7


class Client:
    def __init__(self, stream):
        self.stream = stream
        self.send = stream.send_all

    async def response(self):
        """One response that came alone."""
        data = b""
        while not data.endswith(b"}"):
            piece = await self.stream.receive_some(65536)
            assert piece, "the connection ended within a response"
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        return head, json.loads(body)

    async def ended(self):
        try:
            return await self.stream.receive_some(65536) == b""
        except trio.BrokenResourceError:
            return True


@asynccontextmanager
async def connected(port):
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        yield Client(stream)


def post(method):
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method}).encode()
    return (
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    )


async def stopping(backend, limits, port_of):
    """Runs a server until `port_of` sets the event it was given; how long the stop took."""
    server = Server(Dispatcher(backend, limits), host="127.0.0.1", port=0, limits=limits)
    stop = trio.Event()
    async with trio.open_nursery() as nursery:

        async def run(task_status):
            with trio.CancelScope() as scope:
                nursery.start_soon(watch, scope)
                await server.run(task_status=task_status)
            stopped.set()

        async def watch(scope):
            await stop.wait()
            scope.cancel()

        stopped = trio.Event()
        port = await nursery.start(lambda task_status: run(task_status))
        with trio.fail_after(20):
            await port_of(port, stop, stopped)
            await stopped.wait()
    return port


async def test_a_stop_answers_what_is_under_way_and_drops_the_idle():
    backend = Backend()

    async def scenario(port, stop, stopped):
        async with connected(port) as busy, connected(port) as idle, connected(port) as partial:
            await idle.send(post("eth_blockNumber"))
            await idle.response()
            await partial.send(post("eth_blockNumber")[:40])
            await busy.send(post("eth_gasPrice") + post("eth_blockNumber"))
            await backend.working.wait()
            stop.set()
            assert await idle.ended()
            assert await partial.ended()
            assert not stopped.is_set()
            backend.release.set()
            head, answer = await busy.response()
            assert answer["result"] == "0x7"
            assert b"Connection: close" in head
            assert await busy.ended()

    port = await stopping(backend, Limits(), scenario)
    with pytest.raises(OSError, match="all attempts to connect"):
        await trio.open_tcp_stream("127.0.0.1", port)


async def test_a_stop_does_not_wait_longer_than_its_grace(loopback_clock):
    backend = Backend()

    async def scenario(port, stop, stopped):
        async with connected(port) as busy:
            await busy.send(post("eth_gasPrice"))
            await backend.working.wait()
            start = trio.current_time()
            stop.set()
            await stopped.wait()
            assert 0.2 < trio.current_time() - start < 2
            assert await busy.ended()

    await stopping(backend, Limits(shutdown_grace=0.3), scenario)
