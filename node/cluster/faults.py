"""Faults on purpose: nodes of a network that are told to misbehave (`atoll fault`)."""

import time
from pathlib import Path
from typing import Literal

import msgspec

from node.cluster.errors import NetworkFailed, RpcError
from node.cluster.layout import NodeLayout, load_layout
from node.cluster.network import network_document
from node.cluster.processes import (
    RunningNode,
    has_ended,
    last_lines,
    running_nodes,
    start_nodes,
    stop_nodes,
)
from node.cluster.show import encode_document
from node.cluster.status import ask_node
from node.config import NodeConfig, render_node_config
from node.primitives.errors import UserError
from node.storage.files import write_atomically
from node.tomlfile import load_toml

START_DEADLINE = 60.0
POLL_INTERVAL = 0.1


Fault = Literal["equivocate", "withhold"]


def set_fault(directory: Path, name: str, fault: Fault, *, on: bool) -> bool:
    """Set a key of `[faults]` of a validator, and start it again if it runs; whether it did.

    Raises UserError: no such network or node, or a follower; NetworkFailed: it did not come back.
    """
    layout = load_layout(directory)
    node = layout.node(name)
    if node.config.validator_key is None:
        raise UserError(f"{name} is no validator: it signs nothing that could be wrong")
    path = node.files.config
    # As it is in the file: `node.config` has absolute paths.
    config = load_toml(path, NodeConfig, what="the configuration of a node")
    faults = msgspec.structs.replace(config.faults, **{fault: on})
    changed = msgspec.structs.replace(config, faults=faults)
    write_atomically(path, render_node_config(changed).encode())
    running = running_nodes([node.files])
    if not running:
        return False
    stop_nodes(running)
    (started,) = start_nodes([node.files], None)
    _wait_until_it_answers(node, started)
    if layout.network_file.exists():  # it has another pid now
        document = encode_document(network_document(layout))
        write_atomically(layout.network_file, document, mode=0o600)
    return True


def _wait_until_it_answers(node: NodeLayout, started: RunningNode) -> None:
    """Raises NetworkFailed if the process ends, or does not answer in time."""
    if not node.config.rpc.enabled:
        return
    deadline = time.monotonic() + START_DEADLINE
    while True:
        if has_ended(started) or time.monotonic() > deadline:
            lines = "\n".join(f"    {line}" for line in last_lines(node.files.log))
            raise NetworkFailed(f"{node.name} did not start again; {node.files.log}:\n{lines}")
        try:
            ask_node(node, timeout=POLL_INTERVAL * 10)
        except RpcError:
            time.sleep(POLL_INTERVAL)
        else:
            return
