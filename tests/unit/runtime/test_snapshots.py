"""Snapshots and reverts, over a beacon that is only told to us."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from node import wire
from node.beacon.eras import Eras
from node.beacon.rewind import Rewind
from node.primitives.basics import keccak256
from node.primitives.errors import InvalidBlock
from node.runtime.parts import Era, Fixed
from node.runtime.snapshots import ARRIVAL_SECONDS, MEETING_SECONDS, Snapshots
from node.view.ports import CannotRevert
from tests.support.parts import partly

TIPS = (4, 5)


class Beacon:
    """A chain of `height` blocks that has been taken back as `eras` say."""

    def __init__(self, height: int, *rewinds: Rewind) -> None:
        self.head = SimpleNamespace(height=height)
        self.eras = Eras(rewinds)

    def block(self, height: int) -> Any:
        if height > self.head.height:
            return None
        return SimpleNamespace(hash=keccak256(height.to_bytes(8, "big")))

    def tips_at(self, height: int) -> tuple[int, ...]:
        return TIPS


class Network:
    """One node in a network of one beacon; `told` has what `Snapshots` asked of others."""

    def __init__(self, height: int, *, is_beacon: bool = False) -> None:
        self.told: list[Any] = []
        self.clock = 100.0
        self.grown = trio.Event()
        self.refuse: InvalidBlock | None = None
        self.beacon = Beacon(height)
        self.asks, self.asked_for = trio.open_memory_channel[Rewind | None](9)
        self.snapshots = Snapshots(
            partly(
                Fixed,
                is_beacon=is_beacon,
                faults=SimpleNamespace(time=lambda: self.clock),
                network=SimpleNamespace(met=self._met),
            ),
            self.era,
        )

    def era(self) -> Era:
        return partly(
            Era,
            beacon_chain=self.beacon,
            head=SimpleNamespace(height=lambda: self.beacon.head.height),
            beacon=SimpleNamespace(check_rewind=self._check, want_rewind=self._want, gate=self),
            hosts=SimpleNamespace(beacon=SimpleNamespace(notify_work=lambda: None)),
            outbound=SimpleNamespace(to_beacon=self._to_beacon),
        )

    def take_back(self, rewind: Rewind) -> None:
        """Another era begins."""
        self.beacon = Beacon(rewind.height, *self.beacon.eras, rewind)
        self.snapshots.begun()

    async def wait_change(self) -> None:
        await self.grown.wait()
        self.grown = trio.Event()

    async def _met(self, seconds: float) -> None:
        self.told.append(("met", seconds))

    def _check(self, rewind: Rewind) -> None:
        if self.refuse is not None:
            raise self.refuse

    def _want(self, rewind: Rewind) -> bool:
        self.told.append(("want", rewind))
        return True

    def _to_beacon(self, channel: int, payload: bytes) -> None:
        assert channel == wire.ERAS.id
        rewind = Rewind.decode(payload)
        if ("told", rewind) not in self.told:
            self.asks.send_nowait(rewind)
        self.told.append(("told", rewind))

    def asked(self) -> list[Rewind]:
        """The rewinds that the beacon's validators were asked for, each once."""
        return list(dict.fromkeys(told[1] for told in self.told if told[0] == "told"))


async def revert(net: Network, snapshot: int, *, others: bool = False) -> bool:
    """The answer, where the beacon does what it is asked for; with `others`, something else first."""
    answers: list[bool] = []

    async def ask() -> None:
        answers.append(await net.snapshots.revert(snapshot))
        net.asks.send_nowait(None)

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            while (wanted := await net.asked_for.receive()) is not None:
                if others:
                    others = False
                    salt = bytes(len(wanted.salt))
                    wanted = replace(wanted, salt=salt, taken=wanted.taken + 9)
                net.take_back(wanted)
    return answers[0]


async def test_a_revert_asks_for_the_block_of_the_snapshot(autojump_clock: MockClock) -> None:
    net = Network(height=7)
    snapshot = net.snapshots.take()
    net.beacon.head.height = 9
    assert await revert(net, snapshot)
    (rewind,) = net.asked()
    assert (rewind.height, rewind.era, rewind.tips) == (7, 1, TIPS)
    assert net.told[-1] == ("met", MEETING_SECONDS)
    assert not await revert(net, snapshot), "it was used up"


async def test_the_network_goes_back_to_its_first_block_again_and_again(
    autojump_clock: MockClock,
) -> None:
    net = Network(height=7)
    before = net.snapshots.take()
    for era in (1, 2):
        assert await revert(net, net.snapshots.genesis())
        assert (net.asked()[-1].height, net.asked()[-1].era) == (0, era)
    assert not await revert(net, before), "the first reset has undone it"


async def test_a_revert_of_somebody_else_comes_first(autojump_clock: MockClock) -> None:
    net = Network(height=7)
    snapshot = net.snapshots.take()
    assert await revert(net, snapshot, others=True)
    assert [rewind.era for rewind in net.asked()] == [1, 2]


async def test_it_is_asked_for_until_it_is_decided(autojump_clock: MockClock) -> None:
    net = Network(height=7, is_beacon=True)
    snapshot = net.snapshots.take()
    with trio.move_on_after(5):
        await net.snapshots.revert(snapshot)
    kinds = [told[0] for told in net.told]
    assert kinds.count("told") == kinds.count("want") > 10
    assert len(net.asked()) == 1


async def test_ids_of_one_block_differ_and_the_earlier_outlives_a_revert_to_the_later(
    autojump_clock: MockClock,
) -> None:
    net = Network(height=7)
    earlier, later = net.snapshots.take(), net.snapshots.take()
    assert earlier != later
    assert await revert(net, later)
    assert not await revert(net, later)
    assert await revert(net, earlier)


async def test_an_id_of_elsewhere_is_no_snapshot(autojump_clock: MockClock) -> None:
    net = Network(height=7)
    snapshot = net.snapshots.take()
    for strange in (-1, 0, snapshot + 1, snapshot << 8, 1 << 300):
        assert not await revert(net, strange)
    ahead = Network(height=9).snapshots.take()
    started = trio.current_time()
    assert not await revert(net, ahead)
    assert trio.current_time() - started >= ARRIVAL_SECONDS, "this node may be behind"
    assert net.told == []


async def test_what_the_beacon_would_refuse_is_said(autojump_clock: MockClock) -> None:
    net = Network(height=7)
    net.refuse = InvalidBlock("too far back")
    with pytest.raises(CannotRevert, match="too far back"):
        await net.snapshots.revert(net.snapshots.take())
