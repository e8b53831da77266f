"""Where gas costs much more on one shard, web3.py with its defaults pays enough for it from another one, and
no more than gas costs on its own shard for what stays there."""

from pathlib import Path
from typing import Any

import pytest
import vyper
from web3 import Web3
from web3.middleware import SignAndSendRawMiddlewareBuilder

from node.testing.shared import SharedNetworks
from tests.cluster.support.client import call, deploy, receipt, wait_for
from tests.cluster.support.dear import GWEI, base_fee, make_dear
from tests.cluster.support.network import ROOT

GAS, REPLY_GAS = 100_000, 300_000


@pytest.fixture(scope="module")
def remote() -> dict[str, Any]:
    source = (Path(ROOT) / "examples" / "contracts" / "Remote.vy").read_text()
    compiled: dict[str, Any] = vyper.compile_code(source, output_formats=["abi", "bytecode"])
    return compiled


def test_web3_pays_enough_without_being_told(
    networks: SharedNetworks, ledger: dict[str, Any], remote: dict[str, Any]
) -> None:
    """A transaction to the dear shard, one to a contract that sends a message there, and one that stays: filled
    in by web3.py, sent by its middleware, and made by `build_transaction`."""
    network = networks.shared(shards=2, validators=1)
    far = deploy(network.web3(node="s1v0"), network.account(1).signer, ledger)
    alice = network.account(0).signer
    asker = deploy(network.web3(), alice, remote)
    w3 = Web3(Web3.HTTPProvider(network.rpc, request_kwargs={"timeout": 30}))
    w3.middleware_onion.inject(SignAndSendRawMiddlewareBuilder.build(alice), layer=0)  # type: ignore[arg-type]
    w3.eth.default_account = alice.address
    make_dear(network, 1)

    def dear() -> None:
        """So much dearer that what a transaction of the cheap shard pays would not do there."""
        assert base_fee(network, 1) > 4 * (base_fee(network, 0) + GWEI)

    dear()
    departed = w3.eth.send_transaction({"to": far.address, "data": far.encode_abi("add", [1])})
    assert receipt(w3, departed)["status"] == 1
    dear()
    value = (GAS + REPLY_GAS) * w3.eth.gas_price
    question = asker.encode_abi("ask", [far.address, far.encode_abi("add", [20]), GAS, REPLY_GAS])
    asked = w3.eth.send_transaction({"to": asker.address, "data": question, "value": value})
    assert receipt(w3, asked)["status"] == 1
    assert receipt(w3, asked)["effectiveGasPrice"] < base_fee(network, 1) // 4
    dear()
    stayed = w3.eth.send_transaction({"to": network.account(0, 1).address, "value": 1})
    assert receipt(w3, stayed)["status"] == 1
    assert receipt(w3, stayed)["effectiveGasPrice"] < base_fee(network, 1) // 4
    dear()
    ask = w3.eth.contract(address=asker.address, abi=asker.abi).functions.ask
    built = ask(far.address, far.encode_abi("add", [300]), GAS, REPLY_GAS).build_transaction(
        {
            "from": alice.address,
            "value": (GAS + REPLY_GAS) * w3.eth.gas_price,
            "nonce": w3.eth.get_transaction_count(alice.address),
        }
    )
    sent = w3.eth.send_raw_transaction(alice.sign_transaction(built).raw_transaction)
    assert receipt(w3, sent)["status"] == 1

    wait_for(lambda: far.functions.total().call() == 321, "all three to be executed on shard 1")
    assert far.functions.by(alice.address).call() == 1
    assert far.functions.by(asker.address).call() == 320
    wait_for(lambda: asker.functions.count().call() == 2, "both to be answered")
    for endpoint in (network.rpc, network.node("s1v0").rpc):
        assert call(endpoint, "txpool_status") == {"pending": "0x0", "queued": "0x0"}
    network.invariants.check()
