"""Following what crosses shards: traces, messages, lanes, and the audit block by block."""

import time
from collections.abc import Callable, Iterator
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
from node.primitives.errors import UserError

POLL_INTERVAL = 0.25
PATIENCE = 5.0
"""Seconds in which a transaction that was just sent may reach a pool."""


def trace(
    name: Annotated[str, Parameter(name="TX", negative="")],
    /,
    *,
    directory: Directory = DEFAULT_DIRECTORY,
    json: Json = False,
    follow: Annotated[bool, Parameter(name=["--follow", "-f"], negative="")] = False,
) -> int:
    """Show all that a transaction caused on all shards, as a tree.

    Parameters
    ----------
    name
        The hash of a transaction, or the id of a message.
    follow
        Show it again whenever it has grown, until it is complete. With --json one line each time.
    """
    from node.cluster.client.ask import ask_network
    from node.cluster.client.units import parse_hash
    from node.cluster.layout import load_layout
    from node.cluster.show.messages import trace_tree
    from node.cluster.show.tables import console

    layout, wanted = load_layout(directory), parse_hash(name)

    def ask() -> dict[str, Any] | None:
        answer: dict[str, Any] | None = ask_network(layout, "atoll_trace", wanted)
        return answer

    def show(document: dict[str, Any]) -> None:
        if json and follow:
            print_json_line(document)
        elif json:
            print_json(document)
        else:
            out.print(trace_tree(document))

    out = console()
    document = ask()
    deadline = time.monotonic() + PATIENCE
    while document is None and follow and time.monotonic() < deadline:
        time.sleep(POLL_INTERVAL)
        document = ask()
    if document is None:
        raise UserError(f"no shard knows a transaction or message {wanted}")
    show(document)
    if follow:
        with until_interrupted():
            for grown in _changes(ask, document):
                show(grown)
    return 0


def _changes(ask: Callable[[], Any], last: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The growing tree, until it is complete (or too large to become so)."""
    while not last["complete"] and not last["truncated"]:
        time.sleep(POLL_INTERVAL)
        document = ask()
        if document is not None and document != last:
            yield document
            last = document


def message(
    message_id: Annotated[str, Parameter(name="ID", negative="")],
    /,
    *,
    directory: Directory = DEFAULT_DIRECTORY,
    json: Json = False,
) -> int:
    """Show the way of a message between shards: sent, finalised, delivered, and what it caused.

    Parameters
    ----------
    message_id
        What `send` returned, topic 1 of the log MessageSent.
    """
    from node.cluster.client.ask import ask_network
    from node.cluster.client.units import parse_hash
    from node.cluster.layout import load_layout
    from node.cluster.show.messages import message_story
    from node.cluster.show.tables import console

    wanted = parse_hash(message_id)
    document = ask_network(load_layout(directory), "atoll_message", wanted)
    if document is None:
        raise UserError(f"no shard knows a message {wanted}")
    if json:
        print_json(document)
    else:
        console().print(message_story(document))
    return 0


def lanes(*, directory: Directory = DEFAULT_DIRECTORY, json: Json = False) -> int:
    """Show every lane between two shards: what was sent, what waits and for how long."""
    from node.cluster.client.ask import ask_network
    from node.cluster.layout import load_layout
    from node.cluster.show.messages import lane_table
    from node.cluster.show.tables import console

    document = ask_network(load_layout(directory), "atoll_lanes")
    if json:
        print_json({"lanes": document})
    else:
        console().print(lane_table(document))
    return 0


def audit(
    *,
    directory: Directory = DEFAULT_DIRECTORY,
    json: Json = False,
    block: Annotated[int | None, Parameter(validator=Number(gte=0))] = None,
    watch: Annotated[bool, Parameter(name=["--watch", "-w"], negative="")] = False,
) -> int:
    """Check that no value was made or lost, at one network block. Exits 1 if the audit does not balance.

    Parameters
    ----------
    block
        The network block, or the first one with --watch; the latest one if left out.
    watch
        Check every further block, a line for each, until one does not balance or Ctrl-C.
    """
    from node.cluster.layout import load_layout
    from node.cluster.network_status import audit_network, audits
    from node.cluster.show.messages import audit_line
    from node.cluster.show.tables import audit_table, console

    layout, out = load_layout(directory), console()
    if not watch:
        document = audit_network(layout, block)
        if json:
            print_json(document)
        else:
            out.print(audit_table(document))
        return 0 if document.get("balanced") is True else EXIT_FAILED
    with until_interrupted():
        for document in audits(layout, block, wait=lambda: time.sleep(POLL_INTERVAL)):
            if json:
                print_json_line(document)
            else:
                out.print(audit_line(document))
            if document.get("balanced") is not True:
                return EXIT_FAILED
    return 0
