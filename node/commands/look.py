"""What a network says about itself."""

import time
from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from node.commands.common import (
    DEFAULT_DIRECTORY,
    EXIT_FAILED,
    Directory,
    Json,
    print_json,
    print_json_line,
    until_interrupted,
)


def status(
    *,
    directory: Directory = DEFAULT_DIRECTORY,
    json: Json = False,
    watch: Annotated[bool, Parameter(name=["--watch", "-w"], negative="")] = False,
    interval: Annotated[float, Parameter(validator=Number(gte=0.1, lte=3600))] = 1.0,
) -> int:
    """Show the heads of the chains, the lanes between shards, and every node.

    Exits 1 if no node answers.

    Parameters
    ----------
    watch
        Show it again and again, until Ctrl-C. With --json one line each time.
    interval
        Seconds between two looks with --watch.
    """
    from node.cluster.layout import load_layout
    from node.cluster.show import console, status_tables
    from node.cluster.status import network_status

    layout, out = load_layout(directory), console()
    document: dict[str, Any] = network_status(layout)
    if watch and json:
        with until_interrupted():
            while True:
                print_json_line(document)
                time.sleep(interval)
                document = network_status(layout)
    elif watch:
        with until_interrupted():
            while True:
                out.clear()
                out.print(status_tables(document))
                time.sleep(interval)
                document = network_status(layout)
    elif json:
        print_json(document)
    else:
        out.print(status_tables(document))
    return 0 if document["running"] else EXIT_FAILED
