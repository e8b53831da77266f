"""All blocks of `gas_costs.py`."""

from benchmarks.gas_blocks import BlockFiller
from benchmarks.gas_border import border_fillers
from benchmarks.gas_calls import call_fillers, creation_fillers, transaction_fillers
from benchmarks.gas_code import code_fillers
from benchmarks.gas_opcodes import simple_fillers
from benchmarks.gas_precompiles import precompile_fillers
from tests.conformance.differential.assembly import OPCODES, disassemble


def fillers() -> list[BlockFiller]:
    """Every opcode and precompile, with variants where the input matters."""
    made = [
        *simple_fillers(),
        *call_fillers(),
        *border_fillers(),
        *creation_fillers(),
        *code_fillers(),
        *precompile_fillers(),
        *transaction_fillers(),
    ]
    names = [filler.name for filler in made]
    assert len(set(names)) == len(names)
    return made


def missing_opcodes() -> set[str]:
    """Opcodes that no filler's code has: none, or this list is behind the EVM."""
    codes = {c for f in fillers() for c in (f.code, *(code for _, code in f.accounts.values()))}
    missing = set(OPCODES)
    for code in sorted(codes, key=len):
        if not missing:
            break
        missing -= {line.split()[1] for line in disassemble(code)}
    return missing
