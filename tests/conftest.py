"""For all tests: what a process inherits or decides once, before anything else can.

A node chooses the keccak backend in `node.primitives.basics`, and refuses to run with another. In a test run
web3.py may be imported first, and the first who hashes decides for the process.

What is logged in a test's own process shows a traceback as Python does: rendering one with the variables of
every frame, as structlog does where rich is installed, takes a second.

A shell starts what it puts into the background with SIGINT ignored, and children inherit that: commands
that tests interrupt would never end.
"""

import gc
import os
import signal
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import structlog
import trio.testing
from hypothesis import HealthCheck, settings

from tests.support.brief_reports import BriefReports
from tests.support.effort import examples
from tests.support.guards import runs_in_real_time, watched

pytest.register_assert_rewrite("tests.cluster.support")  # before any of it is imported
os.environ.setdefault("ETH_HASH_BACKEND", "pysha3")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
*_before, _ = structlog.get_config()["processors"]
_plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
structlog.configure(processors=[*_before, _plain])
settings.register_profile(
    "atoll",
    max_examples=examples(100),
    deadline=None,  # like the check for slow input: a busy machine is no fault of the code
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("atoll")


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        config.pluginmanager.register(BriefReports())


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect no garbage while thousands of tests are collected, and never look through them for any again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function) and runs_in_real_time(
            item._fixtureinfo.argnames, item.fixturenames
        ):
            raise pytest.UsageError(
                f"{item.nodeid} runs in real time: it has to ask for the clock itself, not only a fixture"
            )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    with watched(item):
        return (yield)


@pytest.fixture
def loopback_clock() -> trio.testing.MockClock:
    """A virtual clock for tests whose sockets all belong to this process.

    It jumps to the next deadline when nothing has arrived for a millisecond: on loopback what was sent is there
    at once, so nothing but time is waited for.
    """
    return trio.testing.MockClock(autojump_threshold=0.001)


@pytest.fixture(scope="session")
def ledger() -> dict[str, Any]:
    """The compiled test contract: ABI and bytecode."""
    import vyper

    source = (Path(__file__).parent / "cluster" / "contracts" / "Ledger.vy").read_text()
    compiled: dict[str, Any] = vyper.compile_code(source, output_formats=["abi", "bytecode"])
    return compiled
