"""For all tests: the keccak backend is chosen before anything else can choose one.

A node chooses it in `node.primitives.basics`, and refuses to run with another. In a test run web3.py may
be imported first, and the first who hashes decides for the process.
"""

import os
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("ETH_HASH_BACKEND", "pysha3")


@pytest.fixture(scope="session")
def ledger() -> dict[str, Any]:
    """The compiled test contract: ABI and bytecode."""
    import vyper

    source = (Path(__file__).parent / "cluster" / "contracts" / "Ledger.vy").read_text()
    compiled: dict[str, Any] = vyper.compile_code(source, output_formats=["abi", "bytecode"])
    return compiled
