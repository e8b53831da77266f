"""Log lines: their form, their level while a node runs, what they are found by."""

import io
import json
import os
import signal
import sys

import pytest
import structlog
import trio
import trio.testing

from node.config.node_config import LogConfig
from node.primitives.errors import UserError
from node.telemetry import logs
from node.telemetry.logs import LogControl, configure_logging, watch_signals


@pytest.fixture
def control(monkeypatch):
    """The process' control, put back as it was, with structlog's configuration."""
    control = LogControl()
    monkeypatch.setattr(logs, "control", control)
    before = structlog.get_config()
    yield control
    structlog.configure(**before)
    structlog.contextvars.clear_contextvars()


@pytest.fixture
def written(monkeypatch, control):
    """Lines of JSON at level info."""
    out = io.StringIO()
    monkeypatch.setattr(sys, "stderr", out)
    configure_logging(LogConfig(format="json"), node="s0v1")

    def lines():
        found = [json.loads(line) for line in out.getvalue().splitlines()]
        out.seek(0)
        out.truncate()
        return found

    return lines


def test_a_line_names_its_node_and_what_it_is_about(written):
    log = structlog.get_logger().bind(chain="shard/0")
    log.info("decided", height=3, round=0, hash="0x12")
    (line,) = written()
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "decided",
        "level": "info",
        "node": "s0v1",
        "chain": "shard/0",
        "height": 3,
        "round": 0,
        "hash": "0x12",
    }


def test_an_exception_is_one_line_with_its_traceback(written):
    try:
        raise RuntimeError("a bug")
    except RuntimeError:
        structlog.get_logger().exception("it failed")
    (line,) = written()
    assert line["level"] == "error"
    assert "RuntimeError: a bug" in line["exception"]


def test_the_level_changes_for_loggers_that_were_bound_before(written, control):
    log = structlog.get_logger().bind(chain="beacon")
    log.debug("unheard")
    control.set("DEBUG")
    log.debug("heard")
    control.set("error")
    for level in ("debug", "info", "warning"):
        getattr(log, level)("unheard")
    log.error("heard")
    log.critical("heard")
    assert [line["event"] for line in written()] == ["heard"] * 3
    assert control.lines == {"debug": 1, "error": 1, "critical": 1}


def test_what_is_no_level_is_said_to_be_none(control):
    with pytest.raises(
        UserError, match="'loud' is no log level; they are debug, info, warning, error"
    ):
        control.set("loud")
    assert control.level == "info"


async def test_a_signal_turns_debug_on_and_off(written, control):
    control.configured = "warning"
    control.set("warning")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch_signals)
        with trio.fail_after(10):
            for expected in ("debug", "warning"):
                await trio.testing.wait_all_tasks_blocked()
                os.kill(os.getpid(), signal.SIGUSR1)
                while control.level != expected:  # noqa: ASYNC110 - a signal changes it
                    await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    assert [line["level"] for line in written()] == ["warning", "warning"]


def test_text_is_for_people(monkeypatch, control):
    out = io.StringIO()
    monkeypatch.setattr(sys, "stderr", out)
    configure_logging(LogConfig(format="text"), node="s0v1")
    structlog.get_logger().info("new round", chain="shard/0", height=7)
    (line,) = out.getvalue().splitlines()
    assert line.endswith("[info     ] new round chain=shard/0 height=7 node=s0v1")
