"""What others wrote does not steer the terminal of who reads it."""

import io
import json
import sys

import pytest
import structlog
from rich.console import Console

from node.cluster.show.messages import lane_table, trace_tree
from node.cluster.show.watch import StatusPicture
from node.config.node_config import LogConfig
from node.telemetry import logs
from node.terminal import legible, plain, plain_json, say

EVIL = (
    "a\x1b]0;title\x07\x1b[2J\x9b31m\x7f\u202egnp.exe\r\nINFO all is well [/][link=file:///x]here"
)
STEERING = ("\x1b", "\x07", "\x9b", "\x7f", "\u202e", "\r")


def harmless(text: str) -> bool:
    return not any(mark in text for mark in STEERING)


def test_what_steers_is_a_picture_and_all_else_stays() -> None:
    assert plain("\x1b[1mbold\x1b[0m\x07") == "\u241b[1mbold\u241b[0m\u2407"
    assert plain("two\nlines\tof Zürich 東京 🪸") == "two\nlines\tof Zürich 東京 🪸"
    assert plain("two\nlines", one_line=True) == "two\u240alines"
    assert harmless(plain(EVIL))
    assert "\n" not in plain(EVIL, one_line=True)
    assert len(plain(EVIL)) == len(EVIL)  # tables keep their columns


def test_json_says_the_same_without_it() -> None:
    document = {"reason": EVIL, EVIL: ["ok", EVIL]}
    text = plain_json(json.dumps(document, ensure_ascii=False))
    assert harmless(text)
    assert json.loads(text) == document


def test_lines_are_printed_plain(capsys: pytest.CaptureFixture[str]) -> None:
    say(EVIL)
    say(EVIL, file=sys.stderr)
    out, err = capsys.readouterr()
    assert harmless(out)
    assert harmless(err)


def test_answers_drawn_with_rich_are_neither_markup_nor_commands() -> None:
    node = {
        "kind": EVIL, "outcome": EVIL, "status": EVIL, "shard": EVIL, "src": EVIL, "block": 1, "index": 0,
        "gasUsed": 5, "gas": 6, "from": "0x" + "11" * 20, "to": EVIL, "value": "0x1",
        "children": [], "truncated": 0,
        "error": EVIL, "reason": EVIL, "id": EVIL, "hash": EVIL,
    }  # fmt: skip
    lane = {
        "src": 0, "dst": EVIL, "outbox": None, "inbox": None, "crosslinked": {"count": 1}, "oldest": None,
        "waiting": {"count": 0, "asked": 0, "gas": 0}, "window": {"count": 1, "gas": 1}, "full": False,
    }  # fmt: skip
    out = Console(file=io.StringIO(), width=200)
    out.print(trace_tree({"root": node, "complete": True, "messages": 1, "truncated": False}))
    out.print(lane_table([lane]))
    assert isinstance(out.file, io.StringIO)
    text = out.file.getvalue()
    assert harmless(text)
    assert "[/][link=file:///x]here" in text.replace("\n", "").replace(" ", "") or "[link=" in text


def test_the_live_picture_is_drawn_of_plain_text() -> None:
    watch = StatusPicture("net")
    watch.observe({"shards": [], "beacon": {"height": 1}, "nodes": [], "lanes": []}, 0.0)
    assert legible({"name": EVIL}, markup=False) == {"name": plain(EVIL, one_line=True)}


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_line_of_the_log_stays_one_line(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = structlog.get_config()
    logs.configure_logging(LogConfig(format=form), node="s0v0")
    try:
        structlog.get_logger().info("refused", reason=EVIL, peer=EVIL)
    finally:
        structlog.configure(**before)
        structlog.contextvars.clear_contextvars()
    err = capsys.readouterr().err
    assert harmless(err)
    assert err.count("\n") == 1
