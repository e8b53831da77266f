"""Networks of other shapes, and one whose processes are started by hand."""

import signal
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.support.client import (
    cost,
    deploy,
    receipt,
    send,
    send_and_wait,
    wait_for,
    wait_until_equal,
)
from tests.cluster.support.load import ETHER
from tests.cluster.support.network import ROOT, Network, Networks, atoll


def move_value_between_all(network: Network) -> None:
    """One transfer from every shard to every shard, sent at once, each through the shard it leaves."""
    pairs = list(product(network.shards, repeat=2))
    payers = {shard: network.accounts(shard)[0].address for shard in network.shards}
    payees = {shard: network.accounts(shard)[1].address for shard in network.shards}
    expected = {
        address: network.w3().eth.get_balance(address)
        for address in (*payers.values(), *payees.values())
    }
    sent = {}
    for src, dst in pairs:
        w3, payer = network.w3(src), network.accounts(src)[0]
        sent[src, dst] = send(w3, payer, to=payees[dst], value=ETHER, gas=21_000)
    for (src, dst), tx_hash in sent.items():
        done = receipt(network.w3(dst), tx_hash)
        assert (done["status"], done["gasUsed"]) == (1, 21_000)
        expected[payers[src]] -= ETHER + cost(done)
        expected[payees[dst]] += ETHER
    for shard in network.shards:
        w3 = network.w3(shard)
        for address, wei in expected.items():
            wait_until_equal(
                lambda w3=w3, address=address: w3.eth.get_balance(address),
                wei,
                f"the balance of {address} through shard {shard}",
            )


@pytest.mark.parametrize(
    ("shards", "validators"), [(1, 1), (2, 1), (4, 1), (4, 4)], ids=lambda n: str(n)
)
def test_value_moves_between_all_shards(networks: Networks, shards: int, validators: int) -> None:
    network = networks.use(shards=shards, validators=validators)
    assert len(network.nodes) == shards * validators
    move_value_between_all(network)
    network.check()


def test_one_validator_is_a_network(networks: Networks, ledger: dict[str, Any]) -> None:
    """1x1 is an ordinary development chain, and it keeps what it has across a stop."""
    network = networks.use(shards=1, validators=1)
    alice = network.accounts(0)[2]
    contract = deploy(network.w3(), alice, ledger)
    done = send_and_wait(
        network.w3(), alice, to=contract.address, data=contract.encode_abi("add", [1])
    )

    network.down()
    network.up()

    w3 = network.w3()
    assert w3.eth.get_transaction_receipt(done["transactionHash"]) == done
    again = w3.eth.contract(address=contract.address, abi=ledger["abi"])
    assert again.functions.total().call() == 1
    send_and_wait(w3, alice, to=contract.address, data=contract.encode_abi("add", [1]))
    assert again.functions.total().call() == 2
    network.check()


def test_processes_that_are_started_one_by_one(networks: Networks, tmp_path: Path) -> None:
    """As containers do it: `atoll init` makes everything, `atoll node` runs one process."""
    networks.stop()
    (tmp_path / "network.toml").write_text(
        'shards = 2\nvalidators = 1\nchain_id = 4242\nseed = "by hand"\n[rpc]\nport = 0\n'
    )
    directory = tmp_path / "net"
    atoll("init", "--manifest", tmp_path / "network.toml", "--dir", directory)
    processes = []
    try:
        for name in ("s0v0", "s1v0"):
            config = str(directory / "nodes" / name / "node.toml")
            with (directory / "nodes" / name / "node.log").open("ab") as log:
                processes.append(
                    subprocess.Popen(
                        [sys.executable, "-m", "node", "node", "--config", config],
                        stdout=log,
                        stderr=log,
                        cwd=ROOT,
                    )
                )
        network = wait_for(lambda: Network.by_hand(directory), "the nodes to answer")
        assert network.w3().eth.chain_id == 4242
        move_value_between_all(network)
        network.check()
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
        codes = [process.wait(timeout=20) for process in processes]
    assert codes == [0, 0]
