"""The report of a network about itself."""

import sys
import time
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

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

if TYPE_CHECKING:
    from node.cluster.layout import NetworkLayout


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
        Keep showing it until Ctrl-C: live in a terminal, one line each time with --json.
    interval
        Seconds between two updates, with --watch.
    """
    from node.cluster.layout import load_layout
    from node.cluster.network_status import network_status
    from node.cluster.show.tables import console, status_tables

    layout, out = load_layout(directory), console()
    document: dict[str, Any] = network_status(layout)
    if watch and json:
        with until_interrupted():
            while True:
                print_json_line(document)
                time.sleep(interval)
                document = network_status(layout)
    elif watch and out.is_terminal:
        with until_interrupted():
            _draw(layout, document, interval)
    elif watch:
        with until_interrupted():
            while True:
                out.print(status_tables(document), "")
                sys.stdout.flush()
                time.sleep(interval)
                document = network_status(layout)
    elif json:
        print_json(document)
    else:
        out.print(status_tables(document))
    return 0 if document["running"] else EXIT_FAILED


def _draw(layout: "NetworkLayout", document: dict[str, Any], interval: float) -> NoReturn:
    """The picture, drawn again every `interval` seconds."""
    from rich.console import Console
    from rich.live import Live

    from node.cluster.network_status import network_status
    from node.cluster.show.watch import StatusPicture

    out, picture = Console(highlight=False), StatusPicture(str(layout.directory))
    with Live(console=out, screen=True, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            picture.observe(document, time.monotonic())
            live.update(picture.render(out.width, out.height), refresh=True)
            time.sleep(interval)
            document = network_status(layout)
