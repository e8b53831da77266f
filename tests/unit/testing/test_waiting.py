"""Conditions and how they are waited for, over a network that only answers what it is told to."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio

from node.cluster.errors import RpcRefused, RpcUnreachable
from node.cluster.network_status import NodeReport
from node.testing import (
    AsyncNetwork,
    Condition,
    Network,
    Pending,
    TransactionFailed,
    UserError,
    WaitTimeout,
    conditions,
    until,
)

TX = "0x" + "12" * 32
OK, FAILED = {"status": "0x1"}, {"status": "0x0"}


class Answers:
    """A network that gives one answer after the other, and the last one again and again."""

    def __init__(self, *answers: Any, **attributes: Any) -> None:
        self._answers = list(answers)
        self.asked: list[tuple[Any, ...]] = []
        vars(self).update(attributes)

    def request(self, method: str, *params: object, timeout: float = 30) -> Any:
        self.asked.append((method, *params))
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def describe(self) -> str:
        return "all nodes are asleep"


def network(*answers: Any, **attributes: Any) -> Network:
    return cast(Network, Answers(*answers, **attributes))


def wait(net: Network, condition: Any, timeout: float = 5.0) -> Any:
    return Network.wait_for(net, condition, timeout, interval=0.001)


def test_a_function_is_asked_until_it_is_true() -> None:
    values = iter([0, "", None, [7]])
    assert wait(network(), lambda: next(values)) == [7]


def test_assertions_are_not_yet() -> None:
    values = iter([1, 2, 3])

    def three() -> bool:
        value = next(values, 9)
        assert value == 3, f"it is {value}"
        return True

    assert wait(network(), three)
    with pytest.raises(WaitTimeout, match=r"three.*: it is 9") as caught:
        wait(network(), three, 0)
    assert isinstance(caught.value.__cause__, AssertionError)
    assert isinstance(caught.value, TimeoutError)


def test_what_is_missing_is_told() -> None:
    with pytest.raises(WaitTimeout) as caught:
        wait(network(hex(4)), until.height(7), 0.02)
    assert str(caught.value) == (
        "waited 0.02 s for block 7 of the network: the newest is 4\nall nodes are asleep"
    )
    with pytest.raises(WaitTimeout, match="for the moon: it gives 0"):
        Network.wait_for(network(), lambda: 0, 0, what="the moon")


def test_it_is_looked_once_even_without_time() -> None:
    assert wait(network(hex(4)), until.height(4), 0) == 4


@pytest.mark.parametrize("trouble", [RpcUnreachable("nobody"), RpcRefused(-32002, "syncing")])
def test_what_may_pass_is_waited_for(trouble: Exception) -> None:
    assert wait(network(trouble, trouble, hex(1)), until.height(1)) == 1
    with pytest.raises(WaitTimeout, match=r"nobody|syncing"):
        wait(network(trouble), until.height(1), 0)


def test_what_is_refused_for_good_is_not() -> None:
    with pytest.raises(RpcRefused):
        wait(network(RpcRefused(-32601, "no such method")), until.height(1))


def test_blocks_are_counted_from_the_first_look() -> None:
    assert wait(network("0x5", "0x5", "0x6", "0x7"), until.blocks(2)) == 7


def test_receipts() -> None:
    net = network(None, OK)
    assert wait(net, until.receipt(bytes.fromhex("12" * 32))) == OK
    assert cast(Answers, net).asked == [("eth_getTransactionReceipt", TX)] * 2
    reason = {"reason": "not now", "at": "0xaa", "path": ["0xaa"]}
    with pytest.raises(TransactionFailed, match=rf"{TX} failed: not now \(in 0xaa\)"):
        wait(network(None, FAILED, reason), until.receipt(TX))
    assert wait(network(FAILED), until.receipt(TX, success=False)) == FAILED


def trace(complete: bool, *seen: int | None) -> dict[str, Any]:
    children = [{"networkBlock": block, "children": []} for block in seen]
    return {
        "complete": complete,
        "underWay": 1,
        "messages": 2,
        "root": {"networkBlock": 1, "children": children},
    }


def test_a_settled_transaction_is_complete_and_final() -> None:
    whole = trace(True, 3, 4)
    answers = [RpcRefused(-32001, "unknown"), trace(False), trace(True, 3, None), whole]
    assert wait(network(*answers), until.settled(TX)) == whole
    for answer, why in (
        (answers[0], "no shard knows it"),
        (answers[1], "1 of 2 messages are under way"),
        (answers[2], "1 parts are in no network block"),
    ):
        with pytest.raises(WaitTimeout, match=why):
            wait(network(answer), until.settled(TX), 0)


def test_delivered_messages() -> None:
    states = [
        {"legs": [{"status": "delivered"}, {"status": status}]} for status in ("sent", "delivered")
    ]
    assert wait(network(None, *states), until.delivered(TX)) == states[1]
    with pytest.raises(WaitTimeout, match="it is sent"):
        wait(network(states[0]), until.delivered(TX), 0)


def test_lanes() -> None:
    lanes = [
        {"src": 0, "dst": 1, "waiting": {"count": 2}},
        {"src": 1, "dst": 0, "waiting": {"count": 0}},
    ]
    wait(network(lanes, shard=lambda number: number), until.lanes_empty(src=1))
    with pytest.raises(WaitTimeout, match="lanes to be empty: 2 from 0 to 1"):
        wait(network(lanes), until.lanes_empty(), 0)


def test_balances() -> None:
    assert wait(network("0x1", "0xa"), until.balance("0x", 9)) == 10


def test_what_there_is_not_is_no_reason_to_be_content() -> None:
    def missing(name: Any) -> Any:
        raise UserError(f"there is no {name}")

    net = network([], node=missing, shard=missing, nodes=())
    for condition in (
        until.node_up("s9v9"),
        until.node_down("s9v9"),
        until.lanes_empty(dst=9),
        until.shard_stalled(9),
    ):
        with pytest.raises(UserError, match=r"there is no (9|s9v9)"):
            wait(net, condition)


def test_lines_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "node.log"
    net = network(node=lambda name: SimpleNamespace(log=log))
    with pytest.raises(WaitTimeout, match="there is no log"):
        wait(net, until.log_line("s0v0", "up"), 0)
    log.write_text("one\nnode is up height=12\n")
    assert wait(net, until.log_line("s0v0", r"height=(\d+)"))[1] == "12"
    with pytest.raises(WaitTimeout, match="no line of"):
        wait(net, until.log_line("s0v0", "up", since=log.stat().st_size), 0)


def node(*heights: int | None) -> Any:
    """One that says these heights, the last one again and again; None: it does not answer."""
    left = list(heights)

    def status(timeout: float) -> Any:
        height = left.pop(0) if len(left) > 1 else left[0]
        if height is None:
            raise RpcUnreachable("it is away")
        return SimpleNamespace(chains=SimpleNamespace(shard=SimpleNamespace(height=height)))

    return SimpleNamespace(status=status)


def shard_of(*nodes: Any, **attributes: Any) -> Network:
    """A network whose shard 1 has these nodes, and is at 4 as far as the beacon knows."""
    tips = [{"id": number, "tip": {"height": 4 * number}} for number in (0, 1)]
    return network(
        {"shards": tips}, shard=lambda number: SimpleNamespace(nodes=nodes), **attributes
    )


def test_a_shard_that_stalls() -> None:
    assert wait(shard_of(node(4, 5), node(3)), until.shard_stalled(1, seconds=0.05)) == 5
    with pytest.raises(WaitTimeout, match=r"block 5 came 0\.0 s ago"):
        wait(shard_of(node(5)), until.shard_stalled(1, seconds=5), 0)


def test_a_shard_of_which_nobody_answers_is_where_the_network_has_it() -> None:
    assert wait(shard_of(node(None)), until.shard_stalled(1, seconds=0.05)) == 4
    with pytest.raises(WaitTimeout, match="the newest is 4"):
        wait(shard_of(node(None), node(None)), until.height(5, shard=1), 0)


def test_blocks_of_a_shard_that_comes_back_are_not_new() -> None:
    with pytest.raises(WaitTimeout, match="there were 0, up to 4"):
        wait(shard_of(node(None, 4)), until.blocks(1, shard=1), 0.05)
    assert wait(shard_of(node(None, 4, 5)), until.blocks(1, shard=1)) == 5


def reported(monkeypatch: pytest.MonkeyPatch, *rounds: tuple[int | None, ...]) -> Network:
    """One validator on each of two shards: their heights in each round of reports, None without an answer."""
    nodes = tuple(SimpleNamespace(name=f"s{shard}v0", shard=shard) for shard in (0, 1))
    left = list(rounds)

    def report(layouts: Any, *, timeout: float) -> list[Any]:
        heights = left.pop(0) if len(left) > 1 else left[0]
        return [
            NodeReport(node=node, pid=1, status=said(height))
            for node, height in zip(layouts, heights, strict=True)
        ]

    def said(height: int | None) -> Any:
        chain = SimpleNamespace(height=height)
        chains = SimpleNamespace(beacon=chain, shard=chain)
        return None if height is None else SimpleNamespace(chains=chains, frozen=False)

    monkeypatch.setattr(conditions, "report_nodes", report)
    return network(nodes=[SimpleNamespace(layout=node, shard=node.shard) for node in nodes])


def test_a_network_is_ready_when_all_answer_and_all_chains_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A block that was there before proves nothing of a shard that was started again."""
    for rounds, missing in (
        ([(3, None)], "s1v0 does not answer"),
        ([(3, 4), (5, 4)], "shard 1 has made no block"),
        ([(3, 4), (3, 4)], "shard 0 has made no block"),
    ):
        with pytest.raises(WaitTimeout, match=missing):
            wait(reported(monkeypatch, *rounds), until.ready(), 0.05)
    wait(reported(monkeypatch, (3, None), (4, 4), (5, 5)), until.ready())


def test_a_block_that_every_node_shows() -> None:
    nodes = [
        SimpleNamespace(name=f"s{n}v0", request=lambda *_, height=height, **__: hex(height))
        for n, height in enumerate((7, 9))
    ]
    assert wait(network(nodes=nodes), until.shown_everywhere(7)) is None
    with pytest.raises(WaitTimeout, match="network block 8 at every node: s0v0 is at 7"):
        wait(network(nodes=nodes), until.shown_everywhere(8), 0)


# ---------------------------------------------------------------------- event loops


def slow(looks: list[int]) -> Condition[int]:
    """Holds at the fifth look, each of which blocks its thread until the event loop has gone on."""

    def look(net: Network) -> int | Pending:
        assert threading.current_thread() is not threading.main_thread()
        looks.append(1)
        return len(looks) if len(looks) >= 5 else Pending("not yet")

    return Condition("five looks", look)


def test_asyncio_goes_on_meanwhile() -> None:
    looks: list[int] = []

    async def main() -> None:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count())
        assert await AsyncNetwork(network()).wait_for(slow(looks), interval=0.001) == 5
        counting.cancel()
        assert turns > 5
        assert await AsyncNetwork(network("0x1")).run(int, "12") == 12

    asyncio.run(main())


async def test_trio_goes_on_meanwhile() -> None:
    looks: list[int] = []
    async with trio.open_nursery() as nursery:

        async def count() -> None:
            while True:
                await trio.lowlevel.checkpoint()

        nursery.start_soon(count)
        assert await AsyncNetwork(network()).wait_for(slow(looks), interval=0.001) == 5
        nursery.cancel_scope.cancel()


def never() -> Condition[None]:
    return Condition("nothing", lambda net: Pending("never"))


async def test_a_wait_is_cancelled_under_trio() -> None:
    with trio.move_on_after(0.05) as scope:
        await AsyncNetwork(network()).wait_for(never(), 60)
    assert scope.cancelled_caught


def test_a_wait_is_cancelled_under_asyncio() -> None:
    async def main() -> None:
        async with asyncio.timeout(0.05):
            await AsyncNetwork(network()).wait_for(never(), 60)

    with pytest.raises(TimeoutError):
        asyncio.run(main())


@pytest.mark.parametrize("run", [asyncio.run, lambda main: trio.run(lambda: main)])
def test_a_network_is_stopped_however_its_block_ends(
    run: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    monkeypatch.setattr(Network, "up", lambda self: done.append("up"))
    monkeypatch.setattr(Network, "stop", lambda self: done.append("stop"))

    async def main() -> None:
        async with AsyncNetwork.start(shards=3) as net:
            assert net.network.manifest.shards == 3
            raise KeyError("a bug of the test")

    with pytest.raises(KeyError):
        run(main())
    assert done == ["up", "stop"]
