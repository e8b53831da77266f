"""Networks of real processes for the cluster tests; every test starts with all nodes up."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import vyper
from web3.contract import Contract

from node.testing import Network
from node.testing.shared import SharedNetworks
from tests.cluster.support.client import deploy
from tests.cluster.support.guard import guarded


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


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Whatever tests have started below their directories ends with the session, however that ends."""
    with guarded(tmp_path_factory.getbasetemp()):
        yield


@pytest.fixture(scope="session")
def networks(atoll_networks: SharedNetworks) -> SharedNetworks:
    """All networks of the session. Their nodes answer a sent transaction when the pool has it, without a wait
    for its block: many tests look at what is under way. tests/conformance has the networks that users have.
    """
    atoll_networks.manifest = {"rpc": {"send_wait": 0.0}}
    return atoll_networks


@pytest.fixture(autouse=True)
def audited(networks: SharedNetworks) -> Iterator[None]:
    """After every test, whatever else it checks, the audit of each new network block is zero."""
    yield
    for network in networks.running:
        if not network.answers:
            network.up()
        network.invariants.check_audit()


@pytest.fixture
def two_by_four(networks: SharedNetworks) -> Iterator[Network]:
    """2 shards of 4 validators; after each test the invariants are checked."""
    network = networks.shared(shards=2, validators=4)
    yield network
    network.invariants.check()


@pytest.fixture(scope="session")
def _kept_ledgers() -> dict[int, Contract]:
    return {}


@pytest.fixture
def ledgers(
    two_by_four: Network, ledger: dict[str, Any], _kept_ledgers: dict[int, Contract]
) -> dict[int, Contract]:
    """A ledger on each shard of `two_by_four`, the same ones for all tests."""
    for shard in two_by_four.shard_ids:
        if shard not in _kept_ledgers:
            deployer = two_by_four.account(shard, 1).signer
            w3 = two_by_four.web3(node=f"s{shard}v0")
            _kept_ledgers[shard] = deploy(w3, deployer, ledger)
    return _kept_ledgers


@pytest.fixture(scope="session")
def compiled_books() -> dict[str, Any]:
    """A contract that keeps books of messages: ABI and bytecode."""
    source = (Path(__file__).parent / "contracts" / "Books.vy").read_text()
    compiled: dict[str, Any] = vyper.compile_code(source, output_formats=["abi", "bytecode"])
    return compiled
