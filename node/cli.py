"""The command `atoll`. Everything slow is imported where a command needs it."""

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import App, CycloptsError, Parameter
from cyclopts.validators import Number

from node import startup
from node.primitives.errors import AtollError, UserError
from node.version import version

DEFAULT_DIRECTORY = Path(".atoll")
EXIT_FAILED, EXIT_USER_ERROR, EXIT_INTERRUPTED = 1, 2, 130
FOLLOW_INTERVAL = 0.1

Directory = Annotated[Path, Parameter(name="--dir", help="The directory of the network.")]

app = App(
    name="atoll",
    help="A sharded EVM devnet: real nodes, BFT consensus, one endpoint over all shards.",
    version=version,
    result_action="return_value",
)

fault = App(name="fault", help="Make a node misbehave, to see what the network does about it.")
app.command(fault)


@app.command
def up(
    *,
    shards: Annotated[int | None, Parameter(validator=Number(gte=1, lte=1024))] = None,
    validators: Annotated[int | None, Parameter(validator=Number(gte=1, lte=1024))] = None,
    directory: Directory = DEFAULT_DIRECTORY,
    rpc_port: Annotated[int | None, Parameter(validator=Number(gte=0, lte=65535))] = None,
    chain_id: Annotated[int | None, Parameter(validator=Number(gte=1, lt=1 << 53))] = None,
    detach: Annotated[bool, Parameter(negative="")] = False,
    reset: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Start the network in a directory, making one (2 shards of 4 validators) if there is none.

    Ctrl-C stops it and keeps its data.

    Parameters
    ----------
    shards
        Shards of a new network (2).
    validators
        Validators of each shard of a new network (4).
    rpc_port
        Port of the first node's JSON-RPC (8545); 0 takes free ones. The other nodes take the ports after it.
    chain_id
        Chain id of a new network (31337).
    detach
        Return once the network is up; `atoll down` stops it.
    reset
        Delete the network that is there, with its data, and make a new one.
    """
    from node.cluster.network import Launch, Wanted, open_network
    from node.cluster.show import console, network_tables
    from node.cluster.signals import StopSignals

    out = console()
    wanted = Wanted(shards=shards, validators=validators, rpc_port=rpc_port, chain_id=chain_id)
    began = time.monotonic()
    with open_network(directory, wanted, reset=reset) as layout, StopSignals() as signals:
        out.print(f"starting {len(layout.nodes)} nodes from {layout.directory}")
        launch = Launch(layout, _preloaded_node(), out.print)
        document = launch.up(signals)
        if document is None:
            return EXIT_INTERRUPTED
        out.print(network_tables(document, balance_ether=layout.manifest.accounts.balance_ether))
        out.print(f"\nup after {time.monotonic() - began:.1f} s; {layout.network_file}")
        if detach:
            return 0
        out.print("Ctrl-C stops the network and keeps its data")
        return launch.watch(signals)


@app.command
def down(*, directory: Directory = DEFAULT_DIRECTORY) -> int:
    """Stop the nodes of the network cleanly and keep its data. Does nothing if none runs."""
    from node.cluster.network import stop_network

    stopped, killed = stop_network(directory.absolute())
    print(f"stopped {len(stopped)} nodes" if stopped else f"no node of {directory} is running")
    if killed:
        print(f"did not stop in time and were killed: {', '.join(killed)}")
    return 0


@app.command
def status(
    *,
    directory: Directory = DEFAULT_DIRECTORY,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Show the heads of the chains, the lanes between shards, and every node. Exits 1 if no node answers.

    Parameters
    ----------
    json
        Print one JSON document instead of tables.
    """
    from node.cluster.layout import load_layout
    from node.cluster.show import console, encode_document, status_tables
    from node.cluster.status import network_status

    document = network_status(load_layout(directory))
    if json:
        sys.stdout.write(encode_document(document).decode())
    else:
        console().print(status_tables(document))
    return 0 if document["running"] else EXIT_FAILED


@app.command
def init(
    *,
    manifest: Path,
    directory: Directory = DEFAULT_DIRECTORY,
    keep: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Write genesis, keys and node configurations for the layout in a manifest, and start nothing.

    Parameters
    ----------
    manifest
        The network.toml that describes the network.
    keep
        Do nothing if the directory has a network made from the same manifest.
    """
    from node.cluster.make import ensure_network, make_network
    from node.cluster.manifest import load_manifest

    make = ensure_network if keep else make_network
    layout = make(load_manifest(manifest), directory)
    print(f"{len(layout.nodes)} nodes in {layout.directory}; start each one with")
    print(f"    atoll node --config {layout.nodes[0].files.config}")
    return 0


@app.command
def node(*, config: Path) -> int:
    """Run one node in the foreground until SIGTERM or Ctrl-C.

    Parameters
    ----------
    config
        Its node.toml.
    """
    return run_configured_node(config)


@app.command
def logs(
    name: Annotated[str, Parameter(name="NODE", negative="")],
    /,
    *,
    directory: Directory = DEFAULT_DIRECTORY,
    follow: Annotated[bool, Parameter(name=["--follow", "-f"], negative="")] = False,
    lines: Annotated[int, Parameter(name=["--lines", "-n"], validator=Number(gte=0))] = 100,
) -> int:
    """Show the end of a node's log.

    Parameters
    ----------
    name
        The node, such as s0v0.
    follow
        Go on with what is added, until Ctrl-C.
    lines
        How many lines to begin with.
    """
    from node.cluster.layout import load_layout
    from node.cluster.logs import tail

    log = load_layout(directory).node(name).files.log

    def wait() -> bool:
        sys.stdout.flush()
        time.sleep(FOLLOW_INTERVAL)
        return True

    for piece in tail(log, lines, follow=follow, wait=wait):
        sys.stdout.buffer.write(piece)
    sys.stdout.flush()
    return 0


@app.command
def audit(
    *,
    directory: Directory = DEFAULT_DIRECTORY,
    json: Annotated[bool, Parameter(negative="")] = False,
    block: Annotated[int | None, Parameter(validator=Number(gte=0))] = None,
) -> int:
    """Check that no value was made or lost, at one network block. Exits 1 if the audit does not balance.

    Parameters
    ----------
    json
        Print one JSON document instead of a table.
    block
        The network block; the latest one if left out.
    """
    from node.cluster.layout import load_layout
    from node.cluster.show import audit_table, console, encode_document
    from node.cluster.status import audit_network

    document = audit_network(load_layout(directory), block)
    if json:
        sys.stdout.write(encode_document(document).decode())
    else:
        console().print(audit_table(document))
    return 0 if document.get("balanced") is True else EXIT_FAILED


@fault.command
def equivocate(
    name: Annotated[str, Parameter(name="NODE", negative="")],
    /,
    *,
    directory: Directory = DEFAULT_DIRECTORY,
    off: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Let a validator contradict each of its prevotes; it is started again if it runs.

    The network slashes and jails it, for good: a new network is the only way back.

    Parameters
    ----------
    name
        The node, such as s0v3.
    off
        Let it be honest again.
    """
    from node.cluster.faults import set_equivocation

    restarted = set_equivocation(directory, name, on=not off)
    print(
        f"{name} {'is honest' if off else 'equivocates'}"
        + (" and was started again" if restarted else " from its next start on")
    )
    return 0


def run_configured_node(config: Path) -> int:
    """Run the node of a configuration file in this process; its exit code. Raises UserError."""
    from node.config import load_node_config

    loaded = load_node_config(config)  # before the slow import: a mistake is answered at once

    from node.runtime.main import run_node

    return run_node(loaded)


def _preloaded_node() -> Callable[[Path], int]:
    """What the launcher forks: all that a node imports is imported here, once."""
    import node.runtime.main  # noqa: F401

    return run_configured_node


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code. A person's mistake is one line, never a traceback."""
    trouble = startup.problem()
    if trouble is not None:
        return _fail(trouble, EXIT_USER_ERROR)
    try:
        code = app(arguments, exit_on_error=False, print_error=False)
        return code if isinstance(code, int) else 0
    except CycloptsError as error:
        return _fail(f"{error}".replace("\n", " "), EXIT_USER_ERROR)
    except UserError as error:
        return _fail(str(error), EXIT_USER_ERROR)
    except AtollError as error:
        return _fail(str(error), EXIT_FAILED)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # `atoll logs s0v0 | head`
        sys.stderr.close()
        return EXIT_FAILED


def _fail(reason: str, code: int) -> int:
    print(f"atoll: error: {reason}", file=sys.stderr)
    return code
