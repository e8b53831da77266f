"""Scenario files, run by the command: those of the examples, some that are generated, and one that fails.

ATOLL_SCENARIO_SEEDS="1 2 3" runs the generated scenarios of these seeds; left out, none.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from node.testing.shared import SharedNetworks
from tests.cluster.support.network import ROOT, atoll

EXAMPLES = sorted((ROOT / "examples" / "scenarios").glob("*.toml"))
SEEDS = [int(seed) for seed in os.environ.get("ATOLL_SCENARIO_SEEDS", "").split()]
SCENARIO_SECONDS = 900.0


@pytest.fixture(autouse=True)
def nothing_else_runs(networks: SharedNetworks) -> None:
    networks.rest()


def run(file: Path, tmp_path: Path, *, ok: bool = True) -> dict[str, Any]:
    place = tmp_path / "network"
    done = atoll(
        "scenario", "run", file, "--dir", place, "--json", check=False, seconds=SCENARIO_SECONDS
    )
    print(done.stderr)
    report = dict(json.loads(done.stdout))
    assert done.returncode == (0 if ok else 1), report
    assert report["ok"] is ok, report
    assert Path(report["directory"]) == place
    assert not list(place.glob("nodes/*/node.pid"))  # nothing is left running
    return report


@pytest.mark.timeout(SCENARIO_SECONDS)
@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_examples(file: Path, tmp_path: Path) -> None:
    report = run(file, tmp_path)
    assert report["load"]["outstanding"] == 0
    assert report["load"]["receipts"] > 0
    assert report["invariants"]["audit"] > 3
    if file.stem == "frozen":
        assert report["load"]["refused"] > 0 or report["load"]["receipts"] < report["load"]["sent"]
    else:
        assert report["invariants"]["once"] == report["load"]["sent"]


def test_what_does_not_come_fails_and_its_logs_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "hopeless.toml"
    file.write_text(
        """
        title = "nobody has a quorum"
        [network]
        shards = 1
        validators = 2
        [[step]]
        fault = { kind = "stop", nodes = ["s0v1"] }
        [[step]]
        when = { is = "blocks", chain = "s0", more = 3, within = 4.0 }
        """
    )
    report = run(file, tmp_path, ok=False)
    assert report["failure"].startswith("step[1]: after 4 s s0 has made ")
    assert "node is up" in (tmp_path / "network" / "nodes" / "s0v0" / "node.log").read_text()


@pytest.mark.timeout(SCENARIO_SECONDS)
@pytest.mark.skipif(not SEEDS, reason="ATOLL_SCENARIO_SEEDS names the seeds to be run")
@pytest.mark.parametrize("seed", SEEDS or [0])
def test_generated(seed: int, tmp_path: Path) -> None:
    file = tmp_path / f"{seed}.toml"
    atoll("scenario", "generate", "--seed", str(seed), "--out", file)
    run(file, tmp_path)
