"""What the clients' scripts are given: the published clients, a network of two shards, own accounts."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from node.testing import Network
from tests.conformance.npm import install

HERE = Path(__file__).parent
SCRIPTS = 4  # ethers, viem, cast, forge: an account of each shard for each


@dataclass(frozen=True, slots=True)
class Clients:
    """The published clients, installed from the lock file."""

    directory: Path


@dataclass(frozen=True, slots=True)
class Scene:
    """A running network, and what `scene.mjs` reads of it at `file`."""

    network: Network
    file: Path
    facts: dict[str, Any]


@pytest.fixture(scope="session")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Clients:
    """ethers, viem, cast, forge and solc, as `package-lock.json` names them."""
    directory = tmp_path_factory.mktemp("clients")
    install(HERE, directory, "ethers, viem, cast and forge")
    return Clients(directory)


@pytest.fixture(scope="module")
def scene(
    tmp_path_factory: pytest.TempPathFactory, clients: Clients, ledger: dict[str, Any]
) -> Iterator[Scene]:
    """2 shards x 1 validator; every script has a funded account on each."""
    root = tmp_path_factory.mktemp("scene")
    with Network.start(directory=root / "network", shards=2, validators=1) as network:
        endpoint = network.rpc
        facts = {
            "http": endpoint,
            "ws": endpoint.replace("http", "ws", 1),
            "chainId": network.chain_id,
            "contract": {"abi": ledger["abi"], "bytecode": ledger["bytecode"]},
            "users": [
                [
                    {"address": a.address, "privateKey": a.private_key}
                    for a in network.accounts
                    if a.home == shard
                ][:SCRIPTS]
                for shard in (0, 1)
            ],
        }
        assert all(len(users) == SCRIPTS for users in facts["users"])
        file = root / "scene.json"
        file.write_text(json.dumps(facts))
        yield Scene(network, file, facts)
        network.invariants.check()
