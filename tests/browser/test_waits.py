"""No test reads the page and asserts at once: it follows the network when it comes to it."""

import ast
from pathlib import Path

import pytest

READERS = {"text", "texts", "count", "run", "focused", "url", "figure", "number"}
"""Of a browser and a page. In a lambda they are for something that waits, or says that it does not."""


def at_once(source: str) -> list[int]:
    """The lines of assertions on what a page shows just now."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assert):
            waiting = {
                id(n)
                for part in ast.walk(node)
                if isinstance(part, ast.Lambda)
                for n in ast.walk(part)
            }
            found += [
                node.lineno
                for part in ast.walk(node.test)
                if isinstance(part, ast.Attribute)
                and part.attr in READERS
                and ast.unparse(part.value) in ("browser", "page", "page.browser")
                and id(part) not in waiting
            ]
    return found


@pytest.mark.parametrize(
    "file", sorted(Path(__file__).parent.glob("test_*.py")), ids=lambda f: f.stem
)
def test_what_a_page_shows_has_a_deadline(file: Path) -> None:
    assert at_once(file.read_text()) == [], "use is_soon, has, says, gives, ... or is_still"


def test_what_is_looked_for_is_found() -> None:
    assert at_once(
        "assert browser.count('a') == 1\nassert 'x' in page.browser.url\nassert f(lambda: browser.text())"
    ) == [1, 2]
