"""The faults of one node while it runs, and its clock, which may be one of them."""

import time
from collections.abc import Callable, Mapping

import structlog
from msgspec.structs import asdict

from node.config.node_faults import LinkFaults, NodeFaults
from p2p.netem import LinkFault
from p2p.types import PeerId


class LiveFaults:
    """The faults of a node, which may change while it runs. `on_change` is called with the new faults."""

    def __init__(self, configured: NodeFaults) -> None:
        self.current = configured
        self.on_change: list[Callable[[NodeFaults], None]] = []

    def set(self, faults: NodeFaults) -> None:
        """Replace all faults by these."""
        if faults != self.current:
            self.current = faults
            self.announce()

    def announce(self) -> None:
        """Tell the listener the present faults."""
        structlog.get_logger().warning(
            "faults on purpose" if self.current.any else "no more faults on purpose",
            **{field: value for field, value in asdict(self.current).items() if value},
        )
        for listener in self.on_change:
            listener(self.current)

    def time(self) -> float:
        """The node's clock, in seconds since 1970."""
        return time.time() + self.current.clock


def link_faults(
    links: Mapping[str, LinkFaults], ids: Mapping[str, PeerId]
) -> dict[PeerId, LinkFault]:
    """The faults of links by peer id, in the form that p2p uses."""
    return {
        ids[name]: LinkFault(cut=link.cut, delay=link.delay, jitter=link.jitter, loss=link.loss)
        for name, link in links.items()
    }
