"""A shared network between tests: all is as it was before."""

from collections.abc import Iterator
from contextlib import contextmanager

from node.cluster.errors import RpcRefused
from node.primitives.errors import AtollError
from node.testing.network import Network

SETTLE_SECONDS = 60.0
NOT_SUPPORTED = -32004


def snapshot_of(network: Network) -> str | None:
    """The snapshot to go back to; None if the network cannot go back, for lack of development methods. Raises
    RequestFailed.
    """
    try:
        return network.snapshot()
    except RpcRefused as error:
        if error.code == NOT_SUPPORTED:
            return None
        raise


@contextmanager
def isolated(network: Network, snapshot: str) -> Iterator[list[str]]:
    """Undo at the end all changes that are made to the network inside: faults first, then the state.

    If that does not succeed, the list says why: the network should not be used any more.
    """
    trouble: list[str] = []
    try:
        yield trouble
    finally:
        try:
            network.heal(timeout=SETTLE_SECONDS)
            network.revert(snapshot)
        except AtollError as error:
            trouble.append(f"the network could not be put back and is replaced: {error}")
