"""Configuration files."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from node.commands.common import DEFAULT_DIRECTORY, Directory, Json, print_json
from node.terminal import say


def check(
    file: Annotated[Path | None, Parameter(name="FILE", negative="")] = None,
    /,
    *,
    directory: Directory = DEFAULT_DIRECTORY,
    json: Json = False,
) -> int:
    """Check a node.toml or a network.toml, with the files that it names, and start nothing.

    Exits 2 and says what is wrong where. With --json all settings are printed, defaults included.

    Parameters
    ----------
    file
        The file; left out, all files of the network in the directory, and whether they fit together.
    """
    from node.cluster.check_file import check_file

    path = directory if file is None else file
    document = check_file(path)
    if json:
        print_json(document)
    else:
        say(f"{path}: {document['summary']}")
    return 0
