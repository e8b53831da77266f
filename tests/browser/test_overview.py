"""The overview of a network that runs: blocks grow, messages cross, and all of it can be read."""

from tests.browser.conftest import Page
from tests.cluster.support.client import wait_for


def test_blocks_grow_on_every_lane(page: Page) -> None:
    browser = page.browser
    page.open()
    browser.until(lambda: page.number("block") > 0, "a network block")
    first = page.number("block")
    browser.until(lambda: page.number("block") > first + 1, "the number to grow")
    for lane in ("beacon", "0", "1"):
        assert browser.count(f'.lanes .block[data-lane="{lane}"]') >= 2, lane
    head = page.number("block")
    assert abs(int(page.call("eth_blockNumber"), 16) - head) <= 4
    browser.shows("#figure-audit", "Balanced")
    browser.shows("#figure-shards", "all make blocks")
    assert page.figure("peers") == "1 of 1"


def test_a_message_is_an_arrow_until_it_is_delivered(page: Page) -> None:
    browser, network = page.browser, page.network
    page.open()
    browser.until(lambda: page.number("block") > 0, "a network block")
    with network.suspended("s1v0"):  # the shard it is for: it cannot be delivered
        page.transfer()
        browser.until(lambda: browser.count(".lanes .arrow.moving") == 1, "an arrow")
        assert "to shard 1: 0 of 1 delivered" in browser.texts(".lanes .arrow title")[0]
        browser.shows("#panel-newest-messages ~ .scroll", "sent")
    browser.until(lambda: browser.count(".lanes .arrow.moving") == 0, "its delivery")
    assert browser.count(".lanes .arrow") == 1
    assert "delivered in block" in browser.texts(".lanes .arrow title")[0]
    browser.shows("#panel-newest-messages ~ .scroll", "delivered")
    browser.shows(".matrix", "1 delivered")


def test_votes_of_every_chain_are_shown(page: Page) -> None:
    browser = page.browser
    page.open()
    for chain in ("Beacon", "Shard 0", "Shard 1"):
        browser.shows(".committees", chain)
    browser.until(lambda: browser.count(".votes i.yes.proposer") > 3, "votes")
    names = set(browser.texts(".votes th a"))
    assert names == {"s0v0", "s1v0"}
    page.go("#/validators")
    browser.shows("#main", "Nobody was caught")
    assert browser.count("#panel-validators ~ div tbody tr") == 2


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
    assert any("median" in text for text in browser.texts("details.alternative th"))


def test_the_picture_can_be_paused_and_goes_on(page: Page) -> None:
    browser = page.browser
    page.open()
    browser.until(lambda: browser.count(".lanes .block") > 3, "blocks")
    browser.click("#pause")
    assert browser.run("return document.querySelector('#pause').ariaPressed") == "true"
    shown = browser.texts(".lanes .block .height")
    before = page.number("block")
    browser.until(lambda: page.number("block") > before + 1, "the network to go on")
    assert browser.texts(".lanes .block .height") == shown
    browser.press("p")
    browser.until(lambda: browser.texts(".lanes .block .height") != shown, "the picture to go on")


def test_many_messages_are_few_elements(page: Page) -> None:
    browser = page.browser
    page.open()
    browser.until(lambda: browser.count(".lanes .block") > 3, "blocks")
    browser.run(
        "window.slowest = 0; let last = performance.now();"
        "const look = (now) => { slowest = Math.max(slowest, now - last); last = now;"
        " requestAnimationFrame(look); }; requestAnimationFrame(look)"
    )
    hashes = [page.transfer(1) for _ in range(150)]
    wait_for(
        lambda: (found := page.call("atoll_trace", hashes[-1])) and found["complete"],
        "the last one to arrive",
    )
    browser.until(lambda: browser.count(".lanes .arrow.moving") == 0, "every arrow to arrive")
    assert browser.count(".lanes .arrow") <= 60
    assert browser.count("#panel-newest-messages ~ .scroll tbody tr") == 12
    assert browser.run("return document.querySelectorAll('*').length") < 5000
    assert browser.run("return slowest") < 5000  # it was never stuck
