"""Completion in a real bash."""

import subprocess
import sys
from pathlib import Path

import pytest

from node.cli import app
from node.commands.completion import commands_with_nodes

pytestmark = pytest.mark.slow

COMPLETE = """
source "$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
$(complete -p atoll | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "atoll.bash"
    said = subprocess.run(
        [sys.executable, "-P", "-m", "node", "completion", "bash"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    path.write_text(said.stdout)
    return path


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for place in (".atoll", "other"):
        for name in ("s0v0", "s0v1", "s1v0"):
            node = tmp_path / place / "nodes" / (name if place == ".atoll" else f"{name}-{place}")
            node.mkdir(parents=True)
            (node / "node.toml").write_text("")
    return tmp_path


def completed(script: Path, directory: Path, *words: str) -> list[str]:
    said = subprocess.run(
        ["/bin/bash", "-c", COMPLETE, "bash", str(script), "atoll", *words],
        capture_output=True, text=True, check=True, cwd=directory,
    )  # fmt: skip
    assert said.stderr == ""
    return said.stdout.split()


def test_commands_and_options(script: Path, directory: Path) -> None:
    assert completed(script, directory, "lo") == ["logs", "load"]
    assert "--follow" in completed(script, directory, "logs", "--f")
    assert completed(script, directory, "config", "") == ["check"]


def test_names_of_nodes(script: Path, directory: Path) -> None:
    assert completed(script, directory, "logs", "") == ["s0v0", "s0v1", "s1v0"]
    assert completed(script, directory, "logs", "-f", "s0") == ["s0v0", "s0v1"]
    assert completed(script, directory, "logs", "s0v0", "s1") == ["s1v0"]
    assert completed(script, directory, "logs", "--dir", "other", "s1") == ["s1v0-other"]
    assert completed(script, directory, "logs", "--dir", "absent", "") == []
    assert completed(script, directory, "logs", "-n", "") == []
    assert completed(script, directory, "status", "s0") == []


def test_every_command_that_takes_a_node(script: Path, directory: Path) -> None:
    commands = list(commands_with_nodes(app))
    assert ("logs",) in commands
    for name in commands:
        assert completed(script, directory, *name, "s1") == ["s1v0"], name
