"""Networks of other shapes, and one whose processes are started by hand."""

import os
import signal
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from node.testing import Network, until
from node.testing.shared import SharedNetworks
from tests.cluster.support.client import (
    cost,
    deploy,
    receipt,
    send,
    send_and_wait,
    wait_until_equal,
)
from tests.cluster.support.load import ETHER
from tests.cluster.support.network import ROOT, atoll


def move_value_between_all(network: Network) -> None:
    """One transfer from every shard to every shard, sent at once, each through the shard it leaves."""
    pairs = list(product(network.shard_ids, repeat=2))
    payers = {shard: network.account(shard).address for shard in network.shard_ids}
    payees = {shard: network.account(shard, 1).address for shard in network.shard_ids}
    expected = {
        address: network.web3().eth.get_balance(address)
        for address in (*payers.values(), *payees.values())
    }
    sent = {}
    for src, dst in pairs:
        w3, payer = network.web3(node=f"s{src}v0"), network.account(src).signer
        sent[src, dst] = send(w3, payer, to=payees[dst], value=ETHER, gas=21_000)
    for (src, dst), tx_hash in sent.items():
        done = receipt(network.web3(node=f"s{dst}v0"), tx_hash)
        assert (done["status"], done["gasUsed"]) == (1, 21_000)
        expected[payers[src]] -= ETHER + cost(done)
        expected[payees[dst]] += ETHER
    for shard in network.shard_ids:
        w3 = network.web3(node=f"s{shard}v0")
        for address, wei in expected.items():
            wait_until_equal(
                lambda w3=w3, address=address: w3.eth.get_balance(address),
                wei,
                f"the balance of {address} through shard {shard}",
            )


@pytest.mark.parametrize(
    ("shards", "validators"), [(1, 1), (2, 1), (4, 1), (4, 4)], ids=lambda n: str(n)
)
def test_value_moves_between_all_shards(
    networks: SharedNetworks, shards: int, validators: int
) -> None:
    network = networks.shared(shards=shards, validators=validators)
    assert len(network.nodes) == shards * validators
    move_value_between_all(network)
    network.invariants.check()


def test_one_validator_is_a_network(networks: SharedNetworks, ledger: dict[str, Any]) -> None:
    """1x1 is an ordinary development chain, and it keeps what it has across a stop."""
    network = networks.shared(shards=1, validators=1)
    alice = network.account(0, 2).signer
    contract = deploy(network.web3(), alice, ledger)
    done = send_and_wait(
        network.web3(), alice, to=contract.address, data=contract.encode_abi("add", [1])
    )

    network.down()
    network.up()

    w3 = network.web3()
    assert w3.eth.get_transaction_receipt(done["transactionHash"]) == done
    again = w3.eth.contract(address=contract.address, abi=ledger["abi"])
    assert again.functions.total().call() == 1
    send_and_wait(w3, alice, to=contract.address, data=contract.encode_abi("add", [1]))
    assert again.functions.total().call() == 2
    network.invariants.check()


def test_processes_that_are_started_one_by_one(networks: SharedNetworks, tmp_path: Path) -> None:
    """As containers do it: `atoll init` makes everything, `atoll node` runs one process."""
    networks.rest()
    (tmp_path / "network.toml").write_text(
        'shards = 2\nvalidators = 1\nchain_id = 4242\nseed = "by hand"\n[rpc]\nport = 0\n'
    )
    directory = tmp_path / "net"
    atoll("init", "--manifest", tmp_path / "network.toml", "--dir", directory)
    command, processes = [sys.executable, "-m", "node", "node"], []
    try:
        for name in ("s0v0", "s1v0"):
            config = str(directory / "nodes" / name / "node.toml")
            with (directory / "nodes" / name / "node.log").open("ab") as log:
                processes.append(
                    subprocess.Popen(
                        [*command, "--config", config, "--parent", str(os.getpid())],
                        stdout=log,
                        stderr=log,
                        cwd=ROOT,
                    )
                )
        network = Network.at(directory)
        network.wait_for(until.ready())
        assert network.web3().eth.chain_id == 4242
        move_value_between_all(network)
        network.invariants.check()
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
        codes = [process.wait(timeout=20) for process in processes]
    assert codes == [0, 0]
