"""How far apart blocks are made."""

import pytest

from node.engine.host import BACKLOG, MOST_INTERVALS, Pacing


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
    pacing = Pacing(min_interval=0.05, heartbeat=1.0, backlog=lambda: waiting)
    assert pacing.interval() == pytest.approx(0.05 * intervals)
