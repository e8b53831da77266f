"""Networks of real processes for the cluster tests; every test starts with all nodes up."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import vyper
from web3.contract import Contract

from tests.cluster.support.client import deploy
from tests.cluster.support.network import Network, Networks


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is here, and put it last: first what shares a network, which then need not start again."""

    def place(item: pytest.Item) -> int:
        if Path(__file__).parent not in item.path.parents:
            return 0
        return 1 if "two_by_four" in getattr(item, "fixturenames", ()) else 2

    items.sort(key=place)
    for item in items:
        if place(item):
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="session")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Networks]:
    """All networks of the session. Their logs stay where pytest keeps files."""
    networks = Networks(tmp_path_factory.mktemp("networks"))
    yield networks
    networks.stop()


@pytest.fixture(autouse=True)
def audited(networks: Networks) -> Iterator[None]:
    """After every test, whatever else it checks, the audit of each new network block is zero."""
    yield
    networks.audit()


@pytest.fixture
def two_by_four(networks: Networks) -> Iterator[Network]:
    """2 shards of 4 validators; after each test the invariants are checked."""
    network = networks.use(shards=2, validators=4)
    yield network
    network.check()


@pytest.fixture(scope="session")
def _kept_ledgers() -> dict[int, Contract]:
    return {}


@pytest.fixture
def ledgers(
    two_by_four: Network, ledger: dict[str, Any], _kept_ledgers: dict[int, Contract]
) -> dict[int, Contract]:
    """A ledger on each shard of `two_by_four`, the same ones for all tests."""
    for shard in two_by_four.shards:
        if shard not in _kept_ledgers:
            deployer = two_by_four.accounts(shard)[1]
            _kept_ledgers[shard] = deploy(two_by_four.w3(shard), deployer, ledger)
    return _kept_ledgers


@pytest.fixture(scope="session")
def compiled_books() -> dict[str, Any]:
    """A contract that keeps books of messages: ABI and bytecode."""
    source = (Path(__file__).parent / "contracts" / "Books.vy").read_text()
    compiled: dict[str, Any] = vyper.compile_code(source, output_formats=["abi", "bytecode"])
    return compiled
