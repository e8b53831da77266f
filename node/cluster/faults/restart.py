"""Single nodes of a network: killed, held and started again while the others go on."""

import signal
import time
from collections.abc import Callable, Iterable, Sequence

from node.cluster.errors import NetworkFailed, RequestFailed
from node.cluster.launch import network_document
from node.cluster.layout import NetworkLayout, NodeLayout
from node.cluster.network_status import ask_node
from node.cluster.processes.pidfile import ProcessId, running_process
from node.cluster.processes.processes import (
    RunningNode,
    forget,
    has_ended,
    last_lines,
    running_nodes,
    start_nodes,
    stop_nodes,
)
from node.cluster.show.tables import encode_document
from node.primitives.errors import UserError
from node.storage.files import write_atomically

START_DEADLINE = 90.0
END_DEADLINE = 10.0
POLL_INTERVAL = 0.05


class Nodes:
    """The processes of a network, however they were started."""

    def __init__(self, layout: NetworkLayout) -> None:
        self.layout = layout

    def process(self, name: str) -> ProcessId | None:
        """The process that runs the node, if one does."""
        return running_process(self.layout.node(name).files.pid)

    def is_running(self, name: str) -> bool:
        return self.process(name) is not None

    def is_held(self, name: str) -> bool:
        """True if SIGSTOP holds the node."""
        process = self.process(name)
        return process is not None and process.is_stopped

    @property
    def is_up(self) -> bool:
        """True if the network was started, and not stopped since."""
        return self.layout.network_file.exists() or any(
            self.is_running(node.name) for node in self.layout.nodes
        )

    def kill(self, names: Iterable[str]) -> None:
        """SIGKILL these at the same time; returns when they are gone. Raises UserError if one does not run."""
        running = self._running(names)
        for item in running:
            item.process.send(signal.SIGKILL)
        self._wait_for(lambda: all(has_ended(item) for item in running), running, "end when killed")
        for item in running:
            forget(item)

    def hold(self, names: Iterable[str]) -> None:
        """SIGSTOP these; returns when they stand still. Raises UserError if one does not run."""
        running = self._running(names)
        for item in running:
            item.process.send(signal.SIGSTOP)
        self._wait_for(
            lambda: all(item.process.is_stopped or has_ended(item) for item in running),
            running,
            "stand still",
        )

    def go_on(self, names: Iterable[str]) -> None:
        """SIGCONT to those of them that run."""
        for item in running_nodes(self.layout.node(name).files for name in names):
            item.process.send(signal.SIGCONT)

    def stop(self, names: Iterable[str]) -> None:
        """Stop those of them that run, cleanly."""
        stop_nodes(running_nodes(self.layout.node(name).files for name in names))

    def start(self, names: Sequence[str]) -> None:
        """Start these, and wait until each answers. Raises NetworkFailed with the end of the log of one
        that does not; then it does not run. Raises UserError if one runs already."""
        nodes = [self.layout.node(name) for name in names]
        started = start_nodes([node.files for node in nodes], None)
        deadline = time.monotonic() + START_DEADLINE
        for node, item in zip(nodes, started, strict=True):
            self._wait_until_it_answers(node, item, deadline)
        if self.layout.network_file.exists():  # they have other pids now
            document = encode_document(network_document(self.layout))
            write_atomically(self.layout.network_file, document, mode=0o600)

    def restart(self, names: Sequence[str], *, kill: bool = False) -> None:
        """Stop those of them that run, cleanly or not, and start all of them. Raises as `start` does."""
        if kill:
            self.kill([name for name in names if self.is_running(name)])
        else:
            self.stop(names)
        self.start(names)

    def _running(self, names: Iterable[str]) -> list[RunningNode]:
        names = list(names)
        running = running_nodes(self.layout.node(name).files for name in names)
        missing = set(names) - {item.node.name for item in running}
        if missing:
            raise UserError(
                f"{', '.join(sorted(missing))} does not run; `atoll up` starts what does not"
            )
        return running

    def _wait_for(
        self, done: Callable[[], bool], running: Sequence[RunningNode], what: str
    ) -> None:
        deadline = time.monotonic() + END_DEADLINE
        while not done():
            if time.monotonic() > deadline:
                raise NetworkFailed(
                    f"{', '.join(item.node.name for item in running)} did not {what}"
                )
            time.sleep(POLL_INTERVAL)

    def _wait_until_it_answers(self, node: NodeLayout, item: RunningNode, deadline: float) -> None:
        if not node.config.rpc.enabled:
            return
        while True:
            if has_ended(item) or time.monotonic() > deadline:
                lines = "\n".join(f"    {line}" for line in last_lines(node.files.log))
                if has_ended(item):
                    forget(item)
                raise NetworkFailed(
                    f"{node.name} did not start; the end of {node.files.log}:\n{lines}"
                )
            try:
                ask_node(node, timeout=1.0)
            except RequestFailed:
                time.sleep(POLL_INTERVAL)
            else:
                return
