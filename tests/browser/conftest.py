"""Chromium on the dashboard of a real network; where there is no Chromium the tests are skipped, loudly."""

import json
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from node.testing import Network
from node.testing.shared import SharedNetworks
from tests.browser.support.driver import CHROMIUM, DRIVER, Browser, chromedriver
from tests.cluster.support.client import call

HERE = Path(__file__).parent
MISSING = (
    "Chromium is NOT here (Debian: apt-get install chromium chromium-driver): "
    "the dashboard is NOT tested in a browser"
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents and "page" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="package")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if CHROMIUM is None or DRIVER is None:
        warnings.warn(pytest.PytestWarning(MISSING), stacklevel=1)
        pytest.skip(MISSING)
    with chromedriver(tmp_path_factory.mktemp("driver") / "log") as address:
        yield address


class Page:
    """The dashboard in a browser of its own, over a network of two shards."""

    def __init__(self, browser: Browser, network: Network) -> None:
        self.browser = browser
        self.network = network
        self.address = network.rpc + "/dashboard"
        self.may_complain = False  # the node is to be away: the browser says so on the console

    def open(self, path: str = "#/") -> None:
        """As a link from elsewhere does."""
        self.browser.open("about:blank")
        self.browser.open(self.address + path)
        self.browser.shows("#connection", "Node ")

    def go(self, path: str) -> None:
        """As a link on the page does; returns when the page has another view."""
        script = (
            "window.left = document.getElementById('main').firstElementChild;"
            "const same = location.hash === arguments[0]; location.hash = arguments[0]; return same"
        )
        if not self.browser.run(script, path):
            other = "return document.getElementById('main').firstElementChild !== window.left"
            self.browser.gives(other, True, f"the view of {path}")
            self.browser.is_soon(
                lambda: self.browser.text("#main"),
                lambda text: "Asking the node" not in (text or ""),
                f"what {path} shows",
            )

    def call(self, method: str, *params: Any) -> Any:
        return call(self.network.rpc, method, params)

    def figure(self, name: str) -> str:
        return self.browser.text(f"#figure-{name} dd") or ""

    def number(self, name: str) -> int:
        """The number in front of a figure of the strip; -1 while there is none."""
        found = re.match(r"[\d\u202f]+", self.figure(name))
        return int(found[0].replace("\u202f", "")) if found else -1

    def transfer(self, wei: int = 10**18) -> str:
        """A transfer from an account of shard 0 to one of shard 1; its hash. Asks shard 1 nothing."""
        sender, recipient = (self.network.account(shard).address for shard in (0, 1))
        fields = {"gas": hex(21_000), "gasPrice": hex(10**10), "value": hex(wei)}
        return str(self.call("eth_sendTransaction", {"from": sender, "to": recipient, **fields}))


@pytest.fixture
def network(atoll_networks: SharedNetworks) -> Network:
    return atoll_networks.shared(shards=2, validators=1)


@pytest.fixture(scope="package")
def browser(driver: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    browser = Browser(driver, tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture
def page(browser: Browser, network: Network, tmp_path: Path) -> Iterator[Page]:
    """A browser that knows nothing. Afterwards: nothing on its console, no request to any other origin;
    a picture of how it ended is kept beside the other files of the test."""
    browser.reset()
    page = Page(browser, network)
    yield page
    browser.screenshot(tmp_path / "page.png")
    complaints, requested = browser.console(), browser.requested()
    browser.open("about:blank")
    assert {_origin(url) for url in requested} <= {None, _origin(page.address)}
    assert page.may_complain or complaints == []


def _origin(url: str) -> str | None:
    """Host and port, None for what leaves the browser for nowhere."""
    parts = urlsplit(url)
    return parts.netloc if parts.scheme in ("http", "https", "ws", "wss") else None


def document(file: Path) -> Any:
    return json.loads(file.read_text())
