"""Configuration files."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from node.commands.common import Json, print_json


def check(
    file: Annotated[Path, Parameter(name="FILE", negative="")], /, *, json: Json = False
) -> int:
    """Check a node.toml or a network.toml, with the files that it names, and start nothing.

    Exits 2 and says what is wrong where. With --json all settings are printed, defaults included.
    """
    from node.cluster.check_file import check_file

    document = check_file(file)
    if json:
        print_json(document)
    else:
        print(f"{file}: {document['summary']}")
    return 0
