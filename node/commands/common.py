"""Common parts of the commands: exit codes, shared options, and printing."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from node.terminal import plain_json

DEFAULT_DIRECTORY = Path(".atoll")
EXIT_FAILED, EXIT_USER_ERROR, EXIT_INTERRUPTED = 1, 2, 130

Directory = Annotated[
    Path,
    Parameter(name="--dir", env_var="ATOLL_DIR", help="The directory of the network."),
]
Json = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON instead of text.")]


def print_json(document: object) -> None:
    """One JSON document on standard output."""
    from node.cluster.show.tables import encode_document

    sys.stdout.write(plain_json(encode_document(document).decode()))


def print_json_line(document: object) -> None:
    """One of many documents: a line, at once."""
    import msgspec

    sys.stdout.write(plain_json(msgspec.json.encode(document).decode()) + "\n")
    sys.stdout.flush()


@contextmanager
def until_interrupted() -> Iterator[None]:
    """End a watch by Ctrl-C: it has no end of its own, so that is no failure."""
    try:
        yield
    except KeyboardInterrupt:
        return
