"""A shared network between tests: all is as it was before."""

from collections.abc import Iterator
from contextlib import contextmanager

from node.primitives.errors import AtollError
from node.testing.network import Network

SETTLE_SECONDS = 60.0


@contextmanager
def isolated(network: Network) -> Iterator[list[str]]:
    """Whatever is done to the network inside is undone at the end: faults first, then the state.

    Where that does not succeed, the list says why: nobody should use the network any more.
    """
    trouble: list[str] = []
    snapshot = network.snapshot()
    try:
        yield trouble
    finally:
        try:
            network.heal(timeout=SETTLE_SECONDS)
            network.revert(snapshot)
        except AtollError as error:
            trouble.append(f"the network could not be put back and is replaced: {error}")
