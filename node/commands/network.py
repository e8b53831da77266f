"""Making, starting and stopping a network, and what its nodes wrote."""

import re
import sys
import time
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from node.commands.common import (
    DEFAULT_DIRECTORY,
    EXIT_INTERRUPTED,
    Directory,
    Json,
    print_json,
    print_json_line,
    until_interrupted,
)
from node.commands.node import preloaded_node
from node.commands.progress import status_line
from node.primitives.errors import UserError
from node.terminal import say

FOLLOW_INTERVAL = 0.1


def up(
    *,
    shards: Annotated[int | None, Parameter(validator=Number(gte=1, lte=1024))] = None,
    validators: Annotated[int | None, Parameter(validator=Number(gte=1, lte=1024))] = None,
    directory: Directory = DEFAULT_DIRECTORY,
    rpc_port: Annotated[int | None, Parameter(validator=Number(gte=0, lte=65535))] = None,
    chain_id: Annotated[int | None, Parameter(validator=Number(gte=1, lt=1 << 53))] = None,
    host: str | None = None,
    cors_origin: Annotated[list[str] | None, Parameter(negative="")] = None,
    compat: Literal["hardhat", "anvil"] | None = None,
    accounts: Annotated[int | None, Parameter(validator=Number(gte=0, lte=10_000))] = None,
    balance: Annotated[int | None, Parameter(validator=Number(gte=0, lte=10**12))] = None,
    mnemonic: str | None = None,
    block_time: Annotated[float | None, Parameter(validator=Number(gt=0, lte=3600))] = None,
    param: Annotated[list[str] | None, Parameter(negative="")] = None,
    manifest: Path | None = None,
    detach: Annotated[bool, Parameter(negative="")] = False,
    reset: Annotated[bool, Parameter(negative="")] = False,
    json: Json = False,
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
    host
        The address at which the JSON-RPC of a new network listens (127.0.0.1).
    cors_origin
        The origin of web pages that may use a new network beside those of this machine, such as
        https://app.example; "*" for all. May be given several times.
    compat
        Let web3_clientVersion of a new network begin with the name of this program, for tools that use
        development methods of no other.
    accounts
        Funded development accounts of a new network (10), and more until every shard has some.
    balance
        Their balance in ether (10000).
    mnemonic
        The BIP-39 words from which their keys are derived (those of anvil and Hardhat).
    block_time
        Seconds from one block of a shard to the next, instead of a block whenever there is work.
    param
        A rule of a new network, as name=value: those of [params] in a manifest. May be given several times.
    manifest
        The network.toml of a new network; the other options change it.
    detach
        Return once the network is up; `atoll down` stops it.
    reset
        Delete the network that is there, with its data, and make a new one.
    """
    from node.cluster.launch import Launch, WantedNetwork, open_network, read_params
    from node.cluster.manifest import load_manifest
    from node.cluster.processes.signals import StopSignals
    from node.cluster.show.tables import console, network_tables

    out = console(stderr=json)
    wanted = WantedNetwork(
        shards=shards,
        validators=validators,
        rpc_port=rpc_port,
        chain_id=chain_id,
        cors_origins=tuple(cors_origin or ()),
        host=host,
        compat=compat,
        accounts=accounts,
        balance_ether=balance,
        mnemonic=mnemonic,
        block_time=block_time,
        params=read_params(param or ()),
        base=None if manifest is None else load_manifest(manifest),
    )
    began = time.monotonic()
    with open_network(directory, wanted, reset=reset) as layout, StopSignals() as signals:
        out.print(f"starting {len(layout.nodes)} nodes from {layout.directory}")
        with status_line() as show:
            launch = Launch(
                layout,
                preloaded_node(),
                out.print,
                stays=not detach,
                waiting=lambda missing: show(f"{time.monotonic() - began:.0f} s: {missing[0]}"),
            )
            document = launch.up(signals)
        if document is None:
            return EXIT_INTERRUPTED
        if json:
            print_json(document)
            sys.stdout.flush()
        else:
            balance = layout.manifest.accounts.balance_ether
            out.print(network_tables(document, balance_ether=balance))
        out.print(f"\nup after {time.monotonic() - began:.1f} s; {layout.network_file}")
        if detach:
            return 0
        out.print("Ctrl-C stops the network and keeps its data")
        return launch.watch(signals)


def down(*, directory: Directory = DEFAULT_DIRECTORY, json: Json = False) -> int:
    """Stop the nodes of the network cleanly and keep its data. Does nothing if none runs."""
    from node.cluster.launch import stop_network

    stopped, killed = stop_network(directory.absolute())
    if json:
        print_json({"stopped": stopped, "killed": killed})
        return 0
    say(f"stopped {len(stopped)} nodes" if stopped else f"no node of {directory} is running")
    if killed:
        say(f"did not stop in time and were killed: {', '.join(killed)}")
    return 0


def init(
    *,
    manifest: Path,
    directory: Directory = DEFAULT_DIRECTORY,
    keep: Annotated[bool, Parameter(negative="")] = False,
    json: Json = False,
) -> int:
    """Write the genesis, keys and node configurations of a network from a manifest. Starts nothing.

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
    if json:
        nodes = [{"name": node.name, "config": str(node.files.config)} for node in layout.nodes]
        print_json({"directory": str(layout.directory), "nodes": nodes})
        return 0
    say(f"{len(layout.nodes)} nodes in {layout.directory}; start each one with")
    say(f"    atoll node --config {layout.nodes[0].files.config}")
    return 0


def logs(
    *names: Annotated[str, Parameter(name="NODE", negative="")],
    directory: Directory = DEFAULT_DIRECTORY,
    follow: Annotated[bool, Parameter(name=["--follow", "-f"], negative="")] = False,
    lines: Annotated[int, Parameter(name=["--lines", "-n"], validator=Number(gte=0))] = 100,
    level: Annotated[
        Literal["debug", "info", "warning", "error"] | None, Parameter(name=["--level", "-l"])
    ] = None,
    grep: Annotated[str | None, Parameter(name=["--grep", "-g"])] = None,
    json: Json = False,
) -> int:
    """Show the last lines of the logs of all nodes, or of those named, in the order of time.

    Parameters
    ----------
    names
        Nodes such as s0v0, or s0 for a whole shard; all if left out.
    follow
        Keep printing new lines until Ctrl-C.
    lines
        Number of lines to begin with, over all nodes.
    level
        Only lines of this level or above.
    grep
        Only lines that match this regular expression.
    json
        A JSON object for each line: node, time, level, text.
    """
    from node.cluster.fault_model import names_of
    from node.cluster.layout import load_layout
    from node.cluster.show.logs import Filter, merged_logs

    layout = load_layout(directory)
    chosen = names_of(layout, names or ["all"])
    wanted = Filter(level=level or "", pattern=None if grep is None else _pattern(grep))
    files = [(name, layout.node(name).files.log) for name in chosen]
    width = max(map(len, chosen)) if len(chosen) > 1 else 0

    def wait() -> None:
        sys.stdout.flush()
        time.sleep(FOLLOW_INTERVAL)

    with until_interrupted():
        for line in merged_logs(files, lines, wanted, follow=follow, wait=wait):
            if json:
                print_json_line(
                    {"node": line.node, "time": line.time, "level": line.level, "text": line.text}
                )
            else:
                say(f"{line.node:{width}}  {line.text}" if width else line.text)
    sys.stdout.flush()
    return 0


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise UserError(f"--grep {text!r} is no regular expression: {error}") from None
