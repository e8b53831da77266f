"""Contracts that call other shards, on real processes: what comes of it is told, and nothing is lost."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import vyper
from web3 import Web3
from web3.contract import Contract
from web3.exceptions import ContractCustomError
from web3.logs import DISCARD

from node.primitives.messenger import ABI
from node.testing import Network
from node.testing.shared import SharedNetworks
from tests.cluster.support.client import MESSENGER, deploy, send_and_wait, wait_for
from tests.cluster.support.network import ROOT, atoll

GAS, REPLY_GAS = 150_000, 300_000
PRICE = 5 * 10**9
CALLBACK = bytes.fromhex("11f4640a")  # answered(bytes32,bool,bytes)


@pytest.fixture
def network(networks: SharedNetworks) -> Iterator[Network]:
    network = networks.shared(shards=2, validators=1)
    yield network
    network.invariants.check()


@pytest.fixture(scope="module")
def remote() -> dict[str, Any]:
    source = (Path(ROOT) / "examples" / "contracts" / "Remote.vy").read_text()
    compiled: dict[str, Any] = vyper.compile_code(source, output_formats=["abi", "bytecode"])
    return compiled


class Scene:
    """A contract on shard 0 that asks, and one on shard 1 that is asked."""

    def __init__(self, network: Network, remote: dict[str, Any], ledger: dict[str, Any]) -> None:
        self.w3 = network.web3()
        self.alice, bob = network.account(0).signer, network.account(1).signer
        self.remote = deploy(self.w3, self.alice, remote)
        self.ledger = deploy(network.web3(node="s1v0"), bob, ledger)

    def ask(self, data: str, value: int) -> bytes:
        """Send a call to the ledger, with `value` beside the gas; its id."""
        done = send_and_wait(
            self.w3,
            self.alice,
            to=self.remote.address,
            data=self.remote.encode_abi("ask", [self.ledger.address, data, GAS, REPLY_GAS]),
            value=(GAS + REPLY_GAS) * PRICE + value,
            gas=600_000,
            gasPrice=PRICE,
        )
        assert done["status"] == 1
        [event] = messenger(self.w3).events.Send().process_receipt(done, errors=DISCARD)
        assert event["args"]["sender"] == self.remote.address
        assert event["args"]["value"] == value
        return bytes(event["args"]["id"])

    def answer(self, message_id: bytes) -> Any:
        """(known, ok, shard, data) once it is there."""
        read = self.remote.functions.answers(message_id)
        return wait_for(lambda: (found := read.call())[0] and found, "the callback to be run")


def messenger(w3: Web3) -> Contract:
    return w3.eth.contract(address=MESSENGER, abi=ABI)


def test_calls_with_callbacks(
    network: Network, remote: dict[str, Any], ledger: dict[str, Any]
) -> None:
    scene = Scene(network, remote, ledger)
    w3, balance = scene.w3, scene.w3.eth.get_balance
    asker = scene.remote.address

    first = scene.ask(scene.ledger.encode_abi("add", [7]), 5)
    sent = messenger(w3).functions.outbox(1).call({"from": scene.alice.address})[0]
    assert first == Web3.solidity_keccak(["uint256"] * 3, [0, 1, sent - 1])
    known, ok, shard, data = scene.answer(first)
    assert (known, ok, shard, int.from_bytes(data, "big")) == (True, True, 1, 7)
    assert scene.ledger.functions.by(asker).call() == 7
    assert (balance(scene.ledger.address), balance(asker)) == (5, 0)

    second = scene.ask(scene.ledger.encode_abi("refuse"), 9)
    known, ok, _, data = scene.answer(second)
    assert (known, ok) == (True, False)
    assert b"refused on purpose" in data
    assert (balance(scene.ledger.address), balance(asker)) == (5, 9)  # the value came home

    send_and_wait(w3, scene.alice, to=asker, data=scene.remote.encode_abi("refuse", [True]))
    third = scene.ask(scene.ledger.encode_abi("refuse"), 11)
    wait_for(lambda: balance(asker) == 20, "the value to come home although the callback reverts")
    network.invariants.wait_until_quiet()
    assert not scene.remote.functions.answers(third).call()[0]
    assert scene.remote.functions.asked(third).call()
    assert scene.remote.functions.count().call() == 2


def test_unused_gas_comes_back_to_who_paid(
    network: Network, remote: dict[str, Any], ledger: dict[str, Any]
) -> None:
    """Sent, less what was used on both shards: nothing of it stays anywhere."""
    scene = Scene(network, remote, ledger)
    before = scene.w3.eth.get_balance(scene.alice.address)
    message = scene.ask(scene.ledger.encode_abi("add", [1]), 0)
    scene.answer(message)
    network.invariants.wait_until_quiet()
    spent = before - scene.w3.eth.get_balance(scene.alice.address)
    assert 0 < spent < 600_000 * PRICE < (GAS + REPLY_GAS) * PRICE + 200_000 * PRICE


def test_what_cannot_be_sent_says_why(network: Network) -> None:
    w3 = network.web3()
    alice, bob = network.account(0).address, network.account(1).address
    contract = messenger(w3)
    assert contract.functions.homeOf(alice).call({"to": MESSENGER}) in (0, 1)
    for to, gas, name in (
        (alice, 0, "NotRemote(address)"),
        (bob, 10**8, "GasTooHigh(uint256,uint256)"),
    ):
        call = contract.functions.send(to, b"", gas, 0, bytes(4))
        with pytest.raises(ContractCustomError) as caught:
            call.call({"from": alice})
        assert str(caught.value.data).startswith("0x" + Web3.keccak(text=name)[:4].hex())


def test_a_proposer_that_withholds_does_not_hold_up_messages(
    networks: SharedNetworks,
) -> None:
    network = networks.start(shards=2, validators=4)
    try:
        atoll("fault", "withhold", "s1v1", "--dir", network.directory)
        w3, alice = network.web3(), network.account(0).signer
        for _ in range(6):
            bob = network.new_account(1, ether=0).address
            done = send_and_wait(w3, alice, to=bob, value=3)
            assert done["status"] == 1
            assert w3.eth.get_balance(bob) == 3
        network.invariants.check()
    finally:
        network.stop()
