"""Subscriptions of one WebSocket: tasks that follow the chain and push what is new.

Each follows at its own pace from the block at which it was made, so none misses a block and none is
told one twice. What a client has not read yet waits in the session's queue, which is bounded: a client
that lets it overflow is dropped by the session.
"""

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any

import msgspec
import structlog
import trio

from rpc import render
from rpc.backend import Backend
from rpc.errors import LimitExceeded, RpcError
from rpc.limits import Limits
from rpc.wire import LogFilter, MessageEvent, MessageFilter

log = structlog.get_logger(__name__)

KINDS = (
    "newHeads",
    "logs",
    "newPendingTransactions",
    "syncing",
    "atoll_messages",
    "atoll_blocks",
    "atoll_shardBlocks",
)
RETRY_SECONDS = 0.5
PENDING_SECONDS = 0.1
SYNCING_SECONDS = 1.0

_encode = msgspec.json.encode
_Task = Callable[[], Awaitable[None]]


class Subscriptions:
    """All subscriptions of a session. `push` takes a whole message and does not wait; `tasks` is the
    nursery in which they run."""

    def __init__(
        self,
        backend: Backend,
        scope: int | None,
        limits: Limits,
        *,
        push: Callable[[bytes], None],
        tasks: trio.Nursery,
    ) -> None:
        self.backend = backend
        self.scope = scope
        self._limit = limits.subscriptions
        self._push = push
        self._tasks = tasks
        self._scopes: dict[int, trio.CancelScope] = {}

    def __len__(self) -> int:
        return len(self._scopes)

    def reserve(self) -> int:
        """An id for one more. Raises LimitExceeded."""
        if len(self._scopes) >= self._limit:
            raise LimitExceeded(f"too many subscriptions: at most {self._limit} per connection")
        subscription = secrets.randbits(127) | 1 << 127
        self._scopes[subscription] = trio.CancelScope()
        return subscription

    def start(self, subscription: int, follow: _Task) -> None:
        self._tasks.start_soon(self._run, subscription, follow)

    def remove(self, subscription: int) -> bool:
        """Whether there was such a subscription."""
        scope = self._scopes.pop(subscription, None)
        if scope is not None:
            scope.cancel()
        return scope is not None

    def tell(self, subscription: int, result: Any) -> None:
        """Push one notification."""
        params = {"subscription": hex(subscription), "result": result}
        self._push(_encode({"jsonrpc": "2.0", "method": "eth_subscription", "params": params}))

    async def _run(self, subscription: int, follow: _Task) -> None:
        scope = self._scopes.get(subscription)
        if scope is None:
            return  # unsubscribed before it began
        with scope:
            while True:
                try:
                    await follow()
                except RpcError as error:
                    # A shard is away; its blocks will be there when it is back.
                    log.info("rpc.subscription_waits", why=error.message)
                    await trio.sleep(RETRY_SECONDS)
                except Exception:
                    log.exception("rpc.subscription_failed")
                    self._scopes.pop(subscription, None)
                    return


class Subscriber:
    """The subscriptions that one message asks for. They begin with `start`, once its answer is on the
    way: nobody is notified under an id that it has not been told."""

    def __init__(self, subscriptions: Subscriptions) -> None:
        self._all = subscriptions
        self._backend = subscriptions.backend
        self._scope = subscriptions.scope
        self._fresh: list[tuple[int, _Task]] = []

    def start(self) -> None:
        for subscription, follow in self._fresh:
            self._all.start(subscription, follow)
        self._fresh.clear()

    def remove(self, subscription: int) -> bool:
        return self._all.remove(subscription)

    async def heads(self) -> int:
        """The headers of new blocks."""
        return self._add(_Heads(self._all, await self._backend.block_number(self._scope)).follow)

    async def logs(self, wanted: LogFilter) -> int:
        """Matching logs of new blocks."""
        head = await self._backend.block_number(self._scope)
        return self._add(_Logs(self._all, head, wanted).follow)

    async def pending(self, full: bool) -> int:
        """Hashes of transactions that pools take in, or the transactions if `full`."""
        page = await self._backend.pending_since(self._scope, None)
        return self._add(_Pending(self._all, page.cursor, full).follow)

    async def syncing(self) -> int:
        """Whether the node syncs, whenever that changes."""
        progress = await self._backend.syncing(self._scope)
        return self._add(_Syncing(self._all, progress is not None).follow)

    async def messages(self, wanted: MessageFilter) -> int:
        """What happens to messages: sent, finalised, delivered."""
        page = await self._backend.message_events(None)
        return self._add(_Messages(self._all, page.cursor, wanted).follow)

    async def network_blocks(self) -> int:
        """New network blocks, with the shard headers that each takes in."""
        return self._add(_NetworkBlocks(self._all, await self._backend.block_number(None)).follow)

    async def shard_blocks(self) -> int:
        """New blocks of every shard, or of that of the path, as soon as the shard has decided them."""
        last = {
            row["id"]: row["crosslinked"] if row["height"] is None else row["height"]
            for row in await self._backend.shards()
            if self._scope in (None, row["id"])
        }
        return self._add(_ShardBlocks(self._all, last).follow)

    def _add(self, follow: Callable[[int], Awaitable[None]]) -> int:
        subscription = self._all.reserve()
        self._fresh.append((subscription, partial(follow, subscription)))
        return subscription


class _Heads:
    def __init__(self, to: Subscriptions, last: int) -> None:
        self._to = to
        self._last = last

    async def follow(self, subscription: int) -> None:
        backend, scope = self._to.backend, self._to.scope
        head = await backend.wait_for_block(scope, self._last)
        while self._last < head:
            view = await backend.block_by_number(scope, self._last + 1, False)
            if view is not None:
                self._to.tell(subscription, render.header(view))
            self._last += 1


class _Logs:
    def __init__(self, to: Subscriptions, last: int, wanted: LogFilter) -> None:
        self._to = to
        self._last = last
        self._wanted = wanted

    async def follow(self, subscription: int) -> None:
        backend, scope = self._to.backend, self._to.scope
        head = await backend.wait_for_block(scope, self._last)
        while self._last < head:
            number = self._last + 1
            wanted = replace(self._wanted, from_block=number, to_block=number, block_hash=None)
            for view in await backend.logs(scope, wanted):
                self._to.tell(subscription, render.log(view))
            self._last = number


class _Pending:
    def __init__(self, to: Subscriptions, cursor: int, full: bool) -> None:
        self._to = to
        self._cursor = cursor
        self._full = full

    async def follow(self, subscription: int) -> None:
        backend, scope = self._to.backend, self._to.scope
        page = await backend.pending_since(scope, self._cursor)
        self._cursor = page.cursor
        for tx_hash in page.hashes:
            if self._full:
                view = await backend.transaction_by_hash(scope, tx_hash)
                if view is not None:
                    self._to.tell(subscription, render.transaction(view))
            else:
                self._to.tell(subscription, "0x" + tx_hash.hex())
        await trio.sleep(PENDING_SECONDS)


class _Syncing:
    def __init__(self, to: Subscriptions, told: bool) -> None:
        self._to = to
        self._told = told

    async def follow(self, subscription: int) -> None:
        progress = await self._to.backend.syncing(self._to.scope)
        if self._told is not (progress is not None):
            self._told = progress is not None
            status = render.syncing(progress)
            self._to.tell(
                subscription, False if progress is None else {"syncing": True, "status": status}
            )
        await trio.sleep(SYNCING_SECONDS)


class _Messages:
    """On the path of a shard, the messages of that shard only."""

    def __init__(self, to: Subscriptions, cursor: int, wanted: MessageFilter) -> None:
        self._to = to
        self._cursor = cursor
        self._wanted = wanted

    async def follow(self, subscription: int) -> None:
        page = await self._to.backend.message_events(self._cursor)
        self._cursor = page.cursor
        if page.missed:
            self._to.tell(subscription, {"event": "missed"})
        for event in page.events:
            if self._matches(event):
                self._to.tell(subscription, {"event": event.event, **event.details})

    def _matches(self, event: MessageEvent) -> bool:
        wanted = self._wanted
        return (
            (self._to.scope is None or self._to.scope in event.shards)
            and (wanted.ids is None or event.id in wanted.ids)
            and (wanted.addresses is None or not wanted.addresses.isdisjoint(event.addresses))
            and (wanted.shards is None or not wanted.shards.isdisjoint(event.shards))
            and (wanted.events is None or event.event in wanted.events)
        )


class _NetworkBlocks:
    def __init__(self, to: Subscriptions, last: int) -> None:
        self._to = to
        self._last = last

    async def follow(self, subscription: int) -> None:
        head = await self._to.backend.wait_for_block(None, self._last)
        while self._last < head:
            self._to.tell(subscription, await self._to.backend.network_block(self._last + 1))
            self._last += 1


class _ShardBlocks:
    """Each shard at its own pace: one that is away holds up none of the others."""

    def __init__(self, to: Subscriptions, last: dict[int, int]) -> None:
        self._to = to
        self._last = last

    async def follow(self, subscription: int) -> None:
        async with trio.open_nursery() as shards:
            for shard in self._last:
                shards.start_soon(self._follow, subscription, shard)

    async def _follow(self, subscription: int, shard: int) -> None:
        backend = self._to.backend
        while True:
            try:
                head = await backend.wait_for_block(shard, self._last[shard])
                while self._last[shard] < head:
                    block = await backend.shard_block(shard, self._last[shard] + 1)
                    self._to.tell(subscription, block)
                    self._last[shard] += 1
            except RpcError as error:
                log.info("rpc.subscription_waits", why=error.message)
                await trio.sleep(RETRY_SECONDS)
