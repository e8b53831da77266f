"""Gas that costs much more on one shard than on the others."""

from web3 import Web3

from node.testing import Network
from tests.cluster.support.client import call, receipt, send_and_wait, sign, wait_for

BURNER = "0x60fe5f5360015ff3"  # creates a contract that uses all gas that it is given
BLOCK_GAS = 30_000_000
BATCH = 12  # full blocks at once: each raises the base fee by an eighth
ENOUGH = 10**13  # wei per gas, whatever it comes to
GWEI = 10**9


def base_fee(network: Network, shard: int) -> int:
    """Of the block after the newest that `shard` has decided."""
    endpoint = network.shard(shard).rpc
    return int(call(endpoint, "eth_feeHistory", ["0x1", "latest", []])["baseFeePerGas"][-1], 16)


def make_dear(network: Network, shard: int, wei: int = 100 * GWEI) -> None:
    """Fill blocks of `shard` until its base fee is `wei` at least and `/` shows that. It falls from then on, by
    an eighth in each block that is not half full."""
    w3 = network.web3(node=f"s{shard}v0")
    flooder = [a for a in network.accounts if a.home == shard][-1].signer
    burner = send_and_wait(w3, flooder, data=BURNER)["contractAddress"]
    nonce = w3.eth.get_transaction_count(flooder.address)
    while base_fee(network, shard) < wei:
        hashes = [
            w3.eth.send_raw_transaction(
                sign(
                    flooder, chainId=w3.eth.chain_id, nonce=nonce + n, to=burner, gas=BLOCK_GAS,
                    value=0, maxFeePerGas=ENOUGH, maxPriorityFeePerGas=1,
                )
            )
            for n in range(BATCH)
        ]  # fmt: skip
        assert {receipt(w3, tx_hash)["status"] for tx_hash in hashes} == {0}
        nonce += BATCH
    for other in network.shard_ids:
        wait_for(
            lambda other=other: _shown(network.web3(node=f"s{other}v0")) > wei // 2,
            "the price to be shown",
        )


def _shown(w3: Web3) -> int:
    return int(w3.eth.get_block("latest")["baseFeePerGas"])
