"""py-evm, as far as it is used: its opcode functions, its frame class and its exceptions.

Importing `eth` runs package initialisers that pull in every fork, its chains, header chains and two
pure-Python pairing libraries: 0.5 s and 37 MB in each node process, for nothing. The packages named
here are therefore entered without running their `__init__`; the modules below them are py-evm's own,
unchanged. py-evm is archived and pinned, so what its initialisers do is known. Where `eth` was
imported already, that import is used.

This module is the only one that imports `eth` at start; precompiles import what is rare when needed.
"""

import sys
from importlib.machinery import PathFinder
from types import ModuleType

_FORKS = (
    "frontier homestead tangerine_whistle spurious_dragon byzantium constantinople petersburg "
    "istanbul muir_glacier berlin london arrow_glacier gray_glacier paris shanghai cancun prague"
)


def _enter(name: str, path: list[str] | None = None) -> list[str]:
    """Make a package importable without running its initialiser; its search path."""
    spec = PathFinder.find_spec(name, path)
    if spec is None or spec.submodule_search_locations is None:
        raise ImportError(f"{name} is not installed: py-evm==0.12.1b1 is needed")
    package = ModuleType(
        name, "Entered by node.execution.frame.pyevm without running its initialiser."
    )
    package.__spec__ = spec
    package.__path__ = list(spec.submodule_search_locations)
    sys.modules[name] = package
    return package.__path__


if "eth" not in sys.modules:
    _root = _enter("eth")
    _enter("eth.precompiles", _root)
    _enter("eth.tools", _root)
    _vm = _enter("eth.vm", _root)
    _forks = _enter("eth.vm.forks", _vm)
    for _fork in _FORKS.split():
        _enter(f"eth.vm.forks.{_fork}", _forks)

# mypy: implicit-reexport
# ruff: noqa: E402, F401 - these imports need the packages above, and are for the other modules
from eth.exceptions import FullStack as StackOverflow
from eth.exceptions import (
    Halt,
    InsufficientFunds,
    InvalidInstruction,
    InvalidJumpDestination,
    OutOfBoundsRead,
    OutOfGas,
    ReservedBytesInCode,
    Revert,
    StackDepthLimit,
    VMError,
    WriteProtection,
)
from eth.exceptions import InsufficientStack as StackUnderflow
from eth.vm.computation import BaseComputation
from eth.vm.forks.prague.opcodes import PRAGUE_OPCODES
from eth.vm.memory import Memory
from eth.vm.stack import Stack
