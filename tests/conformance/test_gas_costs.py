"""No block a user can send may take much more CPU time than one that is full of plain computation.

The limit is `benchmarks.gas_costs.LIMIT` times; what each opcode and precompile takes:
`.venv/bin/python -m benchmarks.gas_costs`. About a minute.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.gas_costs import LIMIT
from benchmarks.gas_programs import missing_opcodes

ROOT = Path(__file__).parents[2]


def test_every_opcode_fills_a_block() -> None:
    assert not missing_opcodes()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_block_stalls_the_chain() -> None:
    """In a process of its own, as a node is: beside all that a test session keeps, what allocates much
    (decoding code) was seen to take twice as long, for the garbage collector's sake."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gas_costs", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    found = done.stdout + done.stderr
    assert done.returncode == 0, f"above {LIMIT} times plain computation:\n{found}"
