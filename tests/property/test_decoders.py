"""Decoders of foreign bytes: all are known here, take what is sound, and raise their declared error only."""

import ast
from pathlib import Path

import pytest

from node.primitives import decoding
from node.primitives.errors import DecodeError
from tests.property.decoders.registry import ENTRIES, Entry
from tests.property.decoders.run import feed

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
INPUTS = 30_000

ELSEWHERE = {
    "node.beacon.schema.decode_height": "a whole number of any bytes",
    "rpc.": "parameters of users: tests/unit/rpc/test_fuzz.py",
}
"""Functions with the name of a decoder that are none, or tested in another place."""


def decoders_of_the_code() -> set[str]:
    """Those called `decode...` or `unpack...`, and those marked with `@decoder`: module and qualified name."""
    found = set()
    for package in ("consensus", "p2p", "rpc", "node"):
        for file in (ROOT / package).rglob("*.py"):
            module = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(
                ".__init__"
            )
            found |= {f"{module}.{name}" for name in _decoders(ast.parse(file.read_text()).body)}
    return found


def _decoders(body: list[ast.stmt], prefix: str = "") -> set[str]:
    found = set()
    for node in body:
        if isinstance(node, ast.ClassDef):
            found |= _decoders(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, ast.FunctionDef):
            marked = any(
                isinstance(mark, ast.Call) and getattr(mark.func, "id", "") == "decoder"
                for mark in node.decorator_list
            )
            if marked or node.name.startswith(("decode", "unpack")):
                found.add(prefix + node.name)
    return found


def test_every_decoder_is_fed() -> None:
    fed = {entry.path for entry in ENTRIES}
    missing = {
        name
        for name in decoders_of_the_code() - fed - {"node.primitives.decoding.decoder"}
        if not name.startswith(tuple(ELSEWHERE))
    }
    assert not missing, f"add them to tests/property/decoders/registry.py: {sorted(missing)}"


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_sound_input_is_taken(entry: Entry) -> None:
    taken = 0
    for data in entry.seeds:
        try:
            value = entry.decode(data)
        except entry.declared:
            continue
        taken += 1
        assert entry.again is None or entry.again(value) == data
    assert taken


def test_broken_input_raises_declared_errors_only() -> None:
    report = feed(INPUTS, seed=1)
    assert report.inputs.total() == INPUTS
    assert not report.faults, "\n".join(report.lines())


def test_a_decoder_that_is_not_held_to_its_error_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "BAD_INPUT", (DecodeError,))
    found = {decoder for decoder, _ in feed(INPUTS // 3, seed=1).faults}
    assert any("decode_answer" in decoder for decoder in found)
    assert len(found) > 10
