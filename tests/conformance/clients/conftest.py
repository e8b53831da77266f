"""What the clients' scripts are given: the published clients, a network of two shards, own accounts."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.support.network import Network

HERE = Path(__file__).parent
SWITCH = "ATOLL_CLIENTS"
INSTALL_SECONDS = 300
SCRIPTS = 4  # ethers, viem, cast, forge: an account of each shard for each


@dataclass(frozen=True, slots=True)
class Clients:
    """The published clients, installed from the lock file; `bin` holds cast and forge."""

    directory: Path

    @property
    def bin(self) -> Path:
        return self.directory / "node_modules" / ".bin"


@dataclass(frozen=True, slots=True)
class Scene:
    """A running network, and what `scene.mjs` reads of it at `file`."""

    network: Network
    file: Path
    facts: dict[str, Any]


@pytest.fixture(scope="session")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Clients:
    """ethers, viem, cast, forge and solc, as `package-lock.json` names them."""
    if not os.environ.get(SWITCH):
        pytest.skip(
            f"{SWITCH} is not set: these tests install the clients of other languages with npm; "
            "NOTHING WAS CHECKED with ethers, viem, cast and forge"
        )
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.fail(f"{program} is not installed: {SWITCH} asks for the clients that need it")
    directory = tmp_path_factory.mktemp("clients")
    for name in ("package.json", "package-lock.json", ".npmrc", "scene.mjs"):
        shutil.copy(HERE / name, directory)
    for script in HERE.glob("*.test.mjs"):
        shutil.copy(script, directory)
    shutil.copytree(HERE / "foundry", directory / "foundry")
    # Not `npm ci`: it wants every platform's optional programs in the lock file, not those of this one.
    done = subprocess.run(
        ["npm", "install", "--no-save", "--no-audit", "--no-fund"],
        cwd=directory,
        check=False,
        timeout=INSTALL_SECONDS,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return Clients(directory)


@pytest.fixture(scope="module")
def scene(
    tmp_path_factory: pytest.TempPathFactory, clients: Clients, ledger: dict[str, Any]
) -> Iterator[Scene]:
    """2 shards x 1 validator; every script has a funded account on each."""
    root = tmp_path_factory.mktemp("scene")
    network = Network(root / "network", shards=2, validators=1)
    network.up()
    try:
        endpoint = network.endpoint(0)
        facts = {
            "http": endpoint,
            "ws": endpoint.replace("http", "ws", 1),
            "chainId": network.info["chainId"],
            "contract": {"abi": ledger["abi"], "bytecode": ledger["bytecode"]},
            "users": [
                [
                    {"address": a["address"], "privateKey": a["privateKey"]}
                    for a in network.info["accounts"]
                    if a["home"] == shard
                ][:SCRIPTS]
                for shard in (0, 1)
            ],
        }
        assert all(len(users) == SCRIPTS for users in facts["users"])
        file = root / "scene.json"
        file.write_text(json.dumps(facts))
        yield Scene(network, file, facts)
        network.check()
    finally:
        network.down()
