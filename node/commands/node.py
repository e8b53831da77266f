"""Running one node in this process."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from node.primitives.errors import UserError


def node(
    *,
    config: Path,
    parent: Annotated[int | None, Parameter(validator=Number(gt=0))] = None,
    log: Path | None = None,
) -> int:
    """Run one node in the foreground until SIGTERM or Ctrl-C.

    Parameters
    ----------
    config
        Its node.toml.
    parent
        A process id: stop when that process has ended.
    log
        Write to this file instead of the terminal, and to FILE.1 what was there when it is full.
    """
    if log is not None:
        from node.cluster.processes.logfile import write_to_log

        try:
            write_to_log(log)
        except OSError as error:
            raise UserError(f"{log}: cannot open the log: {error.strerror}") from None
    if parent is not None:
        from node.cluster.processes.lifeline import end_with
        from node.cluster.processes.pidfile import ProcessId

        process = ProcessId.of(parent)
        if process is None:
            raise UserError(
                f"--parent: there is no process {parent}, so this node has nothing to end with"
            )
        end_with(process)
    return run_configured_node(config)


def run_configured_node(config: Path) -> int:
    """Run the node of a configuration file in this process; its exit code. Raises UserError."""
    from node.config.node_config import load_node_config

    loaded = load_node_config(config)  # before the slow import: a mistake is answered at once

    from node.runtime.main import run_node

    return run_node(loaded)


def preloaded_node() -> Callable[[Path], int]:
    """The function that the launcher forks: all imports of a node are done here, once."""
    import node.runtime.main  # noqa: F401

    return run_configured_node
