"""A whole network in one file, and out of it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from cyclopts import Parameter
from cyclopts.validators import Number

from node.commands.common import DEFAULT_DIRECTORY, Directory, Json, print_json
from node.commands.progress import progress_bar
from node.terminal import say

if TYPE_CHECKING:
    from node.cluster.dumps.archive import Contents, Head, ShardHead

File = Annotated[Path, Parameter(name="FILE", negative="")]


def dump(
    file: File,
    /,
    *,
    directory: Directory = DEFAULT_DIRECTORY,
    force: Annotated[bool, Parameter(negative="")] = False,
    json: Json = False,
) -> int:
    """Write the whole network to one file: all chains, messages under way, configurations and keys.

    A running network goes on: its nodes are paused for a moment, so that the file shows one instant.

    Parameters
    ----------
    file
        The file to write, for `atoll load`. Only its owner can read it, since it has the keys.
    force
        Replace the file if it is there.
    """
    from node.cluster.dumps.dump import dump_network
    from node.cluster.layout import load_layout
    from node.cluster.processes.signals import StopSignals

    layout = load_layout(directory)
    with StopSignals() as signals, progress_bar("packing") as progress:
        made = dump_network(
            layout, file, replace=force, progress=progress, stopping=lambda: signals.count > 0
        )
    if json:
        facts = {"file": str(file), "size": made.size, "heldSeconds": round(made.held, 3)}
        print_json({**facts, **_facts(made.contents)})
        return 0
    _show_heads(made.contents)
    say(
        f"{len(made.contents.nodes)} nodes in {file}, {made.size:,} bytes; it has the keys: keep it to yourself"
    )
    if made.contents.running:
        say(f"the nodes were held for {made.held * 1000:.0f} ms and go on")
    return 0


def load(
    file: File,
    /,
    *,
    directory: Directory = DEFAULT_DIRECTORY,
    rpc_port: Annotated[int | None, Parameter(validator=Number(gte=0, lte=65535))] = None,
    reset: Annotated[bool, Parameter(negative="")] = False,
    json: Json = False,
) -> int:
    """Make a network from a file of `atoll dump`, of this machine or another; `atoll up` starts it.

    All nodes are on this machine then, at addresses of its own: ports are chosen as for a new network.

    Parameters
    ----------
    file
        What `atoll dump` wrote.
    rpc_port
        Port of the first node's JSON-RPC: that of the dump or the next free one; 0 takes free ones.
    reset
        Delete the network that is there, with its data.
    """
    from node.cluster.client.ask import rpc_url
    from node.cluster.dumps.restore import load_network
    from node.cluster.processes.signals import StopSignals

    with StopSignals() as signals, progress_bar("unpacking") as progress:

        def unpacked(done: int, total: int) -> None:
            if signals.count:
                raise KeyboardInterrupt
            progress(done, total)

        layout, contents = load_network(
            file, directory, rpc_port=rpc_port, reset=reset, progress=unpacked
        )
    endpoint = rpc_url(layout.nodes[0])
    if json:
        print_json({"directory": str(layout.directory), "rpc": endpoint, **_facts(contents)})
        return 0
    _show_heads(contents)
    say(f"{len(contents.nodes)} nodes in {layout.directory}; start them with")
    say(f"    atoll up --dir {directory}")
    say(f"and the endpoint is {endpoint}")
    return 0


def _facts(contents: "Contents") -> dict[str, Any]:
    facts: dict[str, Any] = msgspec.to_builtins(contents)
    return {**facts, "files": len(contents.files), "bytes": contents.total}


def _show_heads(contents: "Contents") -> None:
    heads: list[tuple[str, Head | ShardHead]] = [
        ("beacon", contents.beacon),
        *((f"shard {head.id}", head) for head in contents.shards),
    ]
    for name, head in heads:
        say(f"{name:9} {'-' if head.height is None else head.height:<9} {head.hash or ''}".rstrip())
