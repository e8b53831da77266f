"""The overview of a network that runs: blocks grow, messages cross, and all of it can be read."""

from typing import Any

from tests.browser.conftest import Page
from tests.cluster.support.client import wait_for


def sent(page: Page) -> int:
    """Messages of shard 0 to shard 1, once all of them have arrived."""

    def settled() -> dict[str, Any] | None:
        lane = next(row for row in page.call("atoll_lanes") if (row["src"], row["dst"]) == (0, 1))
        return None if lane["waiting"]["count"] else lane

    return int(wait_for(settled, "the lane to be empty")["crosslinked"]["count"])


def test_blocks_grow_on_every_lane(page: Page) -> None:
    browser = page.browser
    page.open()
    browser.until(lambda: page.number("block") > 0, "a network block")
    first = page.number("block")
    browser.until(lambda: page.number("block") > first + 1, "the number to grow")
    for lane in ("beacon", "0", "1"):
        blocks = f'.lanes .block[data-lane="{lane}"]'
        browser.is_soon(lambda: browser.count(blocks), lambda n: n >= 2, f"two of {blocks}")  # noqa: B023
    browser.is_soon(
        lambda: int(page.call("eth_blockNumber"), 16) - page.number("block"),
        lambda behind: abs(behind) <= 4,
        "the page to be where the network is",
    )
    browser.shows("#figure-audit", "Balanced")
    browser.shows("#figure-shards", "all make blocks")
    browser.is_soon(lambda: page.figure("peers"), "1 of 1", "one peer of one")


def test_a_message_is_an_arrow_until_it_is_delivered(page: Page) -> None:
    browser, network = page.browser, page.network
    page.open()
    browser.until(lambda: page.number("block") > 0, "a network block")
    before = sent(page)  # by whatever test had this network earlier
    with network.faults.stop("s1v0"):  # the shard it is for: it cannot be delivered
        page.transfer()
        browser.has(".lanes .arrow.moving", 1)
        browser.says(".lanes .arrow title", "to shard 1: 0 of 1 delivered")
        browser.shows("#panel-newest-messages ~ .scroll", "sent")
    browser.says(".lanes .arrow title", "delivered in block")
    browser.has(".lanes .arrow.moving", 0)
    browser.has(".lanes .arrow", 1)
    browser.shows("#panel-newest-messages ~ .scroll", "delivered")
    browser.is_soon(
        lambda: browser.texts(".matrix small"),
        lambda cells: f"{before + 1} delivered" in cells,
        f"{before + 1} delivered in a cell",
    )


def test_votes_of_every_chain_are_shown(page: Page) -> None:
    browser = page.browser
    page.open()
    for chain in ("Beacon", "Shard 0", "Shard 1"):
        browser.shows(".committees", chain)
    browser.until(lambda: browser.count(".votes i.yes.proposer") > 3, "votes")
    browser.is_soon(
        lambda: set(browser.texts(".votes th a")), {"s0v0", "s1v0"}, "the names of both validators"
    )
    page.go("#/validators")
    browser.shows("#main", "No validator was caught")
    browser.has("#panel-validators ~ div tbody tr", 2)


def test_every_picture_is_also_a_table(page: Page) -> None:
    browser = page.browser
    page.open()
    page.transfer()
    browser.until(lambda: browser.count(".lanes .arrow") > 0, "an arrow")
    for index in range(browser.count("details.alternative")):
        browser.run(
            "document.querySelectorAll('details.alternative')[arguments[0]].open = true", index
        )
    browser.shows("details.alternative", "Shard blocks it made final")
    browser.until(lambda: browser.count("details.alternative table") >= 5, "five tables")
    browser.says("details.alternative th", "median")


def test_the_picture_can_be_paused_and_goes_on(page: Page) -> None:
    browser = page.browser
    page.open()
    browser.until(lambda: browser.count(".lanes .block") > 3, "blocks")
    browser.click("#pause")
    browser.gives("return document.querySelector('#pause').ariaPressed", "true", "a pressed button")
    shown = browser.texts(".lanes .block .height")
    before = page.number("block")
    browser.until(lambda: page.number("block") > before + 1, "the network to go on")
    browser.is_still(lambda: browser.texts(".lanes .block .height"), shown, "the picture as it was")
    browser.press("p")
    browser.until(lambda: browser.texts(".lanes .block .height") != shown, "the picture to go on")


def test_many_messages_are_few_elements(page: Page) -> None:
    browser = page.browser
    page.open()
    browser.until(lambda: browser.count(".lanes .block") > 3, "blocks")
    hashes = [page.transfer(1) for _ in range(150)]
    trace = wait_for(
        lambda: (found := page.call("atoll_trace", hashes[-1])) and found["complete"] and found,
        "the last one to arrive",
    )
    last = trace["root"]["children"][0]["id"]
    newest = "#panel-newest-messages ~ .scroll tbody tr"
    browser.until(
        lambda: browser.count(f'{newest} a[href="#/message/{last}"]'),
        "the last message on the page",
    )
    browser.has(".lanes .arrow.moving", 0)
    browser.has(newest, 12)
    browser.is_soon(lambda: browser.count(".lanes .arrow"), lambda n: 0 < n <= 60, "1 to 60 arrows")
    browser.is_soon(lambda: browser.count("*"), lambda n: n < 5000, "less than 5000 elements")
    head = page.number("block")
    browser.until(lambda: page.number("block") > head, "the page to go on")
