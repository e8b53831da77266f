"""docs/rpc.md is what tools/rpc_table.py writes."""

import sys

import pytest

from tools import rpc_table


def test_the_page_is_up_to_date(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["", "--check"])
    assert rpc_table.main() == 0, capsys.readouterr().err
