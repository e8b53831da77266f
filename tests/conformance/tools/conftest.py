"""The table of what came of each suite, at the end of a run."""

import pytest

from tests.conformance.tools.outcomes import Outcomes

OUTCOMES = pytest.StashKey[Outcomes]()


@pytest.fixture(scope="session")
def outcomes(request: pytest.FixtureRequest) -> Outcomes:
    return request.config.stash.setdefault(OUTCOMES, Outcomes())


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    lines = config.stash.get(OUTCOMES, Outcomes()).lines()
    if lines:
        terminalreporter.section("tools for development, on two shards and on anvil")
        for line in lines:
            terminalreporter.write_line(line)
