"""The version of the running program."""

import platform
import sys
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version


def version() -> str:
    try:
        return installed_version("atoll")
    except PackageNotFoundError:  # run from a source tree that was never installed
        return "0.0.0"


def client_version() -> str:
    """The answer of `web3_clientVersion`."""
    python = ".".join(str(part) for part in sys.version_info[:3])
    return f"atoll/{version()}/{sys.platform}-{platform.machine()}/python{python}"
