"""The share of its mass that a test tries: see tests/support/effort.py."""

import pytest

from tests.support import effort


@pytest.mark.parametrize(
    ("share", "examples", "seeds", "thinned"),
    [(1.0, 100, 20, 20), (0.1, 10, 2, 2), (0.01, 5, 1, 1), (10.0, 1000, 200, 20)],
)
def test_a_share_of_everything(
    monkeypatch: pytest.MonkeyPatch, share: float, examples: int, seeds: int, thinned: int
) -> None:
    monkeypatch.setattr(effort, "SHARE", share)
    assert effort.examples(100) == examples
    assert [*effort.seeds(20)] == [*range(seeds)]
    assert len(effort.thinned(range(20))) == thinned
    assert effort.thinned(range(20))[0] == 0
