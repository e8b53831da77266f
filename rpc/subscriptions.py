"""Subscriptions of one WebSocket: their feeds (`rpc.feeds`), and their choice from the news.

What a client has not read yet waits in the session's queue, which is bounded: a client that lets it overflow is
dropped by the session.
"""

import secrets
from collections.abc import Callable, Iterable

from rpc.errors import LimitExceeded, ResourceUnavailable, RpcError
from rpc.feeds import (
    NEVER,
    Feed,
    Feeds,
    Heads,
    Logs,
    MessageNews,
    Messages,
    NetworkBlocks,
    PendingTransactions,
    ShardBlocks,
    Subscription,
    Syncing,
    chooser,
    everything,
)
from rpc.wire import LogFilter, MessageEvent, MessageFilter

KINDS = (
    "newHeads",
    "logs",
    "newPendingTransactions",
    "syncing",
    "atoll_messages",
    "atoll_blocks",
    "atoll_shardBlocks",
)


class Subscriptions:
    """All subscriptions of a session. `push` takes a whole message and does not wait."""

    def __init__(
        self, feeds: Feeds, scope: int | None, limit: int, push: Callable[[bytes], None]
    ) -> None:
        self.feeds = feeds
        self.scope = scope
        self._limit = limit
        self._push = push
        self._all: dict[int, Subscription] = {}
        self._closed = False

    def __len__(self) -> int:
        return len(self._all)

    def add(self, choose: Callable[..., Iterable[bytes]]) -> Subscription:
        """Add a subscription. Raises LimitExceeded, or ResourceUnavailable once the session is over: an earlier
        request may be answered after the end.
        """
        if self._closed:
            raise ResourceUnavailable("the connection ends: it takes no subscriptions")
        if len(self._all) >= self._limit:
            raise LimitExceeded(f"too many subscriptions: at most {self._limit} per connection")
        self.feeds.reserve(first=not self._all)
        subscription = Subscription(secrets.randbits(127) | 1 << 127, self._push, choose)
        self._all[subscription.id] = subscription
        return subscription

    def remove(self, id: int) -> bool:
        """Remove a subscription; true if it existed."""
        subscription = self._all.pop(id, None)
        if subscription is None:
            return False
        self.feeds.leave(subscription)
        self.feeds.release(last=not self._all)
        return True

    def close(self) -> None:
        """The session is over."""
        self._closed = True
        for id in list(self._all):
            self.remove(id)


class Subscriber:
    """The subscriptions that one message asks for. They begin with `start`, once its answer is on the way."""

    def __init__(self, subscriptions: Subscriptions) -> None:
        self._all = subscriptions
        self._feeds = subscriptions.feeds
        self._scope = subscriptions.scope
        self._fresh: list[Subscription] = []

    def start(self) -> None:
        for subscription in self._fresh:
            subscription.start()
        self._fresh.clear()

    def remove(self, id: int) -> bool:
        return self._all.remove(id)

    async def heads(self) -> int:
        """The headers of new blocks."""
        scope, head = self._scope, await self._feeds.backend.chain(self._scope).block_number()
        return self._listen(everything, {("heads", scope): (head, lambda: Heads(scope, head))})

    async def logs(self, wanted: LogFilter) -> int:
        """Matching logs of new blocks."""
        scope, head = self._scope, await self._feeds.backend.chain(self._scope).block_number()
        return self._listen(chooser(wanted), {("logs", scope): (head, lambda: Logs(scope, head))})

    async def pending(self, full: bool) -> int:
        """Hashes of transactions that pools take in, or the transactions if `full`."""
        scope, page = self._scope, await self._feeds.backend.chain(self._scope).pool.since(None)
        return self._listen(
            everything,
            {
                ("pending", scope, full): (
                    page.cursor - 1,
                    lambda: PendingTransactions(scope, page.cursor, full),
                )
            },
        )

    async def syncing(self) -> int:
        """Subscribe to changes of the node's syncing."""
        self._feeds.backend.chain(self._scope)  # where there is none, nothing syncs
        told = await self._feeds.backend.syncing() is not None

        def changed(news: tuple[bool, bytes]) -> Iterable[bytes]:
            nonlocal told
            if told is news[0]:
                return ()
            told = news[0]
            return (news[1],)

        return self._listen(changed, {"syncing": (NEVER, Syncing)})

    async def messages(self, wanted: MessageFilter) -> int:
        """Subscribe to events of messages: sent, finalised, delivered; on the path of a shard, to
        those of it.
        """
        scope, page = self._scope, await self._feeds.backend.atoll.message_events(None)

        def choose(news: MessageNews) -> Iterable[bytes]:
            event, result = news
            return (result,) if event is None or _matches(scope, wanted, event) else ()

        return self._listen(choose, {"messages": (page.cursor - 1, lambda: Messages(page.cursor))})

    async def network_blocks(self) -> int:
        """New network blocks, with the shard headers that each takes in."""
        head = await self._feeds.backend.chain(None).block_number()
        return self._listen(everything, {"blocks": (head, lambda: NetworkBlocks(None, head))})

    async def shard_blocks(self) -> int:
        """New blocks of every shard, or of that of the path: each shard at its own pace, so that one which is
        away holds up none of the others."""
        feeds: dict[object, tuple[int, Callable[[], Feed]]] = {}
        for row in await self._feeds.backend.atoll.shards():
            shard: int = row["id"]
            if self._scope in (None, shard):
                last = row["crosslinked"] if row["height"] is None else row["height"]
                feeds["shard blocks", shard] = (last, _shard_blocks(shard, last))
        return self._listen(everything, feeds)

    def _listen(
        self,
        choose: Callable[..., Iterable[bytes]],
        feeds: dict[object, tuple[int, Callable[[], Feed]]],
    ) -> int:
        """Listen to these feeds, each after a number and made by a function where there is none."""
        subscription = self._all.add(choose)
        try:
            for key, (after, make) in feeds.items():
                self._feeds.join(key, make, subscription, after)
        except RpcError:
            self._all.remove(subscription.id)
            raise
        self._fresh.append(subscription)
        return subscription.id


def _shard_blocks(shard: int, last: int) -> Callable[[], Feed]:
    return lambda: ShardBlocks(shard, last)


def _matches(scope: int | None, wanted: MessageFilter, event: MessageEvent) -> bool:
    return (
        (scope is None or scope in event.shards)
        and (wanted.ids is None or event.id in wanted.ids)
        and (wanted.addresses is None or not wanted.addresses.isdisjoint(event.addresses))
        and (wanted.shards is None or not wanted.shards.isdisjoint(event.shards))
        and (wanted.events is None or event.event in wanted.events)
    )
