"""docs/quickstart.md, as somebody types it: every block is run, and says what the page says it says; and the
transfer of the README."""

import json
import os
import re
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import vyper
from web3 import Web3

from node.testing.shared import SharedNetworks
from tests.cluster.support.client import wait_for
from tests.cluster.support.network import ROOT, atoll

PAGE = ROOT / "docs" / "quickstart.md"
BLOCK = re.compile(r"^```(\w+)( setup)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECONDS = 180.0
END = "--- block"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Commands, and what the page shows of what they say."""

    commands: str
    shown: str = ""


def steps() -> list[Step]:
    """Those of the page, without the one that installs."""
    found: list[Step] = []
    for kind, setup, text in BLOCK.findall(PAGE.read_text()):
        if setup:
            continue
        if kind == "sh":
            found.append(Step(commands=text))
        else:
            assert kind == "text"
            found[-1] = Step(commands=found[-1].commands, shown=text)
    return found


def pattern(line: str) -> str:
    """What a line of the page matches: an ellipsis stands for anything, a space for any number of them."""
    parts = [r"\s+".join(map(re.escape, part.split())) for part in line.split("…")]
    return r"\s*.*\s*".join(parts)


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Path]:
    """A directory with what the page uses of a clone."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    yield tmp_path
    atoll("down", "--dir", tmp_path / ".atoll")


@pytest.fixture
def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_every_command_of_the_page(clone: Path, free_port: int) -> None:
    script = "set -eu\n" + "".join(f"{step.commands}echo '{END}'\n" for step in steps())
    # Only the port differs from what is on the page: 8545 may be in use here.
    script = script.replace("8545", str(free_port)).replace("up", f"up --rpc-port {free_port}", 1)
    script = script.replace("atoll down\n", "touch looked; read -r _; atoll down\n")
    assert f"atoll up --rpc-port {free_port} --detach" in script
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    with subprocess.Popen(
        ["/bin/bash", "-c", script], cwd=clone, env=environment, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as shell:  # fmt: skip
        wait_for(
            lambda: (clone / "looked").exists() or shell.poll() is not None, "the page", SECONDS
        )
        page = dashboard(free_port) if shell.poll() is None else ""
        said, _ = shell.communicate("\n", timeout=SECONDS)
    assert shell.returncode == 0, said
    outputs = said.replace(str(free_port), "8545").split(f"{END}\n")
    for step, output in zip(steps(), outputs, strict=False):
        for line in step.shown.splitlines():
            assert re.search(pattern(line), output), (line, output)
    assert "Atoll" in page


def dashboard(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/dashboard", timeout=30) as answer:
        return str(answer.read().decode())


def test_the_artifact_is_that_of_the_source() -> None:
    source = ROOT / "examples" / "quickstart" / "Counter.vy"
    compiled = vyper.compile_code(source.read_text(), output_formats=["abi", "bytecode"])
    stored = json.loads(source.with_suffix(".json").read_text())
    assert stored == {"abi": compiled["abi"], "bytecode": compiled["bytecode"]}


def test_the_transfer_of_the_readme(networks: SharedNetworks) -> None:
    network = networks.shared(shards=2, validators=1)
    (code,) = (
        text
        for kind, _, text in BLOCK.findall((ROOT / "README.md").read_text())
        if kind == "python"
    )
    before = network.web3().eth.get_balance(network.web3().eth.accounts[1])
    done = subprocess.run(
        [sys.executable, "-c", code.replace("http://127.0.0.1:8545", network.rpc)],
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr
    alice, bob = network.web3().eth.accounts[:2]
    assert [network.home(account) for account in (alice, bob)] == [1, 0]
    assert done.stdout == f"1 {Web3.from_wei(before + 10**18, 'ether')}\n"
