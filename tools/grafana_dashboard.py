#!/usr/bin/env python3
"""Write docker/monitoring/atoll.json, the dashboard of the profile `monitoring`, from dashboard.txt beside it.

.venv/bin/python tools/grafana_dashboard.py            write it
.venv/bin/python tools/grafana_dashboard.py --check    exit 1 if it is not up to date
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "docker" / "monitoring" / "dashboard.txt"
FILE = SOURCE.with_name("atoll.json")
PROMETHEUS = {"type": "prometheus", "uid": "atoll-prometheus"}
COLUMNS = 24
HEIGHTS = {"row": 1, "stat": 4, "timeseries": 8}


@dataclass(slots=True)
class Panel:
    """`queries` with their legends. A row has none."""

    kind: str
    title: str
    width: int = COLUMNS
    unit: str = "none"
    queries: list[tuple[str, str]] = field(default_factory=list)

    def to_json(self, number: int, x: int, y: int) -> dict[str, Any]:
        place = {"h": HEIGHTS[self.kind], "w": self.width, "x": x, "y": y}
        own: dict[str, Any] = {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "gridPos": place,
        }
        if self.kind == "row":
            return own | {"collapsed": False, "panels": []}
        legend = {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True}}
        return own | {
            "datasource": PROMETHEUS,
            "fieldConfig": {"defaults": {"unit": self.unit, "min": 0}, "overrides": []},
            "options": legend if self.kind == "timeseries" else {},
            "targets": [
                {
                    "refId": chr(65 + i),
                    "datasource": PROMETHEUS,
                    "expr": query,
                    "legendFormat": shown,
                }
                for i, (query, shown) in enumerate(self.queries)
            ],
        }


def panels() -> Iterator[Panel]:
    """The panels that dashboard.txt describes."""
    found: list[Panel] = []
    for line in SOURCE.read_text().splitlines()[3:]:
        if line.startswith("== "):
            found.append(Panel(kind="row", title=line[3:]))
        elif line.startswith(" "):
            query, _, legend = line.strip().partition(" -> ")
            found[-1].queries.append((query, legend))
        elif line:
            kind, width, unit, title = line.split(maxsplit=3)
            found.append(Panel(kind=kind, title=title, width=int(width), unit=unit))
    yield from found


def dashboard() -> dict[str, Any]:
    placed: list[dict[str, Any]] = []
    x = y = tallest = 0
    for panel in panels():
        if x + panel.width > COLUMNS:
            x, y, tallest = 0, y + tallest, 0
        placed.append(panel.to_json(len(placed) + 1, x, y))
        x, tallest = x + panel.width, max(tallest, HEIGHTS[panel.kind])
    return {
        "uid": "atoll",
        "title": "Atoll",
        "schemaVersion": 39,
        "editable": False,
        "refresh": "5s",
        "time": {"from": "now-15m", "to": "now"},
        "timezone": "browser",
        "tags": ["atoll"],
        "panels": placed,
    }


def main() -> int:
    text = json.dumps(dashboard(), indent=1) + "\n"
    if "--check" in sys.argv[1:]:
        if FILE.exists() and FILE.read_text() == text:
            return 0
        name = FILE.relative_to(ROOT)
        print(f"{name} is not up to date: run tools/grafana_dashboard.py", file=sys.stderr)
        return 1
    FILE.write_text(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
