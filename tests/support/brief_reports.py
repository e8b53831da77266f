"""Reports of the workers of pytest-xdist: those that are counted."""

import pytest
from _pytest.runner import runtestprotocol


class BriefReports:
    """A plugin for workers: one report per test that passes, instead of three and two events.

    Each takes a millisecond to be encoded, sent and waited for, which is as long as most tests run.
    """

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        for report in runtestprotocol(item, log=False, nextitem=nextitem):
            if report.when == "call" or not report.passed:
                item.ihook.pytest_runtest_logreport(report=report)
        return True
