"""What users handed in and no block has: kept when the network is stopped, lost when it is killed."""

from eth_account.signers.local import LocalAccount

from node.testing import Network
from node.testing.shared import SharedNetworks
from tests.cluster.support.client import call, wait_for

GAS_PRICE = 10**10


def send(network: Network, sender: LocalAccount, nonce: int) -> str:
    """A transfer within shard 0, which its own node is given; its hash."""
    signed = sender.sign_transaction(
        {
            "chainId": network.chain_id,
            "nonce": nonce,
            "to": network.account(0, 1).address,
            "value": 1,
            "gas": 21_000,
            "gasPrice": GAS_PRICE,
        }
    )
    raw = "0x" + bytes(signed.raw_transaction).hex()
    return str(call(network.rpc, "eth_sendRawTransaction", [raw]))


def queued(network: Network) -> int:
    return int(call(network.rpc, "txpool_status")["queued"], 16)


def test_transactions_that_wait_outlive_a_clean_stop_and_no_kill(networks: SharedNetworks) -> None:
    network = networks.shared(shards=2, validators=1)
    sender = network.account(0).signer
    nonce = int(call(network.rpc, "eth_getTransactionCount", [sender.address, "latest"]), 16)
    waiting = [send(network, sender, nonce + gap) for gap in (1, 2)]
    assert queued(network) == 2

    network.down()
    network.up()
    assert queued(network) == 2
    first = send(network, sender, nonce)
    for tx in (first, *waiting):
        receipt = wait_for(
            lambda tx=tx: call(network.rpc, "eth_getTransactionReceipt", [tx]),
            f"{tx} to be in a block",
        )
        assert receipt["status"] == "0x1"
    assert queued(network) == 0

    send(network, sender, nonce + 4)
    assert queued(network) == 1
    network.faults.kill("s0v0")
    network.up()
    assert queued(network) == 0
