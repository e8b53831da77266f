"""The nightly targets are those that CONTRIBUTING lists, and each names what there is."""

import re
import sys
from pathlib import Path

import pytest

from tools import nightly
from tools.nightly import TARGETS, Target, main

ROOT = Path(__file__).parents[3]


def test_the_page_lists_the_targets() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    table = page[page.index("| target | what |") :].split("\n\n")[0]
    assert re.findall(r"^\| `([\w-]+)` \|", table, re.M) == [target.name for target in TARGETS]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_target_runs_what_there_is(target: Target) -> None:
    command = " ".join(target.command)
    files = re.findall(r"(?:tests|tools|benchmarks)/[\w/]+(?:\.py)?", command)
    modules = [module.replace(".", "/") for module in re.findall(r"-m (tests[\w.]+)", command)]
    assert files or modules
    for place in files:
        assert (ROOT / place).exists()
    for place in modules:
        assert (ROOT / f"{place}.py").exists() or (ROOT / place / "__main__.py").exists()


def test_an_unknown_target_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["nightly.py", "mutnats"])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "there is no target mutnats; --list prints them" in capsys.readouterr().err


@pytest.mark.slow
def test_targets_run_and_their_ends_are_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    python = (sys.executable, "-c")
    good = Target(
        "good", "", (*python, "import os; print('first'); print(os.environ['N'])"), {"N": "7"}
    )
    bad = Target("bad", "", (*python, "print('no'); raise SystemExit(3)"))
    stuck = Target("stuck", "", (*python, "input(); import time; time.sleep(600)"))
    monkeypatch.setattr(nightly, "LOGS", tmp_path / "logs")
    monkeypatch.setattr(nightly, "TARGETS", (good, bad, stuck))
    monkeypatch.setattr(sys, "argv", ["nightly.py"])
    assert main() == 1
    told = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in told] == ["good", "bad", "stuck"]
    assert told[0][3:] == ["passed", "7"]
    assert told[1][3:] == ["FAILED", "(3)", "no"]
    assert told[2][3] == "FAILED", "there is nothing to read"
    assert (tmp_path / "logs" / "good.log").read_text() == "first\n7\n"
