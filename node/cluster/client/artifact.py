"""A compiled contract in a file, as compilers and frameworks write it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from node.cluster.client.units import parse_data
from node.primitives.decoding import decoding
from node.primitives.errors import UserError
from node.primitives.files import read_file

MAX_BYTES = 32 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """The code that creates a contract, and the types of its constructor's arguments (None: unknown)."""

    bytecode: bytes
    constructor: tuple[str, ...] | None


def load_artifact(path: Path) -> Artifact:
    """Read a contract: the JSON of Foundry, Hardhat or solc with `bytecode` and `abi`, a Vyper source (if
    vyper is installed), or creation code in hex. Raises UserError."""
    content = read_file(path, what="a contract", limit=MAX_BYTES)
    with decoding(f"{path}: not a text; creation code is expected in hex", UserError):
        text = content.decode()
    if path.suffix == ".vy":
        return _compile(path, text)
    if path.suffix == ".sol":
        raise UserError(f"{path}: compile it first, with forge or solc, and give the JSON file")
    if path.suffix == ".json" or text.lstrip().startswith("{"):
        return _from_json(path, text)
    return Artifact(bytecode=_code(path, text.strip()), constructor=None)


def _compile(path: Path, source: str) -> Artifact:
    try:
        import vyper
        from vyper.exceptions import VyperException
    except ImportError:
        raise UserError(
            f"{path}: vyper is not installed here; install it, or compile it elsewhere "
            "(vyper -f combined_json) and give the JSON file"
        ) from None
    try:
        found = vyper.compile_code(source, output_formats=["bytecode", "abi"])
    except VyperException as error:
        raise UserError(f"{path}: {str(error).strip()}".replace("\n", " ")) from None
    return Artifact(bytecode=_code(path, found["bytecode"]), constructor=_constructor(found["abi"]))


def _from_json(path: Path, text: str) -> Artifact:
    with decoding(f"{path}: not JSON", UserError):
        document: Any = msgspec.json.decode(text)
    code = document.get("bytecode") if isinstance(document, dict) else None
    if isinstance(code, dict):  # Foundry
        code = code.get("object")
    if not isinstance(code, str):
        raise UserError(
            f"{path}: there is no 'bytecode'; the artifact of one contract is expected, as Foundry and "
            "Hardhat write it"
        )
    with decoding(f"{path}: the 'abi' is none", UserError):
        constructor = _constructor(document.get("abi"))
    return Artifact(bytecode=_code(path, code), constructor=constructor)


def _code(path: Path, text: str) -> bytes:
    try:
        code = parse_data(text if text.startswith("0x") else "0x" + text)
    except UserError:
        raise UserError(
            f"{path}: the bytecode is not hex; if it has placeholders such as __$...$__, link the "
            "libraries first"
        ) from None
    if not code:
        raise UserError(f"{path}: the bytecode is empty: an interface or an abstract contract")
    return code


def _constructor(abi: Any) -> tuple[str, ...] | None:
    if not isinstance(abi, list):
        return None
    for entry in abi:
        if isinstance(entry, dict) and entry.get("type") == "constructor":
            return tuple(_type(item) for item in entry.get("inputs", []))
    return ()


def _type(item: dict[str, Any]) -> str:
    kind = str(item["type"])
    if not kind.startswith("tuple"):
        return kind
    members = ",".join(_type(member) for member in item.get("components", []))
    return f"({members}){kind.removeprefix('tuple')}"
