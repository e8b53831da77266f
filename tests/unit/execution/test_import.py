"""What importing the package brings with it: every node process pays for it."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

HEAVY = ("eth.chains", "eth.db", "eth.precompiles.ecpairing", "py_ecc", "ckzg", "trie", "web3")


def test_heavy_modules_stay_out() -> None:
    script = (
        "import sys\n"
        "import node.execution.evm.evm, node.execution.evm.simulate, node.execution.state.state_store\n"
        "print(*sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert "eth.vm.computation" in loaded
    assert not [name for name in HEAVY if name in loaded]


def test_an_eth_that_was_imported_before_is_used() -> None:
    script = (
        "import eth, eth.vm.forks.prague.computation\n"
        "import node.execution.evm.evm\n"
        "from eth.vm.forks import PragueVM\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=True)
