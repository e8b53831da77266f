"""A network for asyncio and trio: what waits does so in a thread, so that the event loop goes on."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, Unpack

from node.testing.conditions import Condition
from node.testing.members import ASK_SECONDS
from node.testing.waiting import INTERVAL, WAIT_SECONDS, Wait

if TYPE_CHECKING:
    from node.cluster.accounts import DevAccount
    from node.testing.network import Network
    from node.testing.options import Options

P = ParamSpec("P")
T = TypeVar("T")
_ABANDON: dict[str, Any] = {"abandon_on_cancel": True}  # trio-typing does not know it


class AsyncNetwork:
    """`net.aio`: the methods of `net` that take time, to be awaited under asyncio or trio.

    When what awaits is cancelled, a request that is under way ends in its thread, and its answer is dropped.
    """

    def __init__(self, network: "Network") -> None:
        self.network = network

    @classmethod
    @asynccontextmanager
    async def start(
        cls,
        *,
        directory: Path | None = None,
        keep: bool | None = None,
        **options: "Unpack[Options]",
    ) -> "AsyncIterator[AsyncNetwork]":
        """A network for as long as the block lasts. Raises as Network.start."""
        from node.testing.network import Network

        network = Network(directory=directory, keep=keep, **options)
        try:
            await _in_thread(network.up)
            yield cls(network)
        finally:
            await _in_thread_whatever_happens(network.stop)

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call what would block in a thread: `await net.aio.run(net.faults.kill, "s0v0")`."""
        return await _in_thread(lambda: function(*args, **kwargs))

    async def request(
        self,
        method: str,
        *params: object,
        timeout: float = ASK_SECONDS,  # noqa: ASYNC109 - of a socket
    ) -> Any:
        """`Network.request`."""
        return await self.run(self.network.request, method, *params, timeout=timeout)

    async def wait_for(
        self,
        condition: Condition[T] | Callable[[], T],
        timeout: float = WAIT_SECONDS,  # noqa: ASYNC109 - its error says what was missing
        *,
        interval: float = INTERVAL,
        what: str | None = None,
    ) -> T:
        """`Network.wait_for`. A function is called in a thread."""
        __tracebackhide__ = True
        wait = Wait(self.network, condition, timeout, what)
        while not await _in_thread(wait.poll):
            await _sleep(interval)
        return wait.result

    async def send(
        self,
        sender: "DevAccount",
        to: str | None = None,
        *,
        value: int = 0,
        data: bytes | str = b"",
        gas: int | None = None,
    ) -> str:
        """`Network.send`."""
        return await self.run(self.network.send, sender, to, value=value, data=data, gas=gas)

    async def new_account(self, *, shard: int = 0, ether: float = 100) -> "DevAccount":
        """`Network.new_account`."""
        return await self.run(self.network.new_account, shard=shard, ether=ether)

    async def audit(self, block: int | None = None) -> dict[str, Any]:
        """`Network.audit`."""
        return await self.run(self.network.audit, block)

    async def snapshot(self) -> str:
        """`Network.snapshot`."""
        return await self.run(self.network.snapshot)

    async def revert(self, snapshot: str) -> None:
        """`Network.revert`."""
        await self.run(self.network.revert, snapshot)


def _in_trio() -> bool:
    trio = sys.modules.get("trio")
    return trio is not None and trio.lowlevel.in_trio_run()


async def _in_thread(function: Callable[[], T]) -> T:
    if not _in_trio():
        return await asyncio.to_thread(function)
    import trio

    return await trio.to_thread.run_sync(function, **_ABANDON)


async def _in_thread_whatever_happens(function: Callable[[], T]) -> T:
    """Cancelled or not: the function runs, and is waited for as long as the loop lets us."""
    if not _in_trio():
        return await asyncio.shield(asyncio.to_thread(function))
    import trio

    with trio.CancelScope(shield=True):
        return await trio.to_thread.run_sync(function)


async def _sleep(seconds: float) -> None:
    if not _in_trio():
        await asyncio.sleep(seconds)
        return
    import trio

    await trio.sleep(seconds)
