"""The checks before anything else is imported.

Written so that Python 3.7 can read it: the check for the version must be able to run.
"""

from __future__ import annotations

import base64
import hashlib
import sys
from importlib.util import find_spec
from pathlib import Path

NEEDED = (3, 11)
PACKAGES = ("consensus", "p2p", "rpc", "node")
DISTRIBUTION = "atoll"
REMEDY = "install atoll in a virtual environment of its own"


def problem() -> str | None:
    """Why this program must not run here, in one line; None if all is well."""
    if sys.version_info < NEEDED:
        have, needed = (".".join(map(str, v)) for v in (sys.version_info[:2], NEEDED))
        return f"Python {needed} or newer is needed, this is {have}; make the virtual environment with it"
    if sys.flags.optimize:
        return (
            "Python's -O (PYTHONOPTIMIZE) removes checks that consensus relies on; start without it"
        )
    return foreign_package(Path(__file__).resolve().parent.parent)


def foreign_package(home: Path) -> str | None:
    """The error if one of our top-level names leads to the code of another distribution, else None.

    The names are short, and pip lets a second distribution write into the same place without a word.
    """
    for name in PACKAGES:
        spec = find_spec(name)
        locations = () if spec is None else spec.submodule_search_locations or ()
        places = [Path(location).resolve() for location in locations]
        if places != [home / name]:
            found = ", ".join(map(str, places)) or "nothing"
            return f"atoll's package {name!r} is in {home}, but Python finds {found}; {REMEDY}"
        if not (home / name / "py.typed").is_file():
            return f"the package {name!r} in {home} is not atoll's; {REMEDY}"
    for file in overwritten_files(home):
        return f"another distribution has overwritten {file} in {home}; {REMEDY}"
    return None


def overwritten_files(home: Path) -> list[str]:
    """The `__init__.py` of our packages that are not as they were installed."""
    from importlib import metadata  # 3.8: after the check for the version

    try:
        files = metadata.distribution(DISTRIBUTION).files or []
    except metadata.PackageNotFoundError:
        return []  # a source tree that was never installed
    ours = {f"{name}/__init__.py" for name in (*PACKAGES, "atoll")}
    changed = []
    for file in files:
        path = Path(str(file.locate())).resolve()
        if str(file) not in ours or file.hash is None or path.parent.parent != home:
            continue
        digest = hashlib.new(file.hash.mode, path.read_bytes()).digest()
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != file.hash.value:
            changed.append(str(file))
    return changed
