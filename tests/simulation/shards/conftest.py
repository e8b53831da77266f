"""The simulated network of shards, for the tests of this directory."""

import pytest

from tests.simulation.shards.support.network import Net


@pytest.fixture(scope="session")
def make_net() -> type[Net]:
    """The network of a seed."""
    return Net
