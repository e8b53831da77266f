"""Executions on another shard: in a queue of their own, of users in turn, refused where there are too many."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from node import wire
from node.execution.evm.simulate import SimulatedCall
from node.network.router import Router
from node.query.call_specs import CallOutcome
from node.query.codec import encode_question, serve
from node.query.port import Refused, ShardUnavailable
from node.query.question import Question
from node.query.questions import AccountQuestion, CallQuestion, HeadQuestion
from node.query.remote import EXECUTIONS, RemoteSource
from p2p.errors import PeerUnavailable, RemoteRefused, RequestTimeout
from p2p.types import RefusalCode
from rpc.caller import CALLER, Caller, caller_number, new_caller
from rpc.errors import LimitExceeded
from rpc.threads import Threads
from rpc.turns import Turns

SPEC = SimulatedCall(sender=bytes(20), to=bytes(20), gas=1)
CALL = CallQuestion(height=1, spec=SPEC)
OUTCOME = CallOutcome(error=None, output=b"", gas_used=7)


@dataclass
class SlowShard:
    """Its executions wait until they are released; `began` are the users of those that were begun."""

    began: list[int] = field(default_factory=list)
    release: trio.Event = field(default_factory=trio.Event)

    async def ask(self, question: Question[Any]) -> Any:
        if isinstance(question, HeadQuestion):
            return 9
        self.began.append(caller_number())
        await self.release.wait()
        return OUTCOME

    def remote(self) -> RemoteSource:
        async def ask(executes: bool, payload: bytes, seconds: float) -> bytes:
            return await serve(self, payload, Threads(1), executes=executes)

        return RemoteSource(1, partial(ask, False), partial(ask, True))


async def test_look_ups_do_not_wait_for_executions(nursery: trio.Nursery) -> None:
    shard = SlowShard()
    source = shard.remote()
    for _ in range(4 * EXECUTIONS):
        nursery.start_soon(source.ask, CALL)
    while len(shard.began) < EXECUTIONS - 1:
        await trio.lowlevel.checkpoint()
    assert await source.ask(HeadQuestion()) == 9
    nursery.cancel_scope.cancel()


async def test_users_take_turns_on_their_way_to_another_shard() -> None:
    shard = SlowShard()
    source = shard.remote()

    async def ask(caller: Caller) -> None:
        CALLER.set(caller)
        assert await source.ask(CALL) == OUTCOME

    greedy, modest = new_caller(), new_caller()
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            for _ in range(10 * EXECUTIONS):
                nursery.start_soon(ask, greedy)
            while len(shard.began) < EXECUTIONS - 1:
                await trio.lowlevel.checkpoint()
            nursery.start_soon(ask, modest)
            while modest.number not in shard.began:
                await trio.lowlevel.checkpoint()
            assert shard.began == [greedy.number] * (EXECUTIONS - 1) + [modest.number]
            shard.release.set()


async def test_no_execution_comes_among_the_look_ups() -> None:
    shard: Any = SlowShard()
    shard.release.set()
    call = encode_question(CALL)
    look = encode_question(AccountQuestion(height=1, address=bytes(20), code=False))
    for question, executes in ((call, False), (look, True)):
        assert b"wrong queue" in await serve(shard, question, Threads(1), executes=executes)
    assert b"wrong queue" not in await serve(shard, call, Threads(1), executes=True)


async def test_so_many_wait_and_no_more(autojump_clock: MockClock) -> None:
    turns = Turns(1, lambda: None, most=2)
    async with trio.open_nursery() as nursery:
        for borrower in "abc":
            nursery.start_soon(turns.acquire_on_behalf_of, borrower)
        await wait_all_tasks_blocked()
        with pytest.raises(LimitExceeded):
            await turns.acquire_on_behalf_of("d")
        nursery.cancel_scope.cancel()


async def test_a_shard_that_does_not_come_to_it_is_busy(autojump_clock: MockClock) -> None:
    shard = SlowShard()
    with pytest.raises(Refused) as refused:
        await shard.remote().ask(CALL)
    assert refused.value.code == -32005


@dataclass
class Nodes:
    """Nodes of a shard that answer, or raise, as told."""

    answers: dict[str, Any]
    asked: list[str] = field(default_factory=list)

    @property
    def connected(self) -> frozenset[str]:
        return frozenset(self.answers)

    linked = connected

    def shard_peers(self, shard: int) -> list[str]:
        return sorted(self.answers)

    def name_of(self, peer: str) -> str:
        return peer

    async def request(self, peer: str, method: Any, payload: bytes, *, timeout: float) -> bytes:  # noqa: ASYNC109
        await trio.lowlevel.checkpoint()
        self.asked.append(peer)
        answer = self.answers[peer]
        if isinstance(answer, Exception):
            raise answer
        return bytes(answer)


FULL = RemoteRefused(RefusalCode.BUSY, "too many requests")


@pytest.mark.parametrize("error", [FULL, RequestTimeout("no response")])
async def test_nodes_that_have_too_much_to_do_are_well(error: Exception) -> None:
    """Whom executions keep busy is asked for what is looked up as before."""
    nodes: Any = Nodes({"a": error, "b": error})
    router = Router(nodes, nodes)
    with pytest.raises(Refused) as refused:
        await router.ask(1, wire.EXECUTE, b"", 5.0, queues=True)
    assert refused.value.code == -32005
    nodes.answers["a"] = b"yes"
    assert await router.ask(1, wire.QUERY, b"", 5.0) == b"yes"
    assert nodes.asked == ["a", "b", "a"]


async def test_nodes_that_are_away_are_unavailable() -> None:
    nodes: Any = Nodes({"a": PeerUnavailable("gone")})
    with pytest.raises(ShardUnavailable):
        await Router(nodes, nodes).ask(1, wire.EXECUTE, b"", 5.0, queues=True)
    nodes.answers["b"] = FULL
    with pytest.raises(Refused):
        await Router(nodes, nodes).ask(1, wire.EXECUTE, b"", 5.0, queues=True)
