"""No block a user can send may take much more CPU time than one that is full of plain computation.

The limit is `benchmarks.gas_costs.LIMIT` times; what each opcode and precompile takes:
`.venv/bin/python -m benchmarks.gas_costs`. About a minute.
"""

import pytest

from benchmarks.gas_costs import LIMIT, above_limit
from benchmarks.gas_programs import missing_opcodes
from node.execution.guard import run_with_stack


def test_every_opcode_fills_a_block() -> None:
    assert not missing_opcodes()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_block_stalls_the_chain() -> None:
    dear = run_with_stack(above_limit)
    assert not dear, f"above {LIMIT} times plain computation:\n" + "\n".join(
        f"{cost.ratio:7.1f} x, {cost.ms:8.1f} ms/Mgas: {cost.name}" for cost in dear
    )
