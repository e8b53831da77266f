"""Subscriptions over a real WebSocket."""

import json
import tracemalloc
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Request, TextMessage

from rpc.dispatch import Dispatcher
from rpc.errors import ResourceUnavailable
from rpc.feeds import Feeds, PendingTransactions, Subscription, everything
from rpc.limits import Limits
from rpc.server import Server
from rpc.subscriptions import Subscriber, Subscriptions
from rpc.threads import Threads
from rpc.wire import BlockView, LogView, MessageEvent, MessagePage, PendingPage
from tests.support.scoped import WithChains

TOKEN = b"\x70" * 20


def block(number):
    return BlockView(
        number=number,
        hash=number.to_bytes(32, "big"),
        parent_hash=bytes(32),
        nonce=bytes(8),
        sha3_uncles=bytes(32),
        logs_bloom=bytes(256) if number % 2 else b"\1" * 256,
        transactions_root=bytes(32),
        state_root=bytes(32),
        receipts_root=bytes(32),
        miner=bytes(20),
        difficulty=0,
        extra_data=b"",
        size=1,
        gas_limit=30_000_000,
        gas_used=0,
        timestamp=number,
        base_fee_per_gas=7,
        mix_hash=bytes(32),
        withdrawals_root=bytes(32),
        blob_gas_used=0,
        excess_blob_gas=0,
        parent_beacon_block_root=bytes(32),
        requests_hash=bytes(32),
    )


class Chain(WithChains):
    """Grows when told to; a log in every even block."""

    def __init__(self):
        self.head = 5
        self.grown = trio.Event()
        self.pooled = []
        self.behind = False
        self.failures = 0
        self.happened = []
        self.missed = False
        self.reads = []
        "Blocks and logs of blocks that were read."

    def grow(self, count=1):
        self.head += count
        self.grown.set()
        self.grown = trio.Event()

    async def block_number(self, scope):
        return self.head

    async def wait_for_block(self, scope, beyond):
        while self.head <= beyond:
            await self.grown.wait()
        return self.head

    async def block(self, scope, number, full):
        if self.failures:
            self.failures -= 1
            raise ResourceUnavailable("shard 1 is unavailable")
        self.reads.append(number)
        return block(number)

    async def block_logs(self, scope, number):
        assert number % 2 == 0, "its bloom says that there is none"
        self.reads.append(number)
        return (
            LogView(
                address=TOKEN,
                topics=(),
                data=b"",
                block_hash=bytes(32),
                block_number=number,
                block_timestamp=0,
                transaction_hash=bytes(32),
                transaction_index=0,
                log_index=0,
            ),
        )

    async def pending_since(self, scope, cursor):
        start = len(self.pooled) if cursor is None else cursor
        return PendingPage(cursor=len(self.pooled), hashes=tuple(self.pooled[start:]))

    async def message_events(self, cursor):
        if cursor is None:
            return MessagePage(cursor=len(self.happened), events=())
        while cursor >= len(self.happened):
            await self.grown.wait()
        events = tuple(self.happened[cursor:])
        return MessagePage(cursor=len(self.happened), events=events, missed=self.missed)

    async def network_block(self, number):
        return {"number": number, "crosslinks": []}

    async def shards(self):
        return [
            {"id": 0, "height": self.head, "crosslinked": self.head - 1},
            {"id": 1, "height": None, "crosslinked": self.head - 1},
        ]

    async def shard_block(self, shard, height):
        if shard == 1 and self.failures:
            self.failures -= 1
            raise ResourceUnavailable("shard 1 is unavailable")
        return {"shard": shard, "height": height}

    async def syncing(self):
        progress = {"startingBlock": 0, "currentBlock": 1, "highestBlock": 9}
        return progress if self.behind else None


class Client:
    def __init__(self, stream):
        self.stream = stream
        self.ws = WSConnection(ConnectionType.CLIENT)
        self.events = []
        self.others = []

    async def next(self):
        while not self.events:
            self.ws.receive_data(await self.stream.receive_some(65536) or None)
            self.events = list(self.ws.events())
        return self.events.pop(0)

    async def json(self):
        parts = []
        while True:
            event = await self.next()
            assert isinstance(event, TextMessage), event
            parts.append(event.data)
            if event.message_finished:
                return json.loads("".join(parts))

    async def another(self):
        """A connection to the same endpoint."""
        client = Client(await trio.open_tcp_stream("127.0.0.1", self.port))
        client.port = self.port
        self.others.append(client)
        await client.stream.send_all(
            client.ws.send(Request(host=f"localhost:{self.port}", target="/"))
        )
        assert isinstance(await client.next(), AcceptConnection)
        return client

    async def ask(self, method, *params):
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        await self.stream.send_all(self.ws.send(TextMessage(json.dumps(body))))
        return await self.json()

    async def subscribe(self, *params):
        return (await self.ask("eth_subscribe", *params))["result"]

    async def told(self, subscription):
        message = await self.json()
        assert message["method"] == "eth_subscription"
        assert "id" not in message
        assert message["params"]["subscription"] == subscription
        return message["params"]["result"]


@asynccontextmanager
async def connected(chain, limits=None, path="/"):
    limits = limits or Limits()
    dispatcher = Dispatcher(chain, limits)
    server = Server(dispatcher, host="127.0.0.1", port=0, limits=limits)
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            port = await nursery.start(lambda task_status: server.run(task_status=task_status))
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            client = Client(stream)
            client.dispatcher, client.port = dispatcher, port
            await stream.send_all(client.ws.send(Request(host=f"localhost:{port}", target=path)))
            assert isinstance(await client.next(), AcceptConnection)
            try:
                yield client
            finally:
                for each in (client, *client.others):
                    await trio.aclose_forcefully(each.stream)
            nursery.cancel_scope.cancel()


@pytest.fixture
def chain():
    return Chain()


async def test_new_heads_come_in_order_and_none_is_missed(chain):
    async with connected(chain) as client:
        subscription = await client.subscribe("newHeads")
        chain.grow(3)
        heads = [await client.told(subscription) for _ in range(3)]
        assert [int(head["number"], 16) for head in heads] == [6, 7, 8]
        assert "transactions" not in heads[0]
        assert heads[0]["hash"] == f"0x{6:064x}"


async def test_a_shard_that_is_away_delays_a_subscription(chain, loopback_clock):
    async with connected(chain) as client:
        subscription = await client.subscribe("newHeads")
        chain.failures = 1
        chain.grow(2)
        heads = [await client.told(subscription) for _ in range(2)]
        assert [int(head["number"], 16) for head in heads] == [6, 7]


async def test_logs_of_new_blocks(chain):
    async with connected(chain) as client:
        subscription = await client.subscribe("logs", {"address": "0x" + TOKEN.hex()})
        chain.grow(4)
        logs = [await client.told(subscription) for _ in range(2)]
        assert [int(log["blockNumber"], 16) for log in logs] == [6, 8]


async def test_pending_transactions_and_syncing(chain, loopback_clock):
    async with connected(chain) as client:
        pending = await client.subscribe("newPendingTransactions")
        chain.pooled.append(b"\1" * 32)
        assert await client.told(pending) == "0x" + "01" * 32
        syncing = await client.subscribe("syncing")
        chain.behind = True
        told = await client.told(syncing)
        assert told["syncing"] is True
        assert told["status"]["highestBlock"] == "0x9"
        chain.behind = False
        assert await client.told(syncing) is False


async def test_a_subscription_asked_for_with_the_last_breath_is_not_kept(chain):
    """The session reads the request and the end of the conversation at once, and answers after it."""
    limits = Limits(subscriptions_of_all=3)
    async with connected(chain, limits) as client:
        for _ in range(limits.subscriptions_of_all + 1):
            other = await client.another()
            body = {"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]}
            asked = other.ws.send(TextMessage(json.dumps(body)))
            await other.stream.send_all(asked + other.ws.send(CloseConnection(1000)))
            while not isinstance(await other.next(), CloseConnection):
                pass
        await client.subscribe("newHeads")  # there is room
        assert client.dispatcher.feeds.subscriptions == 1


async def test_a_shard_that_is_away_costs_no_pending_transaction(loopback_clock):
    asked = []

    class Pools(WithChains):
        async def pending_since(self, scope, cursor):
            hashes = tuple(bytes([number]) * 32 for number in range(cursor, 4))
            return PendingPage(cursor=4, hashes=hashes)

        async def transaction_by_hash(self, scope, tx_hash):
            asked.append(tx_hash[0])
            if asked == [0, 1]:
                raise ResourceUnavailable("shard 1 is unavailable")
            return  # in no pool any more: there is nothing to tell

    feed, feeds = PendingTransactions(None, 0, True), Feeds(Pools(), Threads(1), 1, 1)
    with pytest.raises(ResourceUnavailable):
        await feed.follow(feeds)
    await feed.follow(feeds)
    assert asked == [0, 1, 1, 2, 3]


def test_those_who_do_not_listen_yet_share_what_waits_for_them():
    """No bound counts it: it is there once, however many wait for their answer."""
    pushed, news = [], bytes(1 << 20)
    tracemalloc.start()
    try:
        waiting = [Subscription(number, pushed.append, everything) for number in range(100)]
        for each in waiting:
            each.tell((news,))
        assert tracemalloc.get_traced_memory()[1] < len(news)
    finally:
        tracemalloc.stop()
    assert pushed == []
    waiting[7].start()
    waiting[7].tell((b"1",))
    assert [len(message) > len(news) for message in pushed] == [True, False]


async def test_nothing_comes_after_unsubscribing(chain):
    async with connected(chain) as client:
        first, second = await client.subscribe("newHeads"), await client.subscribe("newHeads")
        assert (await client.ask("eth_unsubscribe", first))["result"] is True
        assert (await client.ask("eth_unsubscribe", first))["result"] is False
        chain.grow()
        assert int((await client.told(second))["number"], 16) == 6


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (["nothing"], "no such subscription"),
        (["newHeads", {}], "too many arguments"),
        (["logs", {"address": "0x"}], "invalid argument 1"),
        (["newPendingTransactions", 5], "expected a boolean"),
        ([], "missing value for required argument 0"),
    ],
)
async def test_what_cannot_be_subscribed_to(chain, params, message):
    async with connected(chain) as client:
        error = (await client.ask("eth_subscribe", *params))["error"]
        assert error["code"] == -32602
        assert message in error["message"]


async def test_their_number_is_bounded(chain):
    async with connected(chain, Limits(subscriptions=2)) as client:
        for _ in range(2):
            await client.subscribe("newHeads")
        error = (await client.ask("eth_subscribe", "newHeads"))["error"]
        assert error["code"] == -32005


async def test_their_number_is_bounded_for_all_connections_together(chain):
    async with connected(chain, Limits(subscriptions_of_all=2)) as client:
        first = await client.subscribe("newHeads")
        await client.subscribe("logs", {})
        other = await client.another()
        error = (await other.ask("eth_subscribe", "newHeads"))["error"]
        assert error["code"] == -32005
        assert (await client.ask("eth_unsubscribe", first))["result"] is True
        assert await other.subscribe("newHeads")


async def test_a_block_is_read_once_for_all_subscriptions(chain):
    """Of all connections, and its logs too; those that begin later are told what comes after."""
    async with connected(chain) as client:
        other = await client.another()
        topic = "0x" + "11" * 32
        wanted = ({}, {"address": "0x" + TOKEN.hex()}, {"address": topic[:42]}, {"topics": [topic]})
        listening = {client: [], other: []}
        for who, mine in listening.items():
            for _ in range(20):
                mine.append(await who.subscribe("newHeads"))
            logs = [await who.subscribe("logs", each) for each in wanted]
            mine += logs[:2]  # which is what matches
        chain.grow()
        for who, mine in listening.items():
            told = [(await who.json())["params"] for _ in range(22)]
            assert {each["subscription"] for each in told} == set(mine)
            numbers = [each["result"].get("number") for each in told]
            assert (numbers.count("0x6"), numbers.count(None)) == (20, 2)
        assert sorted(chain.reads) == [6, 6, 6]  # the header for both kinds, and the logs
        chain.reads.clear()
        late = await client.subscribe("newHeads")
        chain.grow()
        seen = [(await client.json())["params"] for _ in range(21)]
        assert {each["result"]["number"] for each in seen} == {"0x7"}
        assert late in {each["subscription"] for each in seen}
        assert sorted(chain.reads) == [7, 7]  # no log, says its bloom


async def test_nobody_asks_for_whom_nobody_listens(chain):
    """What is followed for nobody any more is not followed."""
    async with connected(chain) as client:
        mine = [await client.subscribe("newHeads") for _ in range(3)]
        for subscription in mine:
            assert (await client.ask("eth_unsubscribe", subscription))["result"] is True
        other = await client.another()
        await other.subscribe("newHeads")
        await trio.aclose_forcefully(other.stream)
        await trio.testing.wait_all_tasks_blocked(0.01)
        chain.grow()
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert chain.reads == []


async def test_over_http_there_are_none(chain):
    body = b'{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newHeads"]}'
    answer = json.loads(await Dispatcher(chain, Limits()).handle(body, None))
    assert answer["error"]["code"] == -32601


@pytest.mark.slow
async def test_a_client_that_does_not_read_is_dropped_with_a_code(chain):
    async with connected(chain, Limits(notifications=100, write_timeout=5)) as client:
        await client.subscribe("newHeads")
        chain.grow(20_000)  # far more than the sockets' buffers and the queue hold
        seen = 0
        while True:
            event = await client.next()
            if isinstance(event, CloseConnection):
                break
            seen += 1
        assert event.code == 1008
        assert "too slow" in event.reason
        assert seen < 20_000


def event(name, number, *, src=0, dst=1, sender=TOKEN):
    return MessageEvent(
        event=name,
        id=number.to_bytes(32, "big"),
        addresses=(sender, b"\x71" * 20),
        shards=(src, dst),
        details={"number": number},
    )


async def test_messages_are_told_once_and_in_order():
    chain = Chain()
    chain.happened.append(event("sent", 0))  # before anybody asked
    async with connected(chain) as client:
        everything = await client.subscribe("atoll_messages")
        chain.happened += [event("sent", 1), event("finalised", 1)]
        chain.grow()
        assert await client.told(everything) == {"event": "sent", "number": 1}
        assert await client.told(everything) == {"event": "finalised", "number": 1}
        chain.happened.append(event("delivered", 1))
        chain.missed = True
        chain.grow()
        assert await client.told(everything) == {"event": "missed"}
        assert await client.told(everything) == {"event": "delivered", "number": 1}


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        ({}, [1, 2, 3, 4]),
        ({"id": "0x" + (2).to_bytes(32, "big").hex()}, [2]),
        ({"address": "0x" + "70" * 20}, [1, 2, 4]),
        ({"address": ["0x" + "71" * 20]}, [1, 2, 3, 4]),
        ({"shard": 2}, [4]),
        ({"shard": ["0x2", 1]}, [1, 2, 3, 4]),
        ({"events": "delivered"}, [2]),
        ({"events": ["sent"], "shard": 0}, [1, 3]),
    ],
)
async def test_messages_are_chosen_by_what_is_wanted(wanted, numbers):
    chain = Chain()
    async with connected(chain) as client:
        subscription = await client.subscribe("atoll_messages", wanted)
        chain.happened += [
            event("sent", 1),
            event("delivered", 2),
            event("sent", 3, sender=b"\x72" * 20),
            event("sent", 4, src=2, dst=3),
        ]
        chain.grow()
        for number in numbers:
            assert (await client.told(subscription))["number"] == number


async def test_the_path_of_a_shard_tells_what_concerns_it():
    chain = Chain()
    async with connected(chain, path="/shard/2") as client:
        subscription = await client.subscribe("atoll_messages")
        chain.happened += [event("sent", 1), event("sent", 2, dst=2), event("sent", 3, src=2)]
        chain.grow()
        assert [(await client.told(subscription))["number"] for _ in range(2)] == [2, 3]


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ({"from": "0x00"}, "there is no filter 'from'; there are id, address, shard, events"),
        ({"events": ["eaten"]}, "no such event; there are sent, finalised, delivered"),
        ({"shard": -1}, "there is no shard -1"),
        ({"shard": True}, "shard"),
        ({"id": "0x12"}, "id"),
        ([], "expected an object"),
    ],
)
async def test_a_filter_that_is_none_is_refused(wanted, why):
    async with connected(Chain()) as client:
        answer = await client.ask("eth_subscribe", "atoll_messages", wanted)
        assert answer["error"]["code"] == -32602
        assert why in answer["error"]["message"]


async def test_network_blocks_are_told():
    chain = Chain()
    async with connected(chain) as client:
        subscription = await client.subscribe("atoll_blocks")
        chain.grow(2)
        assert [await client.told(subscription) for _ in range(2)] == [
            {"number": 6, "crosslinks": []},
            {"number": 7, "crosslinks": []},
        ]


async def test_blocks_of_every_shard_are_told_and_one_that_is_away_holds_up_no_other(
    loopback_clock,
):
    chain = Chain()
    async with connected(chain) as client:
        chain.failures = 10**9
        subscription = await client.subscribe("atoll_shardBlocks")
        chain.grow(2)
        told = [await client.told(subscription) for _ in range(2)]
        assert told == [{"shard": 0, "height": 6}, {"shard": 0, "height": 7}]
        chain.failures = 0
        told = [await client.told(subscription) for _ in range(3)]
        # It did not say where it is, so this begins after what the beacon has of it.
        assert told == [{"shard": 1, "height": height} for height in (5, 6, 7)]


async def test_on_the_path_of_a_shard_its_blocks_are_told():
    chain = Chain()
    async with connected(chain, path="/shard/0") as client:
        subscription = await client.subscribe("atoll_shardBlocks")
        chain.grow(2)
        told = [await client.told(subscription) for _ in range(2)]
        assert told == [{"shard": 0, "height": 6}, {"shard": 0, "height": 7}]


async def test_subscriptions_go_back_with_the_chain(chain):
    """Over the same connection: heights that come again are told again, with what another backend has."""
    async with connected(chain) as client:
        heads = await client.subscribe("newHeads")
        chain.grow(3)
        assert [(await client.told(heads))["number"] for _ in range(3)] == ["0x6", "0x7", "0x8"]
        logs = await client.subscribe("logs", {})
        messages = await client.subscribe("atoll_messages")
        blocks = await client.subscribe("atoll_blocks")
        again = Chain()
        again.happened = [None] * 3  # of before it was asked
        client.dispatcher.pause()
        chain.grow(5)  # nobody listens any more
        await trio.testing.wait_all_tasks_blocked()
        client.dispatcher.go_on(again, {None: 6, 0: 2})
        again.head = 6
        again.grow(2)
        told = {heads: [], logs: [], blocks: []}
        while sum(map(len, told.values())) < 5:
            params = (await client.json())["params"]
            result = params["result"]
            number = result.get("number", result.get("blockNumber"))
            told[params["subscription"]].append(number)
        assert told == {heads: ["0x7", "0x8"], logs: ["0x8"], blocks: [7, 8]}
        assert messages


async def test_what_a_follower_trips_over_while_the_chain_goes_back_does_not_end_it(chain):
    async with connected(chain) as client:
        heads = await client.subscribe("newHeads")
        again = Chain()

        async def broken(scope, number, full):
            client.dispatcher.pause()  # and the block is gone when it is read
            raise LookupError(number)

        chain.block_by_number = broken
        chain.grow()
        await trio.testing.wait_all_tasks_blocked(0.01)
        client.dispatcher.go_on(again, {None: 5})
        again.grow()
        assert (await client.told(heads))["number"] == "0x6"


async def test_nobody_subscribes_to_an_endpoint_that_stops(chain):
    feeds = Dispatcher(chain, Limits()).feeds  # which nobody runs
    everyone = Subscriptions(feeds, None, 1, push=lambda message: None)
    for _ in range(3):
        with pytest.raises(ResourceUnavailable):
            await Subscriber(everyone).heads()
    assert len(everyone) == 0
