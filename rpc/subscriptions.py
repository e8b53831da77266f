"""Subscriptions of one WebSocket: tasks that follow the chain and push what is new.

Each follows at its own pace from the block at which it was made, so none misses a block and none is
told one twice. What a client has not read yet waits in the session's queue, which is bounded: a client
that lets it overflow is dropped by the session.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

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


class _Follower(Protocol):
    """Follows a chain for one subscription."""

    async def follow(self, subscription: int) -> None:
        """Push what is new, then return; called again and again."""

    def go_back(self, heads: Mapping[int | None, int]) -> None:
        """The chains have these newest blocks now, by scope."""


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
        self._followers: dict[int, _Follower] = {}
        self._turns: set[trio.CancelScope] = set()
        self._resumed: trio.Event | None = None  # set while there is no backend
        self._heads: Mapping[int | None, int] = {}

    def __len__(self) -> int:
        return len(self._scopes)

    def reserve(self) -> int:
        """An id for one more. Raises LimitExceeded."""
        if len(self._scopes) >= self._limit:
            raise LimitExceeded(f"too many subscriptions: at most {self._limit} per connection")
        subscription = secrets.randbits(127) | 1 << 127
        self._scopes[subscription] = trio.CancelScope()
        return subscription

    def start(self, subscription: int, follower: _Follower) -> None:
        self._tasks.start_soon(self._run, subscription, follower)

    def pause(self) -> None:
        """The backend answers no more; `go_on` brings another."""
        if self._resumed is None:
            self._resumed = trio.Event()
        for turn in list(self._turns):
            turn.cancel()

    def go_on(self, backend: Backend, heads: Mapping[int | None, int]) -> None:
        """See `Dispatcher.go_on`."""
        self.backend, self._heads = backend, heads
        for follower in self._followers.values():
            follower.go_back(heads)
        if self._resumed is not None:
            self._resumed.set()
            self._resumed = None

    def remove(self, subscription: int) -> bool:
        """Whether there was such a subscription."""
        scope = self._scopes.pop(subscription, None)
        self._followers.pop(subscription, None)
        if scope is not None:
            scope.cancel()
        return scope is not None

    def tell(self, subscription: int, result: Any) -> None:
        """Push one notification."""
        params = {"subscription": hex(subscription), "result": result}
        self._push(_encode({"jsonrpc": "2.0", "method": "eth_subscription", "params": params}))

    def follow(self, subscription: int, follower: _Follower) -> None:
        """It is to go back with the chain, from now on."""
        self._followers[subscription] = follower

    async def _run(self, subscription: int, follower: _Follower) -> None:
        scope = self._scopes.get(subscription)
        if scope is None:
            return  # unsubscribed before it began
        with scope:
            while True:
                try:
                    await self._turn(subscription, follower)
                except RpcError as error:
                    # A shard is away; its blocks will be there when it is back.
                    log.info("rpc.subscription_waits", why=error.message)
                    await trio.sleep(RETRY_SECONDS)
                except Exception:
                    log.exception("rpc.subscription_failed")
                    self.remove(subscription)
                    return

    async def _turn(self, subscription: int, follower: _Follower) -> None:
        await self._served()
        with trio.CancelScope() as turn:
            self._turns.add(turn)
            try:
                await follower.follow(subscription)
            except Exception:
                if not turn.cancel_called:
                    raise  # otherwise it tripped over what is gone
            finally:
                self._turns.discard(turn)
        if turn.cancel_called:
            await self._served()
            follower.go_back(self._heads)  # what it was just told was of the old chain

    async def _served(self) -> None:
        """Return when there is a backend."""
        while self._resumed is not None:
            await self._resumed.wait()


class Subscriber:
    """The subscriptions that one message asks for. They begin with `start`, once its answer is on the
    way: nobody is notified under an id that it has not been told."""

    def __init__(self, subscriptions: Subscriptions) -> None:
        self._all = subscriptions
        self._scope = subscriptions.scope
        self._fresh: list[tuple[int, _Follower]] = []

    def start(self) -> None:
        for subscription, follower in self._fresh:
            self._all.start(subscription, follower)
        self._fresh.clear()

    def remove(self, subscription: int) -> bool:
        return self._all.remove(subscription)

    async def heads(self) -> int:
        """The headers of new blocks."""
        head = await self._all.backend.block_number(self._scope)
        return self._add(_Heads(self._all, self._scope, head))

    async def logs(self, wanted: LogFilter) -> int:
        """Matching logs of new blocks."""
        head = await self._all.backend.block_number(self._scope)
        return self._add(_Logs(self._all, self._scope, head, wanted))

    async def pending(self, full: bool) -> int:
        """Hashes of transactions that pools take in, or the transactions if `full`."""
        page = await self._all.backend.pending_since(self._scope, None)
        return self._add(_Pending(self._all, page.cursor, full))

    async def syncing(self) -> int:
        """Whether the node syncs, whenever that changes."""
        progress = await self._all.backend.syncing(self._scope)
        return self._add(_Syncing(self._all, progress is not None))

    async def messages(self, wanted: MessageFilter) -> int:
        """What happens to messages: sent, finalised, delivered."""
        page = await self._all.backend.message_events(None)
        return self._add(_Messages(self._all, page.cursor, wanted))

    async def network_blocks(self) -> int:
        """New network blocks, with the shard headers that each takes in."""
        head = await self._all.backend.block_number(None)
        return self._add(_NetworkBlocks(self._all, None, head))

    async def shard_blocks(self) -> int:
        """New blocks of every shard, or of that of the path, as soon as the shard has decided them."""
        last = {
            row["id"]: row["crosslinked"] if row["height"] is None else row["height"]
            for row in await self._all.backend.shards()
            if self._scope in (None, row["id"])
        }
        return self._add(_ShardBlocks(self._all, last))

    def _add(self, follower: _Follower) -> int:
        subscription = self._all.reserve()
        self._all.follow(subscription, follower)
        self._fresh.append((subscription, follower))
        return subscription


class _OfBlocks:
    """Follows a chain from block to block."""

    def __init__(self, to: Subscriptions, scope: int | None, last: int) -> None:
        self._to = to
        self._scope = scope
        self._last = last

    def go_back(self, heads: Mapping[int | None, int]) -> None:
        self._last = min(self._last, heads.get(self._scope, self._last))


class _Heads(_OfBlocks):
    async def follow(self, subscription: int) -> None:
        backend, scope = self._to.backend, self._to.scope
        head = await backend.wait_for_block(scope, self._last)
        while self._last < head:
            view = await backend.block_by_number(scope, self._last + 1, False)
            if view is not None:
                self._to.tell(subscription, render.header(view))
            self._last += 1


class _Logs(_OfBlocks):
    def __init__(self, to: Subscriptions, scope: int | None, last: int, wanted: LogFilter) -> None:
        super().__init__(to, scope, last)
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

    def go_back(self, heads: Mapping[int | None, int]) -> None:
        self._cursor = 0  # the pools begin anew

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

    def go_back(self, heads: Mapping[int | None, int]) -> None:
        pass

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
        self._cursor: int | None = cursor
        self._wanted = wanted

    def go_back(self, heads: Mapping[int | None, int]) -> None:
        self._cursor = None  # what happens from now on

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


class _NetworkBlocks(_OfBlocks):
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

    def go_back(self, heads: Mapping[int | None, int]) -> None:
        self._last = {
            shard: min(last, heads.get(shard, last)) for shard, last in self._last.items()
        }

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
