"""What the pages link to is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
)
CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!\w+:)([^)\s#]*)(?:#([^)\s]+))?\)")
HEADING = re.compile(r"^#+ +(.+?)$", re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The names that GitHub gives the headings of a page."""
    text = CODE.sub("", page.read_text("utf-8"))
    plain = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading) for heading in HEADING.findall(text))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}


def test_every_link_of_a_page_leads_somewhere() -> None:
    broken, count = [], 0
    for page in PAGES:
        for path, anchor in LINK.findall(CODE.sub("", page.read_text("utf-8"))):
            count += 1
            target = (page.parent / path).resolve() if path else page
            if not target.exists() or (anchor and anchor not in anchors(target)):
                broken.append(f"{page.relative_to(ROOT)}: {path}#{anchor}")
    assert count > 100
    assert broken == []


def test_every_page_can_be_found_from_the_readme() -> None:
    linked = {path for path, _ in LINK.findall((ROOT / "README.md").read_text("utf-8"))}
    pages = {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")}
    assert pages - linked == set()
