"""Links that are bad on purpose: the line itself, and two networks on loopback sockets."""

import random
from collections import Counter

import pytest
import trio

from p2p.errors import Misuse, PeerUnavailable, RequestTimeout
from p2p.netem import MAX_HELD_BYTES, SOUND, BadLine, LinkFault
from p2p.peer_network import PeerNetwork
from tests.unit.p2p.test_peer_network import HASTY, Node, free_port, pair, running, until
from tests.unit.p2p.test_requests import ECHO, A, B, Served, two

SILENT = LinkFault(loss=1.0)
CUT = LinkFault(cut=True)


def number(i: int) -> bytes:
    return i.to_bytes(4, "big")


def make_worse(network: PeerNetwork, peer: str, fault: LinkFault, *, seed: int = 7) -> None:
    network.set_faults({peer: fault}, seed=seed)  # type: ignore[dict-item]


# ---------------------------------------------------------------------- the line


def test_the_share_that_is_lost_follows_from_the_seed() -> None:
    def arrivals(seed: int) -> list[int]:
        line, arrived = BadLine(LinkFault(loss=0.3), random.Random(seed)), list[int]()
        for i in range(2000):
            line.put(0.0, 1, lambda i=i: arrived.append(i))
        return arrived

    first = arrivals(1)
    assert arrivals(1) == first != arrivals(2)
    assert 1300 < len(first) < 1500
    assert first == sorted(first)


def test_what_is_late_stays_in_order() -> None:
    fault = LinkFault(delay=1.0, jitter=5.0)
    line, arrived = BadLine(fault, random.Random(3)), list[int]()
    for i in range(100):
        assert line.put(i / 10, 1, lambda i=i: arrived.append(i))
    assert line.release(0.99) is not None
    assert arrived == []
    now: float | None = 0.0
    while now is not None:
        before = len(arrived)
        now = line.release(now)
        assert all(i / 10 + 1.0 <= (now or 20.0) for i in arrived[before:])
    assert arrived == list(range(100))


def test_a_delay_that_ends_does_not_let_later_messages_overtake() -> None:
    line, arrived = BadLine(LinkFault(delay=10.0), random.Random(0)), list[int]()
    line.put(0.0, 1, lambda: arrived.append(1))
    line.fault = LinkFault(loss=0.0, delay=0.0)
    line.put(1.0, 1, lambda: arrived.append(2))
    assert arrived == []
    line.flush()
    assert arrived == [1, 2]


def test_no_more_is_held_than_fits() -> None:
    line = BadLine(LinkFault(delay=10.0), random.Random(0))
    taken = sum(line.put(0.0, 1 << 20, int) for _ in range(100))
    assert taken == MAX_HELD_BYTES // ((1 << 20) + 64)
    line.release(20.0)
    assert line.put(20.0, 1 << 20, int)


@pytest.mark.parametrize(
    "wrong", [{"loss": 1.1}, {"loss": -0.1}, {"delay": -1.0}, {"jitter": 601.0}]
)
def test_values_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(Misuse):
        LinkFault(**wrong)  # type: ignore[arg-type]


# ---------------------------------------------------------------------- frames


async def test_lost_frames_are_lost_one_way_and_the_rest_is_in_order() -> None:
    a, b = pair()
    async with running([a, b]):
        make_worse(a.network, b.id, LinkFault(loss=0.5))
        for i in range(1000):
            assert a.network.send(b.id, 1, number(i))
            assert b.network.send(a.id, 1, number(i))
        await until(lambda: len(a.frames) == 1000)
        make_worse(a.network, b.id, SOUND)
        assert a.network.send(b.id, 1, b"last")
        await until(lambda: b.received(b"last"))
        got = [int.from_bytes(payload, "big") for _, _, payload in b.frames[:-1]]
        assert got == sorted(set(got))
        assert 400 < len(got) < 600
        assert a.network.stats()[b.id].drops >= 1000 - len(got)
        assert [up for _, up in a.changes] == [True]


async def test_frames_are_late_and_the_round_trip_shows_it(autojump_clock: None) -> None:
    """On a clock of its own: nothing here takes real time."""
    fault, arrived = LinkFault(delay=0.5, jitter=0.25), list[float]()
    line = BadLine(fault, random.Random(1))
    began = trio.current_time()
    for _ in range(20):
        line.put(began, 1, lambda: arrived.append(trio.current_time() - began))
    due: float | None = began
    while due is not None:
        await trio.sleep_until(due)
        due = line.release(trio.current_time())
    assert arrived == sorted(arrived)
    assert min(arrived) >= 0.5
    assert max(arrived) <= 0.75


async def test_a_delay_holds_frames_until_it_is_over_or_healed() -> None:
    a, b = pair()
    async with running([a, b]):
        make_worse(a.network, b.id, LinkFault(delay=600.0))
        for i in range(50):
            assert a.network.send(b.id, 1, number(i))
        assert b.network.send(a.id, 1, b"the other way")
        await until(lambda: a.received(b"the other way"))
        assert b.frames == []
        make_worse(a.network, b.id, SOUND)
        await until(lambda: len(b.frames) == 50)
        assert [payload for _, _, payload in b.frames] == [number(i) for i in range(50)]


# ---------------------------------------------------------------------- partitions


async def test_a_cut_link_is_closed_at_once_and_made_again_when_healed() -> None:
    a, b = pair()
    async with running([a, b]):
        make_worse(b.network, a.id, CUT)  # a, which dials, is told nothing of it
        await until(lambda: not a.network.connected and not b.network.connected)
        assert a.network.send(b.id, 1, b"x") is False
        make_worse(b.network, a.id, SOUND)
        await until(lambda: a.network.connected and b.network.connected)
        assert a.network.send(b.id, 1, b"again")
        await until(lambda: b.received(b"again"))


@pytest.mark.parametrize("silent", [0, 1], ids=["dialler", "dialled"])
async def test_a_silent_link_is_found_out_by_its_silence(silent: int, loopback_clock: None) -> None:
    a, b = pair(limits=HASTY)
    one, other = (a, b) if silent == 0 else (b, a)
    async with running([a, b]):
        make_worse(one.network, other.id, SILENT)
        assert one.network.connected  # nobody is told: it has to be noticed
        await until(lambda: not one.network.connected and not other.network.connected)
        assert [up for _, up in other.changes] == [True, False]
        connects = one.network.stats()[other.id].connects
        await trio.sleep(0.5)  # some redials
        assert one.network.stats()[other.id].connects == connects
        make_worse(one.network, other.id, SOUND)
        await until(lambda: one.network.connected and other.network.connected)


async def test_others_are_not_touched() -> None:
    ports = [free_port() for _ in range(3)]
    nodes = [Node(i, ports) for i in range(3)]
    async with running(nodes):
        nodes[0].network.set_faults({nodes[1].id: CUT}, seed=0)
        await until(lambda: nodes[1].id not in nodes[0].network.connected)
        assert nodes[0].network.broadcast(1, b"to all") == 1
        await until(lambda: nodes[2].received(b"to all"))
        assert nodes[2].id in nodes[1].network.connected


# ---------------------------------------------------------------------- requests


async def test_lost_requests_time_out_and_leave_nothing_behind(loopback_clock: None) -> None:
    """More of them than may be in flight at a time: none of them may keep its place."""
    async with two(Served()) as (a, b, _):
        make_worse(b, A.peer_id, SILENT)  # responses are lost, and the word that they were given up
        for _ in range(2 * ECHO.concurrency):
            with pytest.raises((RequestTimeout, PeerUnavailable)):
                await a.request(B.peer_id, ECHO, b"x", timeout=0.02)
        make_worse(b, A.peer_id, SOUND)
        await until(lambda: a.connected and b.connected)
        for i in range(2 * ECHO.concurrency):
            assert await a.request(B.peer_id, ECHO, number(i), timeout=5) == number(i)


async def test_some_requests_get_through_a_lossy_link(loopback_clock: None) -> None:
    outcomes: Counter[bool] = Counter()
    async with two(Served()) as (a, b, _):
        make_worse(a, B.peer_id, LinkFault(loss=0.3))
        make_worse(b, A.peer_id, LinkFault(loss=0.3))
        for _ in range(40):
            try:
                await a.request(B.peer_id, ECHO, bytes(100_000), timeout=0.3)
            except RequestTimeout:
                outcomes[False] += 1
            else:
                outcomes[True] += 1
    assert outcomes[True] >= 5
    assert outcomes[False] >= 5
