"""Running one node in this process."""

from collections.abc import Callable
from pathlib import Path


def node(*, config: Path) -> int:
    """Run one node in the foreground until SIGTERM or Ctrl-C.

    Parameters
    ----------
    config
        Its node.toml.
    """
    return run_configured_node(config)


def run_configured_node(config: Path) -> int:
    """Run the node of a configuration file in this process; its exit code. Raises UserError."""
    from node.config import load_node_config

    loaded = load_node_config(config)  # before the slow import: a mistake is answered at once

    from node.runtime.main import run_node

    return run_node(loaded)


def preloaded_node() -> Callable[[Path], int]:
    """What the launcher forks: all that a node imports is imported here, once."""
    import node.runtime.main  # noqa: F401

    return run_configured_node
