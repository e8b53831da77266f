"""Transactions whose senders are answered when a block has them."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from rpc.dispatch import Dispatcher
from rpc.errors import ResourceUnavailable, TransactionRejected
from rpc.inclusion import HABIT, MOST_AWAITED, Habit
from rpc.limits import Limits
from rpc.methods import METHODS, lookup
from rpc.wire import ReceiptView
from tests.support.scoped import WithChains

BLOCK = 2.0  # seconds from one block to the next
WAIT = 5.0


def _receipt(sent: bytes) -> ReceiptView:
    return ReceiptView(
        transaction_hash=sent,
        transaction_index=0,
        block_hash=bytes(32),
        block_number=1,
        from_=bytes(20),
        to=bytes(20),
        cumulative_gas_used=21_000,
        gas_used=21_000,
        contract_address=None,
        logs=(),
        logs_bloom=bytes(256),
        status=1,
        effective_gas_price=1,
        type=2,
    )


class Chain(WithChains):
    """A block every two seconds has the transactions that were sent before; nothing is in one `without_end`."""

    def __init__(self) -> None:
        self.sent: dict[bytes, float] = {}
        self.error: Exception | None = None
        self.without_end = False
        self.automine = True

        async def automines() -> bool:
            return self.automine

        self.dev = SimpleNamespace(off=None, mining=SimpleNamespace(automines=automines))

    async def block_number(self, scope: int | None) -> int:
        return int(trio.current_time() / BLOCK)

    async def send_raw_transaction(self, scope: int | None, raw: bytes) -> bytes:
        if not raw:
            raise TransactionRejected("empty")
        self.sent[raw.rjust(32, b"\0")] = trio.current_time()
        return raw.rjust(32, b"\0")

    async def transaction_receipt(self, scope: int | None, sent: bytes) -> ReceiptView | None:
        if self.error is not None:
            raise self.error
        at = int(trio.current_time() / BLOCK) * BLOCK
        return _receipt(sent) if at > self.sent[sent] and not self.without_end else None

    async def wait_for_block(self, scope: int | None, beyond: int) -> int:
        await trio.sleep((beyond + 1) * BLOCK - trio.current_time())
        return beyond + 1


@pytest.fixture
def chain() -> Chain:
    HABIT.set(Habit())
    return Chain()


def send(number: int = 1) -> dict[str, Any]:
    return {
        "jsonrpc": "2.0",
        "id": number,
        "method": "eth_sendRawTransaction",
        "params": [f"0x{number:04x}"],
    }


def look(number: int = 1) -> dict[str, Any]:
    """The first question of a client that waits for the receipt."""
    sent = f"0x{number:064x}"
    return {"jsonrpc": "2.0", "id": 1, "method": "eth_getTransactionReceipt", "params": [sent]}


ASK = {"jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber"}


async def took(chain: Chain, *requests: Any, wait: float = WAIT) -> list[float]:
    """Seconds until each request is answered, one after the other; they have no errors."""
    dispatcher = Dispatcher(chain, Limits(send_wait=wait))  # type: ignore[arg-type]
    seconds = []
    for request in requests:
        began = trio.current_time()
        answer = await dispatcher.handle(json.dumps(request).encode(), None)
        assert answer is None or b"error" not in answer
        seconds.append(trio.current_time() - began)
    return seconds


async def test_the_answer_comes_with_the_block(chain: Chain, autojump_clock: MockClock) -> None:
    requests = send(1), look(1), ASK, send(2), look(2), look(2), send(3)
    assert await took(chain, *requests) == [BLOCK, 0, 0, BLOCK, 0, 0, BLOCK]


async def test_without_a_block_it_comes_all_the_same(
    chain: Chain, autojump_clock: MockClock
) -> None:
    chain.without_end = True
    assert await took(chain, send()) == [WAIT]


async def test_elsewhere_nobody_waits(chain: Chain, autojump_clock: MockClock) -> None:
    assert await took(chain, send(), ASK, [send(2)], wait=0) == [0, 0, 0]


async def test_a_client_that_sends_many_is_not_slowed(
    chain: Chain, autojump_clock: MockClock
) -> None:
    """It may ask for its nonce, for prices, for gas, but not for receipts until it has sent all."""
    seconds = await took(chain, *(r for n in range(1, 100) for r in (ASK, send(n))))
    assert seconds == [0, BLOCK, *[0] * 196]


async def test_a_client_may_look_on_another_connection(
    chain: Chain, autojump_clock: MockClock
) -> None:
    dispatcher = Dispatcher(chain, Limits(send_wait=WAIT))  # type: ignore[arg-type]
    sending, looking = Habit(), Habit()
    for number in range(1, 5):
        HABIT.set(sending)
        began = trio.current_time()
        await dispatcher.handle(json.dumps(send(number)).encode(), None)
        assert trio.current_time() == began + BLOCK
        HABIT.set(looking)
        await dispatcher.handle(json.dumps(look(number)).encode(), None)


async def test_a_batch_is_held_back_once(chain: Chain, autojump_clock: MockClock) -> None:
    batches = [[send(n + many) for n in range(20)] for many in (1, 101, 201)]
    assert await took(chain, *batches) == [BLOCK, 0, 0]


async def test_a_large_batch_is_not_held_back(chain: Chain, autojump_clock: MockClock) -> None:
    assert await took(chain, [send(n) for n in range(MOST_AWAITED + 1)]) == [0]


async def test_others_of_the_connection_are_not_held_back_with_it(
    chain: Chain, autojump_clock: MockClock
) -> None:
    """A WebSocket works on sixteen messages at once; those that wait for a block shall not keep the places."""
    seconds: list[float] = []
    dispatcher = Dispatcher(chain, Limits(send_wait=WAIT))  # type: ignore[arg-type]

    async def ask(request: Any) -> None:
        await dispatcher.handle(json.dumps(request).encode(), None)
        seconds.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        for number in range(1, 100):
            nursery.start_soon(ask, send(number))
            nursery.start_soon(ask, ASK)
    assert sorted(seconds) == [*[0.0] * 197, BLOCK]


async def test_connections_have_habits_of_their_own(
    chain: Chain, autojump_clock: MockClock
) -> None:
    seconds: list[float] = []
    dispatcher = Dispatcher(chain, Limits(send_wait=WAIT))  # type: ignore[arg-type]

    async def connection(number: int) -> None:
        HABIT.set(Habit())
        await dispatcher.handle(json.dumps(send(number)).encode(), None)
        seconds.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        for number in range(1, 100):
            nursery.start_soon(connection, number)
    assert seconds == [BLOCK] * 99


async def test_it_was_sent_even_if_the_receipt_cannot_be_had(
    chain: Chain, autojump_clock: MockClock
) -> None:
    chain.error = ResourceUnavailable("shard 1 is away")
    assert await took(chain, send()) == [0]


async def test_a_hold_ends_where_the_backend_is_replaced(
    chain: Chain, autojump_clock: MockClock
) -> None:
    chain.without_end = True
    dispatcher = Dispatcher(chain, Limits(send_wait=WAIT), replaceable=True)  # type: ignore[arg-type]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(dispatcher.handle, json.dumps(send()).encode(), None)
        await trio.sleep(1)
        dispatcher.pause()
    assert trio.current_time() == 1


async def test_a_hold_has_a_time_of_its_own(chain: Chain, autojump_clock: MockClock) -> None:
    """A transaction that took nearly all the time of its method is answered all the same."""
    given: list[float] = []
    dispatcher = Dispatcher(chain, Limits(send_wait=WAIT))  # type: ignore[arg-type]
    await dispatcher.handle(json.dumps(send()).encode(), None, limit=given.append)
    assert len(given) == 2
    assert given[-1] > WAIT


async def test_what_was_refused_is_answered_at_once(
    chain: Chain, autojump_clock: MockClock
) -> None:
    dispatcher = Dispatcher(chain, Limits(send_wait=WAIT))  # type: ignore[arg-type]
    refused = {**send(), "params": ["0x"]}
    assert b"empty" in (await dispatcher.handle(json.dumps(refused).encode(), None) or b"")
    assert trio.current_time() == 0


def test_all_methods_that_send_are_marked() -> None:
    offered = {name: lookup(name) for name in (*METHODS, "eth_sendUnsignedTransaction")}
    assert {name for name, method in offered.items() if method.sends} == {
        "eth_sendRawTransaction",
        "eth_sendTransaction",
        "eth_sendUnsignedTransaction",
    }


async def test_a_send_is_not_held_back_where_blocks_are_ordered(
    chain: Chain, autojump_clock: MockClock
) -> None:
    chain.automine = False
    assert await took(chain, send()) == [0]
