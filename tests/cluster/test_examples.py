"""Every example runs as a user runs it, against real processes; each script checks what it claims."""

import subprocess
import sys
from pathlib import Path

import pytest

from node.testing import Network

EXAMPLES = Path(__file__).parents[2] / "examples"
SECONDS = 240


@pytest.mark.parametrize("example", ["token", "swap", "hotel_train", "game", "state_channel"])
def test_example(two_by_four: Network, example: str) -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLES / example / "run.py", "--dir", two_by_four.directory],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_example_is_tested() -> None:
    scripts = {path.parent.name for path in EXAMPLES.glob("*/run.py")}
    assert scripts == {"token", "swap", "hotel_train", "game", "state_channel"}


def test_without_a_network_an_example_says_what_to_do(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLES / "game" / "run.py", "--dir", tmp_path],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 1
    assert "start one with `atoll up`" in done.stderr
    assert "Traceback" not in done.stderr
