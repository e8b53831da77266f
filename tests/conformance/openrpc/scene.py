"""What the calls are about: accounts and contracts of both shards, transactions of every kind."""

from dataclasses import dataclass
from typing import Any

from node.testing import Network
from tests.cluster.support.client import call, connect, receipt, send, send_and_wait

# Stores its first word at slot 1 and logs (topic 7; word); without input it returns slot 1; a word of
# zeros reverts.
RUNTIME = "36600d576001545f5260205ff35b5f358015602157806001555f52600760205fa1005b5f5ffd"
LISTED = {"accessList": [{"address": "0x" + "11" * 20, "storageKeys": ["0x" + "00" * 31 + "01"]}]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """`transactions` by what they are; every one is included. `contracts` and `users` by shard."""

    network: Network
    users: tuple[str, str]
    contracts: tuple[str, str]
    transactions: dict[str, str]

    @property
    def endpoints(self) -> list[str]:
        """The network view as both nodes serve it."""
        return [self.network.node(f"s{shard}v0").rpc for shard in (0, 1)]

    def receipt(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = call(
            self.endpoints[0], "eth_getTransactionReceipt", [self.transactions[name]]
        )
        return found


def make_scene(network: Network) -> Scene:
    users = tuple(network.account(shard).signer for shard in (0, 1))
    init = f"0x60{len(RUNTIME) // 2:02x}80600b5f395ff3".ljust(24, "0") + RUNTIME
    contracts, transactions = [], {}
    for shard, user in enumerate(users):
        w3 = network.web3(node=f"s{shard}v0")
        created = send_and_wait(w3, user, data=init)
        contracts.append(created["contractAddress"])
        transactions[f"creation {shard}"] = "0x" + created["transactionHash"].hex()
    word = "0x" + "00" * 31 + "2a"
    kinds: dict[str, dict[str, Any]] = {
        "dynamic fee": {},
        "legacy": {"gasPrice": connect(network.rpc).eth.gas_price * 2},
        "access list": {"gasPrice": connect(network.rpc).eth.gas_price * 2, **LISTED},
    }
    for shard, user in enumerate(users):
        w3 = network.web3(node=f"s{shard}v0")
        for name, fields in kinds.items():
            sent = send(w3, user, to=contracts[shard], data=word, gas=120_000, **fields)
            transactions[f"{name} {shard}"] = "0x" + sent.hex()
        away = send(w3, user, to=contracts[1 - shard], data=word, gas=120_000)
        transactions[f"crossing {shard}"] = "0x" + away.hex()
        failing = send(w3, user, to=contracts[shard], data="0x" + "00" * 32, gas=120_000)
        transactions[f"failing {shard}"] = "0x" + failing.hex()
    signed = users[0].sign_authorization(
        {
            "chainId": network.chain_id,
            "address": contracts[0],
            "nonce": network.web3().eth.get_transaction_count(users[0].address, "pending") + 1,
        }
    )
    delegating = send(
        network.web3(), users[0], to=users[0].address, gas=120_000, authorizationList=[signed]
    )
    transactions["set code 0"] = "0x" + delegating.hex()
    for tx_hash in transactions.values():
        receipt(network.web3(), tx_hash)
    return Scene(
        network=network,
        users=(users[0].address, users[1].address),
        contracts=(contracts[0], contracts[1]),
        transactions=transactions,
    )
