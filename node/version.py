"""The version of the running program."""

import platform
import sys
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from typing import Final

NAMES: Final = {"hardhat": "HardhatNetwork", "anvil": "anvil"}
"""The names that tools for development look for before they use development methods."""


def version() -> str:
    try:
        return installed_version("atoll")
    except PackageNotFoundError:  # run from a source tree that was never installed
        return "0.0.0"


def client_version(compat: str | None = None) -> str:
    """The answer of `web3_clientVersion`, which begins with the name of the program that we stand in for."""
    python = ".".join(str(part) for part in sys.version_info[:3])
    ours = f"atoll/{version()}/{sys.platform}-{platform.machine()}/python{python}"
    return ours if compat is None else f"{NAMES[compat]}/{ours}"
