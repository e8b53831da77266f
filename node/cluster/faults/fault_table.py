"""The output of `atoll fault list`."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from rich.console import Group, RenderableType

from node.cluster.fault_model import ActiveFault, fault_row
from node.cluster.show.tables import plain_table
from node.config.node_faults import NodeFaults
from node.terminal import shows


def faults_document(
    active: Sequence[ActiveFault], told: Mapping[str, NodeFaults]
) -> dict[str, Any]:
    """{"faults": [ROW], "told": {node: its [faults]}}, the latter where a node has others than these."""
    return {
        "faults": [fault_row(item) for item in active],
        "told": {name: msgspec.to_builtins(faults) for name, faults in told.items()},
    }


@shows
def fault_table(document: Mapping[str, Any]) -> RenderableType:
    if not document["faults"] and not document["told"]:
        return "no faults are in force"
    table = plain_table("fault", "what")
    for row in document["faults"]:
        table.add_row(row["name"], row["what"])
    told = [
        f"{name} was told otherwise, over JSON-RPC or in its file: {faults}; "
        "`atoll fault heal` ends that as well"
        for name, faults in document["told"].items()
    ]
    return Group(table, *(["", *told] if told else []))
