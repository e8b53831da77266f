"""The developer panel: it does what it says, and is not there where the genesis does not allow it."""

from node.testing.shared import SharedNetworks
from tests.browser.conftest import Page
from tests.browser.support.driver import Browser
from tests.cluster.support.client import wait_for

ETHER = 10**18


def submit(page: Page, title: str, words: str) -> None:
    """Press the button of a tool, and wait until it says what came of it."""
    place = f"#panel-{title}"
    page.browser.click(f"{place} ~ form button")
    page.browser.shows(f"{place} ~ .outcome", words)


def test_the_faucet_gives(page: Page) -> None:
    address = page.network.new_account(1, ether=0).address
    page.open()
    page.browser.click("#developer-link")
    page.browser.fill("[name=faucet-address]", address)
    page.browser.fill("[name=faucet-amount]", "2.5")
    submit(page, "faucet", "has 2.5 ETH")
    assert int(page.call("eth_getBalance", address, "latest"), 16) == 25 * ETHER // 10
    assert page.call("atoll_audit")["balanced"] is True


def test_what_was_typed_wrong_is_said(page: Page) -> None:
    page.open("#/developer")
    page.browser.fill("[name=faucet-address]", "0x12")
    submit(page, "faucet", "is no address")
    page.browser.fill("[name=faucet-address]", "0x" + "12" * 20)
    page.browser.fill("[name=faucet-amount]", "a lot")
    submit(page, "faucet", "no amount of ETH")


def test_a_transfer_crosses(page: Page) -> None:
    page.open("#/developer")
    page.browser.until(lambda: page.browser.count("[name=transfer-from] option") > 5, "accounts")
    submit(page, "transfer", "Sent")
    page.browser.click("#panel-transfer ~ .outcome a")
    page.browser.shows(".trace", "complete")
    page.browser.says(".tree .node > b", "CALL")


def test_blocks_are_made_and_time_goes_ahead(page: Page) -> None:
    page.open("#/developer")
    before = page.call("eth_getBlockByNumber", "latest", False)
    page.browser.fill("[name=time-blocks]", "3")
    submit(page, "blocks", "Done")
    page.browser.fill("[name=time-seconds]", "7200")
    submit(page, "time", "2 h ahead")
    assert int(page.call("eth_blockNumber"), 16) >= int(before["number"], 16) + 3

    def latest() -> int:
        return int(page.call("eth_getBlockByNumber", "latest", False)["timestamp"], 16)

    wait_for(lambda: latest() >= int(before["timestamp"], 16) + 7200, "blocks of that time")


def test_faults_of_the_node_are_caused_listed_and_healed(page: Page) -> None:
    browser = page.browser
    page.open("#/developer")
    panel = "#panel-faults-of-this-node"
    browser.shows(f"{panel} ~ div", "None.")
    choose = "const e = document.querySelector(arguments[0]); e.value = arguments[1];"
    changed = "e.dispatchEvent(new Event('change'))"
    for kind, words in [
        ("delay", "messages to s1v0 take 500 ms longer"),
        ("loss", "10 % of the messages to s1v0 are lost"),
        ("lane", "no message is fetched from shard 1"),
        ("withhold", "it proposes blocks without messages"),
        ("clock", "its clock is 20 s ahead"),
    ]:
        browser.run(choose + changed, "[name=fault-kind]", kind)
        submit(page, "cause-a-fault", "in force")
        browser.shows(f"{panel} ~ div", words)
    faults = page.call("atoll_faults")
    assert faults["links"] == {"s1v0": {"cut": False, "delay": 0.5, "jitter": 0, "loss": 0.1}}
    assert (faults["lanes"], faults["withhold"], faults["clock"]) == ([1], True, 20)
    browser.click("#heal")
    browser.shows(f"{panel} ~ div", "None.")
    assert page.call("atoll_faults")["links"] == {}


def test_it_is_not_there_where_the_genesis_does_not_allow_it(
    page: Page, atoll_networks: SharedNetworks
) -> None:
    browser: Browser = page.browser
    strict = atoll_networks.shared(shards=2, validators=1, params={"dev_methods": False})
    page.network, page.address = strict, strict.rpc + "/dashboard"
    page.open()
    browser.until(lambda: page.number("block") > 0, "a network block")
    browser.lacks("#developer-link")
    browser.press("d")
    browser.is_soon(lambda: browser.url, lambda url: url.endswith("#/"), "the overview")
    page.go("#/developer")
    browser.shows("#main", "Development methods are off")
    browser.has("form", 1)  # the search
