"""Networks of real processes for the cluster tests; every test starts with all nodes up."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.register_assert_rewrite(
    "tests.cluster.support.client",
    "tests.cluster.support.invariants",
    "tests.cluster.support.load",
    "tests.cluster.support.network",
)

from tests.cluster.support.network import Network, Networks  # noqa: E402


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="session")
def ledger() -> dict[str, Any]:
    """The compiled test contract: ABI and bytecode."""
    import vyper

    source = (Path(__file__).parent / "contracts" / "Ledger.vy").read_text()
    compiled: dict[str, Any] = vyper.compile_code(source, output_formats=["abi", "bytecode"])
    return compiled


@pytest.fixture(scope="session")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Networks]:
    """All networks of the session. Their logs stay where pytest keeps files."""
    networks = Networks(tmp_path_factory.mktemp("networks"))
    yield networks
    networks.stop()


@pytest.fixture
def two_by_four(networks: Networks) -> Iterator[Network]:
    """2 shards of 4 validators; after each test the invariants are checked."""
    network = networks.use(shards=2, validators=4)
    yield network
    network.check()
