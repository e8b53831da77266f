"""Compile contracts/Messenger.vy into the package: `.venv/bin/python tools/build_contracts.py`.

The compiler is a development dependency; nodes use what is checked in. A test compiles it again and compares.
"""

import json
from pathlib import Path
from typing import Any

import vyper

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "contracts" / "Messenger.vy"
TARGET = ROOT / "node" / "primitives" / "messenger.json"


def compiled(source: Path = SOURCE) -> dict[str, Any]:
    """The ABI, and the code without the five words of its immutables, which stand behind it."""
    output = vyper.compile_code(source.read_text(), output_formats=["abi", "bytecode_runtime"])
    return {"abi": output["abi"], "runtime": output["bytecode_runtime"]}


def text(contract: dict[str, Any]) -> str:
    return json.dumps(contract, indent=1) + "\n"


if __name__ == "__main__":
    TARGET.write_text(text(compiled()))
    print(f"{TARGET.relative_to(ROOT)} written")
