"""What a network says about itself: heads, lanes, nodes, and the audit."""

from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from node.commands.common import DEFAULT_DIRECTORY, EXIT_FAILED, Directory, Json, print_json


def status(
    *,
    directory: Directory = DEFAULT_DIRECTORY,
    json: Json = False,
) -> int:
    """Show the heads of the chains, the lanes between shards, and every node. Exits 1 if no node answers."""
    from node.cluster.layout import load_layout
    from node.cluster.show import console, status_tables
    from node.cluster.status import network_status

    document = network_status(load_layout(directory))
    if json:
        print_json(document)
    else:
        console().print(status_tables(document))
    return 0 if document["running"] else EXIT_FAILED


def audit(
    *,
    directory: Directory = DEFAULT_DIRECTORY,
    json: Json = False,
    block: Annotated[int | None, Parameter(validator=Number(gte=0))] = None,
) -> int:
    """Check that no value was made or lost, at one network block. Exits 1 if the audit does not balance.

    Parameters
    ----------
    block
        The network block; the latest one if left out.
    """
    from node.cluster.layout import load_layout
    from node.cluster.show import audit_table, console
    from node.cluster.status import audit_network

    document = audit_network(load_layout(directory), block)
    if json:
        print_json(document)
    else:
        console().print(audit_table(document))
    return 0 if document.get("balanced") is True else EXIT_FAILED
