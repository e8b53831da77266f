"""Search and the views of what it finds."""

from pathlib import Path

import pytest

from tests.browser.conftest import Page, document
from tests.cluster.support.client import wait_for
from tests.cluster.support.network import atoll


def crossed(page: Page) -> tuple[str, dict[str, object]]:
    """A transfer to the other shard that has arrived: its hash, and the message."""
    tx = page.transfer(12345 * 10**14)
    trace = wait_for(
        lambda: (found := page.call("atoll_trace", tx)) and found["complete"] and found,
        "the message to arrive",
    )
    return tx, trace["root"]["children"][0]


def search(page: Page, words: str) -> None:
    page.browser.press("/")
    page.browser.fill("#query", words)
    page.browser.press("Enter")


def test_search_finds_each_kind_of_thing(page: Page) -> None:
    browser = page.browser
    tx, message = crossed(page)
    block = page.call("eth_getBlockByNumber", "0x2", False)
    shard_block = page.call("atoll_shardBlock", 1, "0x2")
    account = page.network.account(1).address
    page.open()
    for words, view, title in [
        ("2", "#/block/2", "Network block 2"),
        (block["hash"], "#/block/2", "Network block 2"),
        ("1:2", "#/shard/1/block/2", "Shard 1 block 2"),
        (shard_block["hash"], "#/shard/1/block/2", "Shard 1 block 2"),
        (tx, f"#/tx/{tx}", "Transaction"),
        (tx[2:].upper(), f"#/tx/{tx}", "Transaction"),
        (str(message["id"]), f"#/message/{message['id']}", "Message"),
        (account, f"#/address/{account.lower()}", "Address"),
        ("S1V0", "#/address/", "Address"),
    ]:
        search(page, words)
        browser.shows("#main h1", title)
        browser.is_at(view)
        page.go("#/")
        browser.shows("#main", "Blocks and messages")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("0x1234", "an address has 40"),
        ("0x" + "77" * 32, "No transaction, message, network block or shard block"),
        ("somebody", "nor the name of a validator"),
    ],
)
def test_a_search_in_vain_says_what_to_search_for(page: Page, words: str, why: str) -> None:
    page.open()
    search(page, words)
    page.browser.shows("#main", why)
    page.browser.shows("#main", "Search for an address")


def test_a_transaction_that_failed_says_why(page: Page) -> None:
    """It looks for code of another shard, and reverts without a reason of its own."""
    here, there = (page.network.account(shard) for shard in (0, 1))
    code = "0x73" + there.address[2:] + "3b505f5ffd"
    tx = page.network.send(here, data=code, gas=200_000)
    page.open(f"#/tx/{tx}")
    for words in ("failed", f"{there.address} lives on shard 1; reach it with MESSENGER.send"):
        page.browser.shows("#main .facts", words)


def test_a_transaction_shows_what_it_caused_and_leads_there_and_back(page: Page) -> None:
    browser = page.browser
    tx, message = crossed(page)
    page.open(f"#/tx/{tx}")
    for words in ("complete", "1.2345 ETH", "succeeded"):
        browser.shows("#main", words)
    browser.is_soon(
        lambda: browser.texts(".tree .node > b")[:2],
        ["TRANSACTION", "CALL"],
        "both legs in the tree",
    )
    whole = "1.2345 ETH = 1\u202f234\u202f500\u202f000\u202f000\u202f000\u202f000 wei"
    browser.gives("return document.querySelector('.facts .amount')?.title", whole, "all its digits")
    browser.click(f'.tree a[href="#/message/{message["id"]}"]')
    browser.shows("#main h1", "Message Shard 0 → Shard 1")
    browser.has(".steps .done", 4)
    browser.click(".steps a")
    browser.shows("#main h1", "Shard 0 block")
    browser.back()
    browser.shows("#main h1", "Message")
    browser.back()
    browser.shows("#main h1", "Transaction")
    browser.is_at(f"#/tx/{tx}")


def test_a_transaction_is_followed_until_it_is_complete(page: Page) -> None:
    browser = page.browser
    page.open()
    with page.network.faults.stop("s1v0"):
        tx = page.transfer()
        page.go(f"#/tx/{tx}")
        browser.shows(".trace", "1 under way")
    browser.shows(".trace", "complete")


def test_what_does_not_exist_yet_is_shown_when_it_does(page: Page) -> None:
    browser = page.browser
    page.open()
    wanted = int(page.call("eth_blockNumber"), 16) + 12
    page.go(f"#/block/{wanted}")
    browser.shows("#main", "There is no network block")
    wait_for(
        lambda: page.call("anvil_mine", "0x4") or int(page.call("eth_blockNumber"), 16) >= wanted,
        "the block to be there",
    )
    browser.shows("#main h1", "Network block")
    browser.shows("#main", "Votes in the certificate")


def test_the_proof_of_a_message_is_saved_and_proves_it(page: Page, tmp_path: Path) -> None:
    browser = page.browser
    _, message = crossed(page)
    folder = tmp_path / "downloads"
    folder.mkdir()
    browser.cdp("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    page.open(f"#/message/{message['id']}")
    browser.click("#proof")
    file = browser.until(lambda: next(iter(folder.glob("*.json")), None), "the file")
    assert document(file)["version"] == 1
    genesis = page.network.directory / "genesis.json"
    shown = atoll("verify", file, "--genesis", genesis, "--json").stdout
    assert str(message["id"]) in shown


def test_an_address_shows_its_home_its_money_and_its_recent_transactions(page: Page) -> None:
    browser = page.browser
    tx, _ = crossed(page)
    account = page.network.account(0).address
    page.open(f"#/address/{account}")
    for words in ("Balance", "Shard 0", "account"):
        browser.shows("#main", words)
    browser.click("#panel-recent-activity ~ button")
    browser.shows("#panel-recent-activity ~ div", "out")
    browser.has(f'a[href="#/tx/{tx}"]', 1)
    nonce = int(page.call("eth_getTransactionCount", account, "latest"), 16)
    page.transfer()
    browser.until(lambda: str(nonce + 1) in browser.texts(".facts dd"), "the nonce to grow")
    browser.has(f'a[href="#/tx/{tx}"]', 1)  # what was found stays


def test_a_page_that_is_none_leads_back(page: Page) -> None:
    page.open("#/nowhere")
    page.browser.shows("#main", "There is no such page")
    page.browser.click("#main a")
    page.browser.shows("#main", "Blocks and messages")
