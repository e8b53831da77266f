#!/usr/bin/env python3
"""Make the pictures of docs/dashboard.md and the README anew, of a network of four shards with some traffic.

    .venv/bin/python tools/dashboard_pictures.py

Needs chromium and chromedriver, and pngquant to make the files small. Look at what it made.
"""

import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from node.testing import Network  # noqa: E402
from tests.browser.support.driver import Browser, chromedriver  # noqa: E402
from tests.cluster.support.client import call, wait_for  # noqa: E402
from tests.cluster.support.network import ROOT  # noqa: E402

IMAGES = ROOT / "docs" / "images"
SIZE = (1360, 860)
TRAFFIC_SECONDS = 20
QUANTISE = ("pngquant", "--quality", "90-100", "--speed", "1", "--force", "--ext", ".png")


def transfer(network: Network, rng: random.Random) -> str:
    src, dst = rng.sample(network.shard_ids, 2)
    fields = {
        "from": network.account(src).address,
        "to": rng.choice([a.address for a in network.accounts if a.home == dst]),
        "value": hex(rng.randrange(10**16, 3 * 10**18)),
        "gas": hex(30_000),
    }
    return str(call(network.rpc, "eth_sendTransaction", [fields]))


def traffic(network: Network) -> str:
    """Transfers for a while; the last one's hash."""
    rng, end, tx = random.Random(7), time.monotonic() + TRAFFIC_SECONDS, ""
    while time.monotonic() < end:
        tx = transfer(network, rng)
        time.sleep(rng.choice((0.1, 0.2, 0.6)))
    return tx


def traced(network: Network, tx: str) -> Any:
    def complete() -> Any:
        found = call(network.rpc, "atoll_trace", [tx])
        return found and found["complete"] and found

    return wait_for(complete, "the transaction to be complete")


def take(browser: Browser, page: str, network: Network) -> None:
    """Each view in one theme, the overview in both, and of it the blocks alone."""
    overview = "dashboard-overview"
    browser.media(prefers_color_scheme="light")
    browser.open(page)
    browser.shows("#connection", "Node ")
    tx = traffic(network)
    for theme in ("light", "dark"):
        browser.media(prefers_color_scheme=theme)
        shoot(browser, overview if theme == "light" else f"{overview}-dark")
        if theme == "light":
            shoot(browser, "dashboard-blocks", of="section:has(> header > #lanes-title)")
        transfer(network, random.Random(1))
    message = traced(network, tx)["root"]["children"][0]["id"]
    for theme, path, words, name in (
        ("light", f"#/tx/{tx}", "complete", "dashboard-transaction"),
        ("dark", f"#/message/{message}", "complete", "dashboard-message"),
        ("light", "#/developer", "Faults of this node", "dashboard-developer"),
    ):
        browser.media(prefers_color_scheme=theme)
        browser.run("location.hash = arguments[0]", path)
        browser.shows("#main", words)
        shoot(browser, name)


def shoot(browser: Browser, name: str, of: str | None = None) -> None:
    time.sleep(1.5)  # moving elements come to rest
    file = IMAGES / f"{name}.png"
    browser.screenshot(file, whole=True, of=of)
    subprocess.run([*QUANTISE, str(file)], check=True)
    print(f"{file.relative_to(ROOT)}: {file.stat().st_size:,} bytes")


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, chromedriver(Path(scratch) / "log") as driver:
        network = Network(directory=Path(scratch) / "network", shards=4, validators=1)
        browser = Browser(driver, Path(scratch) / "profile")
        try:
            network.up()
            browser.size(*SIZE)
            take(browser, network.rpc + "/dashboard", network)
        finally:
            browser.close()
            network.stop()


if __name__ == "__main__":
    main()
