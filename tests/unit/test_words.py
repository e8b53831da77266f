"""Words of the source and the docs: docstrings begin well, actors have names, a class name has one meaning."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRODUCT = ("node", "consensus", "p2p", "rpc")
ROOMS = (*PRODUCT, "benchmarks", "tools")
"""Folders whose docstrings keep the rules of "Text" in CONTRIBUTING.md."""

QUESTIONS = frozenset({"What", "Who", "Whether", "Where", "How"})
NAMELESS = re.compile(r"\b(nobody|somebody|anybody|everybody|whoever|whomever)\b", re.IGNORECASE)
"""Actors without a name (rule 4 of "Text")."""
TWICE = frozenset(
    {
        "Node",  # a node from inside, and what programs see of one (`atoll.testing`)
        "PeerFault",  # one each in node, consensus and p2p: none of them knows another's errors
    }
)
"""Class names that mean more than one thing. The list shrinks."""


@pytest.mark.parametrize("room", ROOMS)
def test_docstrings_begin_with_a_noun_phrase_or_an_imperative(room: str) -> None:
    paths = sorted((ROOT / room).rglob("*.py"))
    assert paths
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text.splitlines()[0]}"
        for path in paths
        for line, text in docstrings(path.read_text("utf-8"))
        if first_word(text) in QUESTIONS
    ]
    assert not found, "begin with a noun phrase or an imperative:\n" + "\n".join(found)


@pytest.mark.parametrize("room", ROOMS)
def test_actors_have_names(room: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text.splitlines()[0]}"
        for path in sorted((ROOT / room).rglob("*.py"))
        for line, text in docstrings(path.read_text("utf-8"))
        if NAMELESS.search(text)
    ]
    assert not found, "name the actor: the peer, the proposer, the caller:\n" + "\n".join(found)


def test_actors_have_names_in_the_docs() -> None:
    pages = (path for path in (ROOT / "docs").rglob("*.md") if path.parent.name != "adr")
    paths = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(pages)]
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in paths
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if NAMELESS.search(line)
    ]
    assert not found, "name the actor: the peer, the proposer, the caller:\n" + "\n".join(found)


def test_a_class_name_means_one_thing() -> None:
    found: dict[str, list[str]] = {}
    for package in PRODUCT:
        for path in sorted((ROOT / package).rglob("*.py")):
            for line, name in classes(path.read_text("utf-8")):
                found.setdefault(name, []).append(f"{path.relative_to(ROOT)}:{line}")
    twice = {name: places for name, places in found.items() if len(places) > 1}
    new = [f"{name}: {', '.join(twice[name])}" for name in sorted(twice.keys() - TWICE)]
    assert not new, "these names are taken; choose a more precise noun:\n" + "\n".join(new)
    assert not TWICE - twice.keys(), "take out of TWICE the names that are unique now"


def test_docstrings_of_every_kind_are_read() -> None:
    source = (
        '"""How a module works."""\n'
        "LIMIT = 1\n"
        '"""What is below an assignment."""\n'
        "class C:\n"
        '    """Who it is."""\n'
        "    async def f(self):\n"
        '        """Whether it is."""\n'
        "        self.n = 0\n"
        '        "Where it is."\n'
        '        print("What is printed.")\n'
        '    """Whatever."""\n'
    )
    assert {(line, first_word(text)) for line, text in docstrings(source)} == {
        (1, "How"),
        (3, "What"),
        (5, "Who"),
        (7, "Whether"),
        (9, "Where"),
        (11, "Whatever"),
    }


def docstrings(source: str) -> list[tuple[int, str]]:
    """(line, text) of every string that stands alone: of modules, classes, functions and assignments."""
    return read(source)[0]


def classes(source: str) -> list[tuple[int, str]]:
    """(line, name) of every class."""
    return read(source)[1]


@cache
def read(source: str) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """The docstrings and the classes of a source, which is parsed once for all tests of a worker."""
    texts, names = list[tuple[int, str]](), list[tuple[int, str]]()
    for node in statements(ast.parse(source)):
        match node:
            case ast.Expr(value=ast.Constant(value=str(text))):
                texts.append((node.lineno, text))
            case ast.ClassDef(name=name):
                names.append((node.lineno, name))
    return texts, names


def statements(tree: ast.AST) -> Iterator[ast.AST]:
    """The statements of a module at every depth, without the expressions in them: a fifth of its nodes."""
    for field in ("body", "orelse", "finalbody", "handlers", "cases"):
        for node in getattr(tree, field, ()):
            yield node
            yield from statements(node)


def first_word(text: str) -> str:
    """The first word of a text, "" if there is none."""
    found = re.match(r"\W*(\w+)", text)
    return found[1] if found else ""
