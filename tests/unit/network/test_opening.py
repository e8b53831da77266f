"""When a chain begins heights after a start."""

from types import SimpleNamespace
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from consensus.types import Validator, ValidatorSet
from node.network.opening import LONGEST_OPENING, OPENING_SECONDS, open_when_connected
from node.network.topology import Topology
from p2p.types import PeerId
from tests.support.parts import genesis

MEMBERS = ME, SECOND, THIRD, FOURTH = [PeerId(f"p0{i}") for i in range(4)]


class Opening:
    """Shard 0, with four validators of equal weight; we are the first. `opened` are (when, restarted)."""

    def __init__(self) -> None:
        self.topology = Topology(genesis=genesis(), me=ME)
        self.opened: list[tuple[float, bool]] = []
        self.network: Any = SimpleNamespace(connected=set(), linked=set())
        addresses = [self.topology.address_of(peer) for peer in MEMBERS]
        validators = [Validator(address=a, power=1) for a in addresses if a is not None]
        self.host: Any = SimpleNamespace(
            app=SimpleNamespace(validators=lambda: ValidatorSet(validators)), open=self._open
        )

    def _open(self, *, restarted: bool) -> None:
        self.opened.append((trio.current_time(), restarted))

    async def run(self, *connected: PeerId, signs: bool = True, rewound: bool = False) -> float:
        """How many seconds it takes."""
        self.network.connected |= set(connected)
        self.network.linked |= set(connected)
        started = trio.current_time()
        with trio.fail_after(60):
            await open_when_connected(
                self.host, self.network, self.topology, signs=signs, rewound=rewound
            )
        ((at, restarted),) = self.opened
        assert restarted is not rewound
        return at - started


@pytest.fixture
def opening() -> Opening:
    return Opening()


async def test_a_committee_that_is_there_is_not_waited_for(
    opening: Opening, autojump_clock: MockClock
) -> None:
    assert await opening.run(SECOND, THIRD, FOURTH) < OPENING_SECONDS


async def test_the_last_ones_are_waited_for_a_moment(
    opening: Opening, autojump_clock: MockClock
) -> None:
    assert OPENING_SECONDS <= await opening.run(SECOND, THIRD) < LONGEST_OPENING / 2


async def test_a_quorum_is_waited_for_longer(opening: Opening, autojump_clock: MockClock) -> None:
    assert await opening.run(SECOND) >= LONGEST_OPENING


async def test_without_a_key_we_are_none_of_them(
    opening: Opening, autojump_clock: MockClock
) -> None:
    assert await opening.run(SECOND, THIRD, signs=False) >= LONGEST_OPENING


async def test_who_was_away_before_a_rewind_is_not_waited_for(
    opening: Opening, autojump_clock: MockClock
) -> None:
    assert await opening.run(SECOND, THIRD, rewound=True) < OPENING_SECONDS


async def test_who_is_in_the_era_before_is_waited_for(
    opening: Opening, autojump_clock: MockClock
) -> None:
    opening.network.linked = {FOURTH}
    assert await opening.run(SECOND, THIRD, rewound=True) >= OPENING_SECONDS
