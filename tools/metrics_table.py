#!/usr/bin/env python3
"""Write the tables of metrics in docs/observability.md.

.venv/bin/python tools/metrics_table.py            write them
.venv/bin/python tools/metrics_table.py --check    exit 1 if they are not up to date
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from node.metrics.catalogue import GROUPS  # noqa: E402

PAGE = ROOT / "docs" / "observability.md"
BEGIN = "<!-- written by tools/metrics_table.py -->\n"
END = "<!-- end -->\n"


def tables() -> str:
    parts: list[str] = []
    for title, families in GROUPS.items():
        parts.append(f"\n### {title}\n\n| metric | kind | labels | what |\n|---|---|---|---|\n")
        for family in families:
            labels = ", ".join(f"`{label}`" for label in family.labels)
            parts.append(f"| `{family.name}` | {family.kind} | {labels} | {family.help} |\n")
    return "".join(parts) + "\n"


def page() -> str:
    text = PAGE.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + tables() + END + after


def main() -> int:
    if "--check" in sys.argv[1:]:
        if PAGE.read_text() == page():
            return 0
        print(
            f"{PAGE.relative_to(ROOT)} is not up to date: run tools/metrics_table.py",
            file=sys.stderr,
        )
        return 1
    PAGE.write_text(page())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
