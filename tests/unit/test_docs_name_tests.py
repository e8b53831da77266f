"""The pages name tests that there are."""

import re
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"`((?:\w+/)*test_\w+\.py)::(test_\w+)`")
DEFINED = re.compile(r"^ *(?:async )?def (test_\w+)\(", re.M)


def test_every_test_that_a_page_names_is_there() -> None:
    there: dict[str, set[str]] = defaultdict(set)
    for path in (ROOT / "tests").rglob("test_*.py"):
        parts = path.relative_to(ROOT).parts
        for short in range(len(parts)):  # a page may leave folders out
            there["/".join(parts[short:])].update(DEFINED.findall(path.read_text("utf-8")))
    named = {
        (page.name, *name)
        for page in (ROOT / "docs").rglob("*.md")
        for name in NAMED.findall(page.read_text("utf-8"))
    }
    assert len(named) > 30
    assert [row for row in sorted(named) if row[2] not in there[row[1]]] == []
