"""How far apart blocks are made."""

import pytest

from node.engine.pacing import BACKLOG, MOST_INTERVALS, Pacing


@pytest.mark.parametrize(
    ("waiting", "intervals"),
    [
        (0, 1.0),
        (1, 1.0),
        (BACKLOG, 1.0),
        (BACKLOG * 3, 3.0),
        (BACKLOG * 2, 2.0),
        (10**6, MOST_INTERVALS),
    ],
)
def test_a_long_backlog_makes_blocks_larger_and_fewer(waiting: int, intervals: float) -> None:
    pacing = Pacing(min_interval=0.05, heartbeat=lambda: 1.0, backlog=lambda: waiting)
    assert pacing.interval() == pytest.approx(0.05 * intervals)
    assert pacing.pause(begun=False, has_work=lambda: True) == pacing.interval()


def test_a_height_begins_soon_when_others_have_begun_it_and_late_without_work() -> None:
    pacing = Pacing(min_interval=0.05, heartbeat=lambda: 1.0, backlog=lambda: 10**6)
    assert pacing.pause(begun=True, has_work=lambda: False) == 0.025
    assert pacing.pause(begun=False, has_work=lambda: False) == 1.0
