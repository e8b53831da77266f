"""The process that a network for tests runs under: `python -m node.testing.launcher DIR PARENT < MANIFEST`.

It makes the network where there is none, forks the nodes from one pre-imported program, and stops them when it
is told to or when the process PARENT, which runs the tests, has ended. The nodes end with it in turn
(node.cluster.processes.lifeline). So the program under test is never forked, and nothing goes on after it,
however it ended.
"""

import sys
from pathlib import Path

from node import startup
from node.cluster.errors import NetworkFailed
from node.cluster.launch import Launch, locked_directory
from node.cluster.make import ensure_network
from node.cluster.manifest import Manifest
from node.cluster.processes.pidfile import ProcessId
from node.cluster.processes.signals import StopSignals
from node.commands.common import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USER_ERROR
from node.commands.node import preloaded_node
from node.config.toml import parse_toml
from node.primitives.errors import AtollError, UserError


def launch(directory: Path, parent: int, manifest: str) -> int:
    """Run the network in `directory` for as long as the process `parent` lives; the exit code."""
    with StopSignals(_process(parent)) as signals, locked_directory(directory, reset=False) as lock:
        layout = ensure_network(parse_toml(manifest, Manifest).check(), directory)
        lock()
        running = Launch(layout, preloaded_node(), _say, stays=True)
        if running.up(signals) is None:
            return EXIT_INTERRUPTED
        return running.watch(signals, patient=True)


def main(arguments: list[str]) -> int:
    trouble = startup.problem()
    try:
        if trouble is not None:
            raise UserError(trouble)
        directory, parent = arguments
        return launch(Path(directory), int(parent), sys.stdin.read())
    except AtollError as error:
        _say(str(error))
        return EXIT_USER_ERROR if isinstance(error, UserError) else EXIT_FAILED


def _process(pid: int) -> ProcessId:
    process = ProcessId.of(pid)
    if process is None:
        raise NetworkFailed(f"process {pid}, which wanted a network, has ended")
    return process


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
