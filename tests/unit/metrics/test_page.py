"""docs/observability.md lists the metrics that there are; the dashboard and the alerts ask for no others."""

import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from node.metrics.catalogue import FAMILIES
from tools import grafana_dashboard, metrics_table

ROOT = Path(__file__).parents[3]
MONITORING = ROOT / "docker" / "monitoring"


@pytest.mark.parametrize("tool", [metrics_table, grafana_dashboard])
def test_what_is_generated_is_up_to_date(
    tool: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["", "--check"])
    assert tool.main() == 0, capsys.readouterr().err


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
