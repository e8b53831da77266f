"""The share of its mass that a test tries: of random examples, of seeds, of mutants."""

import os
from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")

FEWEST = 5
# `make quick` asks for a tenth; a hunt can ask for ten times as many.
SHARE = float(os.environ.get("ATOLL_EXAMPLES", "1"))


def examples(all_of_them: int) -> int:
    """The number of examples for Hypothesis where `make test` tries `all_of_them`."""
    return max(min(FEWEST, all_of_them), round(all_of_them * SHARE))


def seeds(all_of_them: int) -> range:
    """The seeds to be tried where `make test` tries 0 to `all_of_them` - 1: the first of them, or more."""
    return range(max(1, round(all_of_them * SHARE)))


def thinned(all_of_them: Sequence[Item]) -> Sequence[Item]:
    """What `make test` tries of a list: all. `make quick` tries each tenth, the first included."""
    return all_of_them[:: max(1, round(1 / SHARE))]
