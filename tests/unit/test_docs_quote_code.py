"""Code that a page quotes is that of the source, and files that the glossary names are there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
QUOTED = re.compile(r"```python\n# (\S+\.py)\n(.*?)```", re.S)
NAMED = re.compile(r"`((?:node|consensus|p2p|rpc)/[\w/]+(?:\.py)?)`")
LEFT_OUT = re.compile(r"^ *…\n", re.M)


def test_what_is_quoted_stands_in_the_source_in_this_order() -> None:
    quotes = [
        (page.name, *quote)
        for page in (ROOT / "docs").rglob("*.md")
        for quote in QUOTED.findall(page.read_text("utf-8"))
    ]
    assert len(quotes) > 10
    for page, file, text in quotes:
        source, at = (ROOT / file).read_text("utf-8"), 0
        for part in LEFT_OUT.split(text):
            found = source.find(part, at)
            assert found >= 0, f"docs/{page} quotes {file}, which does not have (here):\n{part}"
            at = found + len(part)


def test_files_that_pages_name_are_there() -> None:
    pages = [ROOT / "docs" / name for name in ("glossary.md", "one-message.md", "security.md")]
    named = {(page.name, file) for page in pages for file in NAMED.findall(page.read_text("utf-8"))}
    assert len(named) > 15
    assert [row for row in sorted(named) if not (ROOT / row[1]).exists()] == []
