"""docs/observability.md lists the metrics that there are; the dashboard and the alerts ask for no others."""

import json
import re
import subprocess
import sys
from pathlib import Path

import yaml

from node.metrics.catalogue import FAMILIES

ROOT = Path(__file__).parents[3]
MONITORING = ROOT / "docker" / "monitoring"


def test_the_tables_are_up_to_date():
    result = subprocess.run(
        [sys.executable, "tools/metrics_table.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr


def test_the_dashboard_is_what_its_table_describes():
    result = subprocess.run(
        [sys.executable, "tools/grafana_dashboard.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr


def expressions():
    """(where, expression) of every panel and alert."""
    for panel in json.loads((MONITORING / "atoll.json").read_text())["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]
    for group in yaml.safe_load((MONITORING / "rules.yml").read_text())["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]


def test_panels_and_alerts_ask_for_metrics_that_there_are():
    known = {"up"}
    for family in FAMILIES.values():
        suffixes = ("_bucket", "_sum", "_count") if family.kind == "histogram" else ("",)
        known |= {family.name + suffix for suffix in suffixes}
    asked = set()
    for where, expression in expressions():
        names = set(re.findall(r"\b(?:atoll|process|python)_\w+|\bup\b", expression))
        assert names, where
        assert names <= known, where
        asked |= names
    assert len(asked) > 30
