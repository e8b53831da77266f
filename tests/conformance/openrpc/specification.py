"""The OpenRPC documents of ethereum/execution-apis, as they are in its repository: YAML with references."""

import tarfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator


@dataclass(frozen=True, slots=True)
class Specification:
    """`methods` by name, as written; `schemas` is what `#/components/schemas/` refers to."""

    methods: dict[str, dict[str, Any]]
    schemas: dict[str, Any]

    def problems(self, method: str, result: Any) -> list[str]:
        """What is wrong with an answer, one line each: where, and why.

        Three things are beyond what the schemas can say. An empty list matches both kinds of
        `FilterResults`, which is a `oneOf`. Messages between shards are listed as transactions of type
        0x7d, which no schema knows: they are left out, as those of OP-stack chains would have to be. And
        a pending block has no hash and no nonce, as in go-ethereum and as clients expect it.
        """
        if result == [] and method in _LISTS:
            return []
        return [
            f"{error.json_path}: {error.message[:300]}"
            for error in self.validator(method).iter_errors(_as_ethereums(result))
        ]

    def validator(self, method: str) -> Draft202012Validator:
        found = _validators.get(method)
        if found is None:
            schema = self.methods[method]["result"]["schema"]
            document = {"components": {"schemas": self.schemas}, "allOf": [schema]}
            found = _validators[method] = Draft202012Validator(document)
        return found


_LISTS = ("eth_getLogs", "eth_getFilterChanges", "eth_getFilterLogs")
SYSTEM_TYPES = ("0x7d", "0x7e")
_validators: dict[str, Draft202012Validator] = {}


def _as_ethereums(result: Any) -> Any:
    if isinstance(result, list):
        return [item for item in result if not _is_message(item)]
    if _is_message(result):
        return None
    if isinstance(result, dict) and isinstance(result.get("transactions"), list):
        shown = {**result, "transactions": _as_ethereums(result["transactions"])}
        if shown["hash"] is None and shown["nonce"] is None:
            shown |= {"hash": "0x" + "00" * 32, "nonce": "0x" + "00" * 8}
        return shown
    return result


def _is_message(item: Any) -> bool:
    return isinstance(item, dict) and item.get("type") in SYSTEM_TYPES


@cache
def load(archive: Path) -> Specification:
    """Read the archive of the repository's `src`."""
    methods: dict[str, dict[str, Any]] = {}
    schemas: dict[str, Any] = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            if not member.name.endswith(".yaml"):
                continue
            file = tar.extractfile(member)
            assert file is not None
            content = yaml.safe_load(file)
            if "/schemas/" in member.name:
                schemas.update(content)
            else:
                methods.update({entry["name"]: entry for entry in content})
    return Specification(methods, schemas)
