"""The share of its examples that a property test tries."""

import os

FEWEST = 10
# `make quick` asks for a tenth; a hunt can ask for ten times as many.
SHARE = float(os.environ.get("ATOLL_EXAMPLES", "1"))


def examples(all_of_them: int) -> int:
    """The number of examples for Hypothesis where `make test` tries `all_of_them`."""
    return max(min(FEWEST, all_of_them), round(all_of_them * SHARE))
