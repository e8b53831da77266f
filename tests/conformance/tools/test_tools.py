"""The tools that people develop with, on a network of two shards and on anvil: what passes, is refused, fails.
docs/compat.md says what of it is expected, and why.
"""

import json
import os
import re
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from node.cluster.accounts import derive_accounts
from node.testing import Network
from tests.cluster.support.client import ask, wait_for
from tests.conformance import npm
from tests.conformance.tools.outcomes import Outcomes
from tools import build_predeploys

pytestmark = pytest.mark.cluster
HERE = Path(__file__).parent
SECONDS = 240


@dataclass(frozen=True, slots=True)
class Node:
    """A node to develop against, by the name of the program."""

    name: str
    rpc: str


@pytest.fixture(scope="module")
def toolbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tools, as `package-lock.json` names them, with compiled contracts."""
    directory = npm.install(
        HERE, tmp_path_factory.mktemp("tools"), "Hardhat, viem, web3.js and forge"
    )
    npm.run(directory, "hardhat", "compile", cwd="hardhat", env={"ATOLL_RPC": "http://127.0.0.1:1"})
    return directory


@pytest.fixture(scope="module", params=["atoll", "anvil"])
def node(
    request: pytest.FixtureRequest, toolbox: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Node]:
    """2 shards x 1 validator; then anvil."""
    if request.param == "atoll":
        directory = tmp_path_factory.mktemp("network") / "network"
        compat = {"rpc": {"compat": "hardhat"}}
        with Network.start(directory=directory, shards=2, validators=1, manifest=compat) as network:
            yield Node("atoll", network.rpc)
            network.invariants.check()
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = str(toolbox / "node_modules" / ".bin" / "anvil")
    with subprocess.Popen([program, "--port", str(port), "--silent"]) as anvil:
        try:
            node = Node("anvil", f"http://127.0.0.1:{port}")
            wait_for(lambda: _answers(node.rpc), "anvil to answer")
            yield node
        finally:
            anvil.terminate()


def _answers(rpc: str) -> bool:
    try:
        return "result" in ask(rpc, "eth_chainId", [])
    except OSError:  # nothing listens yet
        return False


def start(toolbox: Path, node: Node, cwd: str, *command: str, **more: str) -> str:
    """What a tool printed, whatever its exit code."""
    program = toolbox / "node_modules" / ".bin" / command[0]
    done = subprocess.run(
        [str(program) if program.exists() else command[0], *command[1:]],
        cwd=toolbox / cwd,
        env={
            **os.environ,
            "NO_COLOR": "1",
            "ATOLL_RPC": node.rpc,
            "ATOLL_MODE": "hardhat" if node.name == "atoll" else "anvil",
            "HARDHAT_DISABLE_TELEMETRY_PROMPT": "true",
            "FOUNDRY_DISABLE_NIGHTLY_WARNING": "1",
            **more,
        },
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return done.stdout + done.stderr


def test_multicall3_is_what_its_source_says(toolbox: Path) -> None:
    known = json.loads(build_predeploys.TARGET.read_text())["multicall3"]
    assert build_predeploys.compiled(toolbox / "node_modules" / "solc") == known


@pytest.mark.parametrize("suite", ["helpers", "contracts"])
def test_hardhat_2(toolbox: Path, node: Node, outcomes: Outcomes, suite: str) -> None:
    said = start(
        toolbox, node, "hardhat", "hardhat", "test", "--no-compile", f"test/{suite}.test.js"
    )
    begin = said.index('{\n  "stats"')
    report, _ = json.JSONDecoder().raw_decode(said[begin:])
    for case in report["tests"]:
        outcomes.note(node.name, f"hardhat 2, {suite}", case["title"], case["err"].get("message"))
    outcomes.check(node.name, f"hardhat 2, {suite}", least={"helpers": 19, "contracts": 8}[suite])


@pytest.mark.parametrize(("script", "least"), [("web3js", 6), ("viem", 25)])
def test_a_script(toolbox: Path, node: Node, outcomes: Outcomes, script: str, least: int) -> None:
    said = start(toolbox, node, "scripts", "node", f"{script}.mjs")
    for line in said.splitlines():
        if line.startswith('{"name"'):
            case = json.loads(line)
            outcomes.note(node.name, script, case["name"], case["error"])
    outcomes.check(node.name, script, least=least)


def test_forge(toolbox: Path, node: Node, outcomes: Outcomes) -> None:
    """`new` with a salt in a script, by accounts of both shards, and tests over the node's state."""
    accounts = derive_accounts(2)
    deployers = [next(a for a in accounts if a.home == shard) for shard in (0, 1)]
    made = []
    for salt, deployer in enumerate(deployers):
        said = start(
            toolbox, node, "foundry",
            "forge", "script", "script/Salt.s.sol:Salt", "--broadcast", "--slow",
            "--use", "./solc.sh", "--rpc-url", node.rpc, "--non-interactive",
            DEPLOYER_KEY=deployer.private_key, SALT=str(salt),
        )  # fmt: skip
        found = re.search(r"0: address (0x[0-9a-fA-F]{40})", said)
        works = found is not None and "ONCHAIN EXECUTION COMPLETE & SUCCESSFUL" in said
        outcomes.note(
            node.name, "forge", f"script with a salt, shard {salt}", None if works else said[-600:]
        )
        made.append(found[1] if found else "0x" + "00" * 20)
    said = start(
        toolbox, node, "foundry",
        "forge", "test", "--fork-url", node.rpc, "--use", "./solc.sh",
        FIRST=made[0], SECOND=made[1],
    )  # fmt: skip
    for name in ("testTheFactoryIsThere", "testAContractOfEveryShardIsThere"):
        outcomes.note(node.name, "forge", name, None if f"[PASS] {name}" in said else said[-600:])
    outcomes.check(node.name, "forge", least=4)
