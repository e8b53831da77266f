"""The news of subscriptions, found out once for all of them.

A feed follows one thing, such as the headers of the network view: it asks the backend, renders the news, and
hands them to its audience. So a block costs as much for five thousand subscriptions as for one, except for the
bytes that each is sent. A feed runs while it has a subscription. Its news are numbered, and a subscription gets
those after the number at which it began: none is missed, and none comes twice.
"""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
import structlog
import trio

from rpc import render
from rpc.backend import Backend
from rpc.caller import CALLER
from rpc.errors import LimitExceeded, ResourceUnavailable, RpcError
from rpc.threads import Threads
from rpc.wire import LogFilter, LogView, MessageEvent

log = structlog.get_logger(__name__)

RETRY_SECONDS = 0.5
BUG_SECONDS = 30.0
"""Until what a feed tripped over is tried again."""
PENDING_SECONDS = 0.1
SYNCING_SECONDS = 1.0
AT_ONCE = 256
"""Subscriptions that are told before other tasks have their turn."""
MUCH = 2048
"""Comparisons that are made at once; more are made in a thread."""
NEVER = -1
_NO_BLOOM = bytes(256)

_encode = msgspec.json.encode


class Subscription:
    """A client's subscription to a feed. `push` takes a whole message and does not wait; `choose` gives the
    results (JSON) that the client wants from the news of a feed. Nothing is pushed before `start`: a client is
    not notified under an id that it has not been told.
    """

    def __init__(
        self,
        id: int,
        push: Callable[[bytes], None],
        choose: Callable[[Any], Iterable[bytes]],
    ) -> None:
        self.id = id
        self.choose = choose
        self._push = push
        self._held: (
            list[bytes] | None
        ) = []  # results before the start; all waiting subscriptions share them
        self._head = (
            b'{"jsonrpc":"2.0","method":"eth_subscription","params":{"subscription":"%b","result":'
            % hex(id).encode()
        )

    def start(self) -> None:
        held, self._held = self._held, None
        self.tell(held or ())

    def tell(self, results: Iterable[bytes]) -> None:
        for result in results:
            if self._held is None:
                self._push(self._head + result + b"}}")
            else:
                self._held.append(result)


def everything(result: bytes) -> tuple[bytes]:
    """The choice of a subscription to all news of a feed."""
    return (result,)


class Feed(ABC):
    """Something that is followed for an audience: each listener with the number after which it listens."""

    def __init__(self) -> None:
        self.audience: dict[Subscription, int] = {}
        self.scope = trio.CancelScope()

    @abstractmethod
    async def follow(self, feeds: "Feeds") -> None:
        """Tell the news, then return; called again and again."""

    @abstractmethod
    def go_back(self, heads: Mapping[int | None, int]) -> None:
        """The chains have these newest blocks now, by scope."""

    async def tell(self, feeds: "Feeds", number: int, news: Any, size: int = 1) -> None:
        """Tell the subscriptions that began before `number`. `size` is the work of choosing from the news."""
        listeners = [who for who, after in self.audience.items() if number > after]
        for start in range(0, len(listeners), AT_ONCE):
            some = listeners[start : start + AT_ONCE]
            chosen = await feeds.aside.run_if(size * len(some) > MUCH, partial(_choose, some, news))
            for who, results in zip(some, chosen, strict=True):
                if who in self.audience:
                    who.tell(results)
            if start + AT_ONCE < len(listeners):
                await trio.lowlevel.checkpoint()


def _choose(listeners: Sequence[Subscription], news: Any) -> list[Iterable[bytes]]:
    return [who.choose(news) for who in listeners]


class Feeds:
    """The feeds of one endpoint, and its count of subscriptions. Where the backend is replaced they go back
    with the chain. `run` is the task in which they live."""

    def __init__(self, backend: Backend, aside: Threads, most: int, most_subscribers: int) -> None:
        self.backend = backend
        self.aside = aside
        self._most = most
        self._most_subscribers = most_subscribers
        self._count = self._subscribers = 0
        self._feeds: dict[Hashable, Feed] = {}
        self._tasks: trio.Nursery | None = None
        self._turns: set[trio.CancelScope] = set()
        self._resumed: trio.Event | None = None  # set while there is no backend
        self._heads: Mapping[int | None, int] = {}

    async def run(self) -> None:
        async with trio.open_nursery() as self._tasks:
            try:
                await trio.sleep_forever()
            finally:
                self._tasks = None

    @property
    def subscriptions(self) -> int:
        """The number of subscriptions."""
        return self._count

    def reserve(self, *, first: bool) -> None:
        """Room for one more subscription, `first` of its session. Raises LimitExceeded."""
        if self._count >= self._most:
            raise LimitExceeded(
                f"too many subscriptions: this node has {self._most}, of all its clients"
            )
        if first and self._subscribers >= self._most_subscribers:
            raise LimitExceeded(
                f"too many subscriptions: {self._most_subscribers} WebSockets of this node have some"
            )
        self._count += 1
        self._subscribers += first

    def release(self, *, last: bool) -> None:
        self._count -= 1
        self._subscribers -= last

    def join(
        self, key: Hashable, make: Callable[[], Feed], subscription: Subscription, after: int
    ) -> None:
        """Subscribe to the news after a number. `make` makes the feed if it has no subscription yet. Raises
        ResourceUnavailable while the feeds do not run.
        """
        if self._tasks is None:
            raise ResourceUnavailable("the endpoint stops: it takes no subscriptions")
        feed = self._feeds.get(key)
        if feed is None:
            feed = self._feeds[key] = make()
            self._tasks.start_soon(self._run, key, feed)
        feed.audience[subscription] = after

    def leave(self, subscription: Subscription) -> None:
        for key, feed in list(self._feeds.items()):
            if feed.audience.pop(subscription, None) is not None and not feed.audience:
                del self._feeds[key]
                feed.scope.cancel()

    def pause(self) -> None:
        """The backend answers no more; `go_on` brings another."""
        if self._resumed is None:
            self._resumed = trio.Event()
        for turn in list(self._turns):
            turn.cancel()

    def go_on(self, backend: Backend, heads: Mapping[int | None, int]) -> None:
        """See `Dispatcher.go_on`."""
        self.backend, self._heads = backend, heads
        for feed in self._feeds.values():
            feed.go_back(heads)
        if self._resumed is not None:
            self._resumed.set()
            self._resumed = None

    async def _run(self, key: Hashable, feed: Feed) -> None:
        CALLER.set(None)  # for all subscribers, and not for the first one
        with feed.scope:
            while True:
                try:
                    await self._turn(feed)
                except RpcError as error:
                    # A shard is away; its blocks will be there when it is back.
                    log.info("rpc.subscription_waits", why=error.message)
                    await trio.sleep(RETRY_SECONDS)
                except Exception:  # a bug must not end the server
                    log.exception("rpc.subscription_failed")
                    await trio.sleep(BUG_SECONDS)

    async def _turn(self, feed: Feed) -> None:
        await self._served()
        with trio.CancelScope() as turn:
            self._turns.add(turn)
            try:
                await feed.follow(self)
            except Exception:
                if not turn.cancel_called:
                    raise  # otherwise the old chain is gone, and this failed for that
            finally:
                self._turns.discard(turn)
        if turn.cancel_called:
            await self._served()
            feed.go_back(self._heads)  # its last news were of the old chain

    async def _served(self) -> None:
        """Return when there is a backend."""
        while self._resumed is not None:
            await self._resumed.wait()


# ---------------------------------------------------------------------- what there is to follow


class _OfBlocks(Feed):
    """From block to block of a chain, after the block `last`."""

    def __init__(self, scope: int | None, last: int) -> None:
        super().__init__()
        self.chain = scope
        self._last = last

    def go_back(self, heads: Mapping[int | None, int]) -> None:
        head = heads.get(self.chain)
        if head is not None:
            self._last = min(self._last, head)
            self.audience = {who: min(after, head) for who, after in self.audience.items()}

    async def follow(self, feeds: Feeds) -> None:
        head = await feeds.backend.chain(self.chain).wait_for_block(self._last)
        while self._last < head:
            number = self._last + 1
            news = await self._read(feeds, number)
            if news is not None:
                await self.tell(feeds, number, news, self._size(news))
            self._last = number

    def _size(self, news: Any) -> int:
        return 1

    async def _read(self, feeds: Feeds, number: int) -> Any:
        """The news of a block, None for nothing."""
        raise NotImplementedError


class Heads(_OfBlocks):
    """The headers of new blocks."""

    async def _read(self, feeds: Feeds, number: int) -> bytes | None:
        view = await feeds.backend.chain(self.chain).block(number, False)
        return None if view is None else _encode(render.header(view))


class NetworkBlocks(_OfBlocks):
    """New network blocks, with the shard headers that each takes in."""

    async def _read(self, feeds: Feeds, number: int) -> bytes:
        return _encode(await feeds.backend.atoll.network_block(number))


class ShardBlocks(_OfBlocks):
    """New blocks of a shard, as soon as it has decided them."""

    async def _read(self, feeds: Feeds, number: int) -> bytes:
        assert self.chain is not None
        return _encode(await feeds.backend.atoll.shard_block(self.chain, number))


class Logs(_OfBlocks):
    """The logs of new blocks: read once, and told to each by its filter (`chooser`)."""

    async def _read(self, feeds: Feeds, number: int) -> "BlockLogs | None":
        view = await feeds.backend.chain(self.chain).block(number, False)
        if view is not None and view.logs_bloom == _NO_BLOOM:
            return None
        found = await feeds.backend.chain(self.chain).block_logs(number)
        if not found:
            return None
        rendered = await feeds.aside.each(lambda each: _encode(render.log(each)), found)
        return BlockLogs(found, rendered)

    def _size(self, news: "BlockLogs") -> int:
        return len(news.views)


class BlockLogs:
    """The logs of a block, rendered, and where each address is among them."""

    def __init__(self, views: Sequence[LogView], rendered: Sequence[bytes]) -> None:
        self.views = views
        self.rendered = rendered
        self.places: dict[bytes, list[int]] = defaultdict(list)
        for place, view in enumerate(views):
            self.places[view.address].append(place)


def chooser(wanted: LogFilter) -> Callable[[BlockLogs], Iterable[bytes]]:
    """The choice of a filter: the rendered logs that match, in their order. Its range means nothing."""
    addresses = frozenset(wanted.addresses)
    topics = tuple(None if options is None else frozenset(options) for options in wanted.topics)

    def matches(view: LogView) -> bool:
        return len(view.topics) >= len(topics) and all(
            options is None or topic in options
            for options, topic in zip(topics, view.topics, strict=False)
        )

    def choose(block: BlockLogs) -> Iterable[bytes]:
        places: Iterable[int] = range(len(block.views))
        if addresses:
            here = addresses & block.places.keys()  # most filters end here
            places = sorted(place for address in here for place in block.places[address])
        return [block.rendered[place] for place in places if matches(block.views[place])]

    return choose


class PendingTransactions(Feed):
    """Hashes of transactions that pools take in, or the transactions if `full`. `cursor`: where to begin."""

    def __init__(self, scope: int | None, cursor: int, full: bool) -> None:
        super().__init__()
        self._scope = scope
        self._cursor = cursor
        self._full = full

    def go_back(self, heads: Mapping[int | None, int]) -> None:
        self._cursor = 0  # the pools begin anew
        self.audience = dict.fromkeys(self.audience, NEVER)

    async def follow(self, feeds: Feeds) -> None:
        page = await feeds.backend.chain(self._scope).pool.since(self._cursor)
        first = page.cursor - len(page.hashes)
        for number, tx_hash in enumerate(page.hashes, first):
            self._cursor = number  # a shard may be away: here it goes on then
            if not self._full:
                await self.tell(feeds, number, b'"0x%b"' % tx_hash.hex().encode())
                continue
            view = await feeds.backend.chain(self._scope).transaction_by_hash(tx_hash)
            if view is not None:
                await self.tell(feeds, number, _encode(render.transaction(view)))
        self._cursor = page.cursor
        await trio.sleep(PENDING_SECONDS)


class Messages(Feed):
    """Events of messages: pairs of an event (None for "missed") and its JSON."""

    def __init__(self, cursor: int) -> None:
        super().__init__()
        self._cursor: int | None = cursor

    def go_back(self, heads: Mapping[int | None, int]) -> None:
        self._cursor = None  # what happens from now on
        self.audience = dict.fromkeys(self.audience, NEVER)

    async def follow(self, feeds: Feeds) -> None:
        page = await feeds.backend.atoll.message_events(self._cursor)
        self._cursor = page.cursor
        first = page.cursor - len(page.events)
        if page.missed:
            await self.tell(feeds, first, (None, b'{"event":"missed"}'))
        for number, event in enumerate(page.events, first):
            await self.tell(
                feeds, number, (event, _encode({"event": event.event, **event.details}))
            )


MessageNews = tuple[MessageEvent | None, bytes]


class Syncing(Feed):
    """The syncing of the node: pairs of a bool and its JSON, polled."""

    def go_back(self, heads: Mapping[int | None, int]) -> None:
        pass

    async def follow(self, feeds: Feeds) -> None:
        progress = await feeds.backend.syncing()
        status = {"syncing": True, "status": render.syncing(progress)}
        news = (False, b"false") if progress is None else (True, _encode(status))
        await self.tell(feeds, 0, news)
        await trio.sleep(SYNCING_SECONDS)
