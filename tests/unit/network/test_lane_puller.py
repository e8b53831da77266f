"""Asking other shards: who is asked, lanes from sources that lie, lag or are away, and who is who."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock

from consensus.types import ChainContext, Validator, ValidatorSet
from node.beacon.state import LaneState
from node.network.lane_puller import LanePuller
from node.network.router import MEETING_SECONDS, Router
from node.network.topology import Topology
from node.primitives.basics import Address, ShardId, keccak256
from node.primitives.message import LanePosition, Message, MessageKind
from node.query.port import ShardUnavailable
from node.shard.lanes import InboundLane
from node.wire import LANE, LanePage, LaneRequest, decode_struct
from p2p.errors import Misuse, PeerUnavailable, RequestTimeout
from tests.support.parts import genesis

# ---------------------------------------------------------------------- topology


def test_who_is_who() -> None:
    topology = Topology(genesis=genesis(), me="p01")
    assert topology.name_of("p12") == "s1v2"
    assert topology.name_of("stranger") == "stranger"
    assert topology.shard_of("p12") == 1
    assert topology.shard_of("stranger") is None
    address = topology.address_of("p12")
    assert address is not None
    assert topology.validator_name(address) == "s1v2"
    assert topology.validator_name(b"stranger") is None
    assert topology.address_of("stranger") is None
    assert topology.shard_peers(ShardId(0)) == ["p00", "p02", "p03"]
    assert topology.shard_peers(ShardId(1)) == ["p10", "p11", "p12", "p13"]


@pytest.mark.parametrize("beacon", [1, 2, 3, 4, 7])
def test_everyone_outside_the_beacon_is_told_by_two(beacon: int) -> None:
    network = genesis(beacon=beacon)
    told: list[str] = []
    for validator in network.validators:
        topology = Topology(genesis=network, me=validator.peer_id)
        told += topology.followers_of_beacon(
            ValidatorSet(
                Validator(address=address, power=1)
                for member in network.beacon_committee()
                if (address := topology.address_of(member.peer_id)) is not None
            )
        )
    outside = [v.peer_id for v in network.validators if not v.beacon]
    assert sorted(told) == sorted(outside * min(2, beacon))


# ---------------------------------------------------------------------- router


@dataclass
class FakeNetwork:
    """Peers that answer, or raise, as told."""

    answers: dict[str, Any]
    asked: list[str] = field(default_factory=list)
    elsewhere: frozenset[str] = frozenset()  # in another era
    news: trio.Event = field(default_factory=trio.Event)

    async def changed(self) -> None:
        await self.news.wait()

    @property
    def connected(self) -> frozenset[str]:
        return frozenset(self.answers) - self.elsewhere

    @property
    def linked(self) -> frozenset[str]:
        return frozenset(self.answers)

    async def request(self, peer: str, method: Any, payload: bytes, *, timeout: float) -> bytes:  # noqa: ASYNC109
        self.asked.append(peer)
        await trio.lowlevel.checkpoint()
        answer = self.answers[peer]
        if answer is None:
            await trio.sleep(timeout)
            raise RequestTimeout("no response")
        if isinstance(answer, Exception):
            raise answer
        return bytes(answer)


def router(answers: dict[str, Any]) -> tuple[Router, FakeNetwork]:
    network = FakeNetwork(answers)
    return Router(network, Topology(genesis=genesis(), me="p00")), network  # type: ignore


async def test_a_node_that_does_not_answer_is_asked_last(autojump_clock: MockClock) -> None:
    route, network = router({"p10": None, "p11": PeerUnavailable("gone"), "p12": b"yes"})
    assert await route.ask(1, LANE, b"", 5.0) == b"yes"
    assert network.asked == ["p10", "p11", "p12"]
    assert await route.ask(1, LANE, b"", 5.0) == b"yes"
    assert network.asked[3:] == ["p12"]


async def test_a_node_of_another_era_is_asked_last(autojump_clock: MockClock) -> None:
    route, network = router({"p10": b"no", "p11": b"yes"})
    network.elsewhere = frozenset({"p10"})
    assert await route.ask(1, LANE, b"", 5.0) == b"yes"
    assert network.asked == ["p11"]


async def test_no_node_answers_in_time(autojump_clock: MockClock) -> None:
    route, _ = router({"p10": None, "p11": None, "p12": None})
    start = trio.current_time()
    with pytest.raises(ShardUnavailable, match=r"shard 1 .*s1v1"):
        await route.ask(1, LANE, b"", 5.0)
    assert trio.current_time() - start <= 5.0
    with pytest.raises(ShardUnavailable, match="connected"):
        await route.ask(2, LANE, b"", 5.0)


async def test_a_shard_that_was_not_reached_yet_is_waited_for(autojump_clock: MockClock) -> None:
    """A node that has just been started answers users before it is connected to all shards."""
    route, network = router({})

    async def connect() -> None:
        await trio.sleep(3)
        network.answers["p10"] = b"yes"
        network.news.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(connect)
        assert await route.ask(1, LANE, b"", 5.0) == b"yes"


async def test_a_shard_that_is_away_is_waited_for_once(autojump_clock: MockClock) -> None:
    """After that each question is refused at once: it shall not keep what other shards' users need."""
    route, _ = router({})
    began, seconds = trio.current_time(), []
    for _ in range(9):
        with pytest.raises(ShardUnavailable):
            await route.ask(1, LANE, b"", 4.0)
        seconds.append(trio.current_time() - began)
    assert seconds == [4.0, 8.0, *[MEETING_SECONDS] * 7]


async def test_a_mistake_of_ours_is_blamed_on_nobody(autojump_clock: MockClock) -> None:
    route, network = router({"p10": Misuse("too large"), "p11": b"yes"})
    with pytest.raises(Misuse):
        await route.ask(1, LANE, b"", 5.0)
    assert network.asked == ["p10"]


# ---------------------------------------------------------------------- lanes


def message(seq: int) -> Message:
    return Message(
        src=ShardId(1),
        dst=ShardId(0),
        seq=seq,
        kind=MessageKind.CALL,
        sender=Address(b"s" * 20),
        to=Address(b"t" * 20),
        value=seq,
        refund_to=Address(b"s" * 20),
        origin_tx=keccak256(b"tx"),
    )


class Lane:
    """The lane 1 -> 0 as the beacon has it, a puller for it, and the nodes of shard 1."""

    def __init__(self, count: int, every: int, *, max_arrivals: int = 100) -> None:
        self.messages = [message(seq) for seq in range(count)]
        position, self.checkpoints = LanePosition(), []
        for m in self.messages:
            position = position.advance(m)
            if position.count % every == 0:
                self.checkpoints.append(position)
        self.tip = 0
        self.inbound = InboundLane(src=ShardId(1))
        self.arrivals = 0
        self.held: set[int] = set()
        self.pages = 0
        self.benched: dict[str, float] = {}
        self.nodes: dict[str, Any] = {"honest": self.messages}
        ledger = SimpleNamespace(
            shard=ShardId(0),
            head=SimpleNamespace(number=0),
            rules=SimpleNamespace(params=SimpleNamespace(max_arrivals=max_arrivals)),
        )
        service = SimpleNamespace(
            ledger=ledger,
            lanes={ShardId(1): self.inbound},
            context=ChainContext(genesis=b"g" * 32, tag=b"shard/0"),
        )
        state = SimpleNamespace(
            tip=lambda shard: SimpleNamespace(height=self.tip),
            lane=lambda src, dst: LaneState(checkpoints=tuple(self.checkpoints)),
        )
        self.puller = LanePuller(
            service=service,  # type: ignore[arg-type]
            beacon=SimpleNamespace(state=state),  # type: ignore[arg-type]
            router=self,  # type: ignore[arg-type]
            on_arrivals=self._arrived,
            held=lambda: self.held,
        )

    def _arrived(self) -> None:
        self.arrivals += 1

    def candidates(self, shard: int) -> list[str]:
        return sorted(self.nodes, key=lambda p: (self.benched.get(p, 0), p == "honest"))

    def bench(self, peer: str, seconds: float) -> None:
        self.benched[peer] = trio.current_time() + seconds

    async def ask_peer(self, peer: str, method: Any, payload: bytes, timeout: float) -> bytes:  # noqa: ASYNC109
        await trio.sleep(0.01)
        self.pages += 1
        request, node = decode_struct(payload, LaneRequest), self.nodes[peer]
        if isinstance(node, Exception):
            raise node
        if isinstance(node, bytes):
            return node
        page = node[request.start : request.start + min(request.count, 50)]
        return msgspec.msgpack.encode(LanePage(messages=[m.encoded for m in page]))

    async def pull(self, seconds: float) -> None:
        with trio.move_on_after(seconds):
            await self.puller.run()


async def test_a_lane_is_pulled_up_to_its_last_checkpoint(autojump_clock: MockClock) -> None:
    lane = Lane(130, 20)
    await lane.pull(10)
    assert lane.inbound.position.count == 120
    assert len(lane.inbound.from_seq(0)) == 120
    assert lane.arrivals > 0


async def test_a_lane_that_is_held_waits_until_it_no_longer_is(autojump_clock: MockClock) -> None:
    lane = Lane(100, 10)
    lane.held = {1}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lane.puller.run)
        await trio.sleep(100)
        lane.puller.wake()
        await trio.sleep(100)
        assert (lane.inbound.position.count, lane.pages) == (0, 0)
        lane.held = set()
        lane.puller.wake()
        await trio.sleep(10)
        assert lane.inbound.position.count == 100
        nursery.cancel_scope.cancel()


LIES = [
    msgspec.msgpack.encode(LanePage(messages=[message(7).encoded])),
    msgspec.msgpack.encode(LanePage(messages=[b"junk"])),
    msgspec.msgpack.encode(LanePage(messages=[message(0).encoded] * 1000)),
    b"\x91" * 100_000,
    b"",
    [message(s) if s != 5 else message(s + 1) for s in range(100)],
]


@pytest.mark.parametrize("lie", LIES)
async def test_a_source_that_lies_is_left_for_another(
    autojump_clock: MockClock, lie: object
) -> None:
    lane = Lane(100, 10)
    lane.nodes["a liar"] = lie
    await lane.pull(2)
    assert lane.inbound.position.count == 100
    assert lane.benched["a liar"] > 50


async def test_a_source_that_lags_or_is_away_is_waited_for(autojump_clock: MockClock) -> None:
    lane = Lane(100, 10)
    lane.nodes = {"behind": lane.messages[:35], "gone": PeerUnavailable("gone")}
    await lane.pull(60)
    assert lane.inbound.position.count == 30
    assert lane.pages < 80  # less and less often
    lane.nodes = {"honest": lane.messages}
    await lane.pull(5)
    assert lane.inbound.position.count == 100


async def test_no_more_is_held_than_a_few_blocks_take(autojump_clock: MockClock) -> None:
    lane = Lane(4000, 10, max_arrivals=20)
    await lane.pull(60)
    assert 80 <= len(lane.inbound.verified) <= 170
    done = lane.inbound.position
    lane.inbound.drop_before(LanePosition(count=done.count - 5, head=done.head))
    await lane.pull(60)
    assert lane.inbound.position.count > done.count


async def test_what_is_held_is_bounded_in_bytes(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = len(message(0).encoded)
    monkeypatch.setattr("node.network.lane_puller.LOOKAHEAD_BYTES", 150 * size)
    lane = Lane(1000, 10)
    await lane.pull(60)
    assert lane.pages == 3  # of 50 messages
    assert 140 <= len(lane.inbound.verified) <= 160


async def test_the_way_to_a_checkpoint_is_bounded(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A committee that lies may say that it has sent 2^62 messages, and serve them for ever."""
    lane = Lane(1000, 10)
    head = lane.checkpoints[-1].head
    lane.checkpoints = [LanePosition(count=1 << 40, head=head)]
    await lane.pull(10)
    assert lane.pages == 0
    lane.checkpoints = [LanePosition(count=15_000, head=head)]
    size = len(message(0).encoded)
    monkeypatch.setattr("node.network.lane_puller.MAX_WAY_BYTES", 120 * size)
    await lane.pull(0.2)  # once
    assert lane.pages == 3
    assert lane.benched["honest"] > 0


async def test_nothing_is_pulled_while_our_shard_is_behind(autojump_clock: MockClock) -> None:
    lane = Lane(100, 10)
    lane.tip = 7
    await lane.pull(10)
    assert lane.pages == 0
    lane.tip = 0
    await lane.pull(10)
    assert lane.inbound.position.count == 100


async def test_thinned_checkpoints_do_not_stop_a_lane(autojump_clock: MockClock) -> None:
    lane = Lane(100, 10)
    everything = lane.checkpoints
    real = lane.ask_peer

    async def ask(peer: str, method: Any, payload: bytes, timeout: float) -> bytes:  # noqa: ASYNC109
        lane.checkpoints = everything[1::2] if lane.pages % 2 else everything[::2]
        return await real(peer, method, payload, timeout)

    lane.ask_peer = ask  # type: ignore[method-assign]
    await lane.pull(20)
    assert lane.inbound.position.count in (90, 100)
