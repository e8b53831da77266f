"""What can go wrong with the processes of a network, on purpose: `net.faults`."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from node.cluster.processes import RunningNode, running_nodes, start_nodes, stop_nodes
from node.primitives.errors import UserError
from node.testing.conditions import node_down, node_up

if TYPE_CHECKING:
    from node.testing.network import Network


class Faults:
    """Nodes are given by name. Every method returns when it is so; `heal` takes all of it back."""

    def __init__(self, network: "Network") -> None:
        self._network = network

    def kill(self, *names: str) -> None:
        """SIGKILL these nodes at the same time. Raises UserError if one is down already."""
        self._signal(names, signal.SIGKILL)
        self._network.wait_for(node_down(*names))

    def stop(self, *names: str) -> None:
        """Let these nodes end cleanly (SIGTERM)."""
        stop_nodes(self._running(names))

    def start(self, *names: str) -> None:
        """Start these nodes again, with their data, and wait until they are up."""
        start_nodes([self._network.node(name).layout.files for name in names], None)
        self._network.wait_for(node_up(*names))

    def restart(self, *names: str) -> None:
        """`stop` and `start`."""
        self.stop(*names)
        self.start(*names)

    def pause(self, *names: str) -> None:
        """SIGSTOP: their connections stay open, and nothing answers."""
        self._signal(names, signal.SIGSTOP)

    def resume(self, *names: str) -> None:
        """SIGCONT: they go on."""
        self._signal(names, signal.SIGCONT)

    @contextmanager
    def paused(self, *names: str) -> Iterator[None]:
        """`pause` for as long as the block lasts."""
        self.pause(*names)
        try:
            yield
        finally:
            self.resume(*names)

    def heal(self) -> None:
        """Every node goes on or is started again. Those that ran may still be behind."""
        for item in running_nodes(node.layout.files for node in self._network.nodes):
            item.process.send(signal.SIGCONT)
        down = [node.name for node in self._network.nodes if not node.is_running]
        if down:
            self.start(*down)

    def _signal(self, names: tuple[str, ...], number: signal.Signals) -> None:
        for item in self._running(names):
            item.process.send(number)

    def _running(self, names: tuple[str, ...]) -> list[RunningNode]:
        nodes = [self._network.node(name) for name in names]
        running = running_nodes(node.layout.files for node in nodes)
        if len(running) != len(nodes):
            down = {node.name for node in nodes} - {item.node.name for item in running}
            raise UserError(f"not running: {', '.join(sorted(down))}")
        return running
