"""The list of deliberate mistakes is true: each can be made in the tree as it is, and has a suite."""

import ast
from collections import Counter

import pytest

from tests.mutants.catalogue import IN_PROCESS, MISTAKES
from tests.mutants.mistake import ROOT, DoesNotApply, Mistake


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_a_mistake_can_be_made(mistake: Mistake) -> None:
    source = (ROOT / mistake.file).read_text()
    mistaken = mistake.mistaken(source)
    ast.parse(mistaken)
    assert mistaken != source
    for argument in mistake.suite:
        assert (ROOT / argument.split("::")[0]).is_file(), argument


def test_all_parts_have_some() -> None:
    names = [mistake.name for mistake in (*MISTAKES, *IN_PROCESS)]
    assert len(names) == len(set(names))
    assert len(MISTAKES) >= 60
    areas = Counter(mistake.area for mistake in MISTAKES)
    for area, least in {
        "consensus": 15, "engine": 12, "storage": 6, "shard": 12, "beacon": 8, "light": 4, "execution": 8,
        "p2p": 1, "rpc": 1,
    }.items():  # fmt: skip
        assert areas[area] >= least, areas


def test_what_is_not_there_once_is_refused() -> None:
    mistake = Mistake(name="x", file="README.md", old="a", new="b", suite=())
    for source in ("", "aa"):
        with pytest.raises(DoesNotApply, match="places"):
            mistake.mistaken(source)
    assert mistake.mistaken("cad") == "cbd"
