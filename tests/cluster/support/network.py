"""The commands that users have, and what only these tests ask of a network."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from node.config.node_config import split_host_port
from node.testing import Network

ROOT = Path(__file__).parents[3]
COMMAND_SECONDS = 180.0


def atoll(
    *args: str | Path, check: bool = True, seconds: float = COMMAND_SECONDS
) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does; fails the test if it fails, unless told not to `check`."""
    result = subprocess.run(
        [sys.executable, "-m", "node", *map(str, args)],
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
        cwd=ROOT,
    )
    if check and result.returncode != 0:
        pytest.fail(f"atoll {' '.join(map(str, args))}: exit {result.returncode}\n{result.stderr}")
    return result


def names_of(network: Network) -> list[str]:
    return [node.name for node in network.nodes]


@contextmanager
def ports_kept(network: Network, *names: str) -> Iterator[None]:
    """Nobody else gets the ports of these nodes while they are away; who dials them is refused."""
    with ExitStack() as stack:
        for name in names:
            config = network.node(name).layout.config
            _, listening = split_host_port(config.p2p.listen, "p2p.listen")
            for port in (config.rpc.port, listening):
                kept = stack.enter_context(socket.socket())
                kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                kept.bind(("127.0.0.1", port))
        yield
