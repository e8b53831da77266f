"""Whoever has seen the receipt of a deployment can call the contract at once: from the other shard, through
another node, whatever the links are like. No call is taken for a transfer.

ATOLL_JUST_BORN says how many calls; `make` targets and CI leave it at a few hundred.
"""

import http.client
import json
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import pytest
from eth_account.signers.local import LocalAccount

from node.cluster.client.client import call_many
from node.cluster.client.wallet import TransactionDraft, sign
from node.primitives.births import contract_address
from node.primitives.keys import SigningKey
from node.primitives.placement import home_by_range
from node.testing import Network
from node.testing.shared import SharedNetworks
from tests.cluster.support.client import receipt, send, wait_for

CALLS = int(os.environ.get("ATOLL_JUST_BORN", "120"))
CLIENTS = 8
AT_ONCE = 5 if CALLS <= 1000 else 50  # contracts of a client in one round
DELAY = 0.3
GWEI = 10**9
SECONDS = 60.0
FAST = {"heartbeat": 0.5}
COUNTER = bytes.fromhex("5f546001015f5500")  # slot 0 rises by one with each call
CREATION = bytes.fromhex(f"61{len(COUNTER):04x}80600a5f395ff3") + COUNTER
CREATION_GAS, CALL_GAS = 150_000, 120_000


@pytest.fixture(params=[1, 4], ids=["2x1", "2x4"])
def two(request: pytest.FixtureRequest, networks: SharedNetworks) -> Iterator[Network]:
    """Two shards."""
    network = networks.shared(shards=2, validators=request.param, params=FAST)
    yield network
    network.invariants.check()


class Endpoint:
    """JSON-RPC to one node, for many threads."""

    def __init__(self, url: str) -> None:
        self._place = urlsplit(url).netloc

    def ask(self, body: Any) -> Any:
        with closing(http.client.HTTPConnection(self._place, timeout=SECONDS)) as link:
            link.request("POST", "/", json.dumps(body), {"content-type": "application/json"})
            return json.loads(link.getresponse().read())

    def call(self, method: str, *params: Any) -> Any:
        answer = self.ask({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    def call_each(self, method: str, arguments: Sequence[str]) -> list[Any]:
        body = [
            {"jsonrpc": "2.0", "id": index, "method": method, "params": [argument]}
            for index, argument in enumerate(arguments)
        ]
        answers = self.ask(body)
        assert all("error" not in answer for answer in answers), answers
        return [answer["result"] for answer in answers]


class Client:
    """Deploys on one shard through one node, and calls from the other shard through another node."""

    def __init__(self, network: Network, index: int, chain_id: int) -> None:
        self._shards = len(network.shards)
        rows = [network.shard(shard).nodes for shard in network.shard_ids]
        self._endpoints = [Endpoint(row[index % len(row)].rpc) for row in rows]
        self._chain_id = chain_id
        self.accounts = [network.new_account(shard, ether=0).signer for shard in network.shard_ids]
        self._nonces = dict.fromkeys((a.address for a in self.accounts), 0)
        self.contracts: list[str] = []
        self.away = 0
        "How many live outside of their range: whoever does not know the birth takes them for nobody."
        self.calls: list[str] = []

    def _sign(self, account: LocalAccount, wanted: TransactionDraft, gas: int) -> str:
        nonce = self._nonces[account.address]
        self._nonces[account.address] = nonce + 1
        key, fees = SigningKey(bytes(account.key)), {"tip": GWEI, "fee": 100 * GWEI}
        raw = sign(key, wanted, chain_id=self._chain_id, nonce=nonce, gas=gas, **fees)
        return "0x" + raw.hex()

    def round(self, born: int, count: int) -> None:
        """`count` contracts of shard `born`, each called from the other one the moment its receipt is seen."""
        other = 1 - born
        deployer, caller = self.accounts[born], self.accounts[other]
        here, there = self._endpoints[born], self._endpoints[other]
        first, sender = self._nonces[deployer.address], bytes.fromhex(deployer.address[2:])
        places = [contract_address(sender, first + index) for index in range(count)]
        creation = TransactionDraft(to=None, data=CREATION)
        raws = [self._sign(deployer, creation, CREATION_GAS) for _ in range(count)]
        waiting = dict(zip(here.call_each("eth_sendRawTransaction", raws), places, strict=True))
        sent: list[Future[str]] = []
        with ThreadPoolExecutor(count) as threads:
            deadline = time.monotonic() + SECONDS
            while waiting:
                assert time.monotonic() < deadline, f"{len(waiting)} deployments have no receipt"
                receipts = here.call_each("eth_getTransactionReceipt", list(waiting))
                for tx_hash, found in zip(list(waiting), receipts, strict=True):
                    if found is None:
                        continue
                    assert found["status"] == "0x1", found
                    place = waiting.pop(tx_hash)
                    self.away += home_by_range(place, self._shards) == other
                    self.contracts.append("0x" + place.hex())
                    raw = self._sign(caller, TransactionDraft(to=place), CALL_GAS)
                    sent.append(threads.submit(there.call, "eth_sendRawTransaction", raw))
        self.calls += [future.result() for future in sent]


def _all_of(network: Network, asked: list[tuple[str, list[Any]]]) -> list[Any]:
    """The answers, none while one is missing."""
    found = call_many(network.rpc, asked)
    return found if all(found) else []


def test_a_contract_can_be_called_as_soon_as_its_receipt_is_seen(two: Network) -> None:
    """In rounds of all clients, which deploy on one shard: a receipt is there at once where the node has to
    fetch nothing from the other shard for it, and so the network is ahead of who is called."""
    w3 = two.web3()
    clients = [Client(two, index, w3.eth.chain_id) for index in range(CLIENTS)]
    for client in clients:
        for shard, account in enumerate(client.accounts):
            rich = two.account(shard).signer
            sent = send(
                two.web3(node=f"s{shard}v0"), rich, to=account.address, value=10**21, gas=21_000
            )
    receipt(w3, sent)

    with two.faults.delay(DELAY), ThreadPoolExecutor(CLIENTS) as threads:
        for number in range(max(CALLS // (CLIENTS * AT_ONCE), 1)):
            for done in [threads.submit(c.round, number % 2, AT_ONCE) for c in clients]:
                done.result()

    lost, ran = 0, 0
    for client in clients:
        asked = [("eth_getTransactionReceipt", [tx]) for tx in client.calls]
        found = wait_for(lambda asked=asked: _all_of(two, asked), "the receipts of all calls")
        assert all(row["status"] == "0x1" for row in found)
        reads = [("eth_getStorageAt", [place, "0x0", "latest"]) for place in client.contracts]
        slots = [int(slot, 16) for slot in call_many(two.rpc, reads)]
        lost += slots.count(0)
        ran += slots.count(1)
    away = sum(client.away for client in clients)
    assert lost == 0, f"{lost} of {lost + ran} calls did not run; {away} contracts lived elsewhere"
    assert ran == sum(len(client.calls) for client in clients)
    assert away > ran // 4
