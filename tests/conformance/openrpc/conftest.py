"""The specification's archive, named by an environment variable, and a network of two shards."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.testing import Network
from tests.conformance.openrpc.scene import Scene, make_scene
from tests.conformance.openrpc.specification import Specification, load

ARCHIVE = "ATOLL_OPENRPC"


@pytest.fixture(scope="session")
def specification() -> Specification:
    archive = os.environ.get(ARCHIVE)
    if not archive:
        pytest.skip(
            f"{ARCHIVE} is not set: it names the archive of ethereum/execution-apis (tar.xz); "
            "NOTHING WAS CHECKED against the specification"
        )
    return load(Path(archive))


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A network on which something of everything has happened."""
    directory = tmp_path_factory.mktemp("openrpc") / "network"
    with Network.start(directory=directory, shards=2, validators=1) as network:
        yield make_scene(network)
