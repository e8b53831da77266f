"""Logs of many nodes as one, and logs that do not grow without an end."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from node.cluster.processes.logfile import older, open_log
from node.cluster.show.logs import Filter, Line, LogReader, merged_logs
from node.primitives.errors import UserError

ALL = Filter()


def line(second: int, text: str, level: str = "info") -> str:
    return f"2026-01-01T00:00:{second:02}.000000Z [{level:9}] {text}\n"


@pytest.fixture
def logs(tmp_path: Path) -> list[tuple[str, Path]]:
    a, b = tmp_path / "a.log", tmp_path / "b.log"
    a.write_text(
        line(1, "one")
        + line(4, "four", "error")
        + "Traceback (most recent call last):\n  boom\n"
        + line(6, "six", "warning")
    )
    b.write_text(
        line(2, "two")
        + '{"event": "three", "level": "warning", "timestamp": "2026-01-01T00:00:03Z"}\n'
        + line(5, "five")
    )
    return [("a", a), ("b", b)]


def words(lines: list[Line]) -> list[str]:
    return [f"{line.node} {line.text.split()[-1]}" for line in lines]


def test_all_in_the_order_of_time(logs: list[tuple[str, Path]]) -> None:
    found = list(merged_logs(logs, 100, ALL))
    assert words(found) == [
        "a one", "b two", 'b "2026-01-01T00:00:03Z"}', "a four", "a last):", "a boom", "b five", "a six",
    ]  # fmt: skip
    assert [line.level for line in found] == [
        "info", "info", "warning", "error", "error", "error", "info", "warning",
    ]  # fmt: skip
    assert words(list(merged_logs(logs, 2, ALL))) == ["b five", "a six"]
    assert list(merged_logs(logs, 0, ALL)) == []


def test_only_what_is_wanted(logs: list[tuple[str, Path]]) -> None:
    severe = Filter(level="error")
    assert words(list(merged_logs(logs, 9, severe))) == ["a four", "a last):", "a boom"]
    assert words(list(merged_logs(logs, 1, Filter(level="warning")))) == ["a six"]
    some = Filter(pattern=re.compile("five|two"))
    assert words(list(merged_logs(logs, 9, some))) == ["b two", "b five"]
    assert words(list(merged_logs(logs, 1, some))) == ["b five"]


def test_what_is_added_is_followed(logs: list[tuple[str, Path]]) -> None:
    def add(index: int, text: str) -> None:
        with logs[index][1].open("a") as file:
            file.write(text)

    steps = iter(
        [
            lambda: (add(1, line(8, "eight")), add(0, line(7, "seven") + "half a li")),
            lambda: add(0, "ne\n"),
            lambda: (logs[0][1].rename(older(logs[0][1])), logs[0][1].write_text(line(9, "new"))),
            lambda: logs[1][1].write_text(line(10, "cut")),
            lambda: (logs[0][1].unlink(), logs[0][1].write_text("")),
        ]
    )
    found = merged_logs(logs, 0, Filter(), follow=True, wait=lambda: next(steps)())
    assert words([next(found) for _ in range(5)]) == [
        "a seven", "b eight", "a line", "a new", "b cut",
    ]  # fmt: skip


def test_a_turn_while_it_is_read_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("1\n")
    reader = LogReader("a", path)
    assert [line.text for line in reader.last(9, ALL)] == ["1"]
    with path.open("a") as writer:
        writer.write("2\n")
        writer.flush()
        path.rename(older(path))
        path.write_text("4\n")
        writer.write("3\n")
    assert [line.text for line in reader.more()] == ["2", "3", "4"]
    reader.close()
    again = LogReader("a", path)
    assert [line.text for line in again.last(9, ALL)] == ["1", "2", "3", "4"]
    again.close()
    again = LogReader("a", path)
    assert [line.text for line in again.last(1, ALL)] == ["4"]
    again.close()


def test_no_log_yet(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no log yet; the node was never started here"):
        list(merged_logs([("a", tmp_path / "absent")], 5, ALL))
    # Who follows waits for it.
    steps = iter([lambda: None, lambda: (tmp_path / "absent").write_text("there\n")])
    found = merged_logs(
        [("a", tmp_path / "absent")], 5, ALL, follow=True, wait=lambda: next(steps)()
    )
    assert next(found).text == "there"


def test_the_last_lines_are_found_from_the_end(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"".join(b"%d \xff%s\n" % (n, b"x" * 100) for n in range(5000)))
    for count in (1, 2, 700, 5000, 9999):
        found = list(merged_logs([("a", path)], count, ALL))
        assert len(found) == min(count, 5000)
        assert found[-1].text.startswith("4999 �x")
        assert found[0].text.startswith(f"{5000 - len(found)} ")


WRITER = """
import os, subprocess, sys
from pathlib import Path
from node.cluster.processes.logfile import keep_bounded
log = Path(sys.argv[1])
keep_bounded(log, 1000)
for number in range(400):
    print(f"line {number:03}", file=sys.stderr if number % 2 else sys.stdout, flush=True)
os.write(2, b"of a library\\n")
sys.stdout.write("é" * 3 + "\\n")
"""


@pytest.mark.slow
def test_a_log_is_bounded(tmp_path: Path) -> None:
    log = tmp_path / "node.log"
    descriptor = open_log(log)
    subprocess.run(
        [sys.executable, "-c", WRITER, str(log)], stdout=descriptor, stderr=descriptor, check=True
    )
    os.close(descriptor)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["node.log", "node.log.1"]
    assert older(log).stat().st_size < 1020
    assert log.stat().st_size < 1020
    kept = older(log).read_text() + log.read_text()
    assert kept.endswith("line 398\nline 399\nof a library\nééé\n")
    numbers = [int(text[5:]) for text in kept.splitlines() if text.startswith("line ")]
    assert numbers == list(range(numbers[0], 400))
    assert 100 < len(numbers) < 200


def test_a_log_that_is_full_is_turned_at_the_start(tmp_path: Path) -> None:
    log = tmp_path / "node.log"
    for text in ("first", "second"):
        descriptor = open_log(log, max_bytes=5)
        os.write(descriptor, text.encode())
        os.close(descriptor)
    assert (older(log).read_text(), log.read_text()) == ("first", "second")
