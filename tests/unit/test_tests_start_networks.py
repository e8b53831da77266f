"""Tests that ask networks of real processes get them from `node.testing`, which waits by the rule of `atoll up`
and ends with the tests. Those that start processes themselves are few, and each is about that."""

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
STARTS = re.compile(r'"--detach"|"node", "node"|"scenario", "run"|\.nodes\.start\(')
BY_THEMSELVES = {
    "cluster/test_faults.py": "a node whose disk is full or damaged, which does not come up",
    "cluster/test_pytest_plugin.py": "what a test run that is killed leaves",
    "cluster/test_scenarios.py": "the command that runs a scenario",
    "cluster/test_shapes.py": "processes that are started one by one; they are waited for by `until.ready`",
    "cluster/test_start_errors.py": "commands that fail",
    "cluster/test_up_and_down.py": "`atoll up` and `down` themselves",
}


def test_who_starts_processes_is_known() -> None:
    folders = (TESTS / name for name in ("cluster", "browser", "conformance"))
    found = {
        str(path.relative_to(TESTS))
        for folder in folders
        for path in folder.rglob("*.py")
        if STARTS.search(path.read_text())
    }
    assert found == set(BY_THEMSELVES)
