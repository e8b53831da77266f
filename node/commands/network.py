"""Making, starting and stopping a network, and what its nodes wrote."""

import sys
import time
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from node.commands.common import DEFAULT_DIRECTORY, EXIT_INTERRUPTED, Directory
from node.commands.node import preloaded_node

FOLLOW_INTERVAL = 0.1


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
        launch = Launch(layout, preloaded_node(), out.print, stays=not detach)
        document = launch.up(signals)
        if document is None:
            return EXIT_INTERRUPTED
        out.print(network_tables(document, balance_ether=layout.manifest.accounts.balance_ether))
        out.print(f"\nup after {time.monotonic() - began:.1f} s; {layout.network_file}")
        if detach:
            return 0
        out.print("Ctrl-C stops the network and keeps its data")
        return launch.watch(signals)


def down(*, directory: Directory = DEFAULT_DIRECTORY) -> int:
    """Stop the nodes of the network cleanly and keep its data. Does nothing if none runs."""
    from node.cluster.network import stop_network

    stopped, killed = stop_network(directory.absolute())
    print(f"stopped {len(stopped)} nodes" if stopped else f"no node of {directory} is running")
    if killed:
        print(f"did not stop in time and were killed: {', '.join(killed)}")
    return 0


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
