"""What must have happened on the chain before web3.py's tests begin."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from web3 import Web3
from web3.types import Wei

from node.testing import Network
from tests.cluster.support.client import call, receipt, wait_for
from tests.cluster.support.network import atoll

DOUBLE_WITH_INDEX = 9  # of the emitter's events
FAST, SLOW = "fast", "slow"
PARAMS = {
    FAST: "",
    # A block every so often and none between: a transaction stays pending for a while.
    SLOW: "min_block_interval = 1.2\nheartbeat = 1.2\n",
}
CHAIN_ID = 131277322940537  # of the genesis that web3.py's suite brings; some tests compare it


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Hashes are 0x strings, `contracts` addresses by the fixtures' names. `unused_keys` are those of
    accounts on the same shard that have sent nothing."""

    account: str
    private_key: str
    unused_keys: list[str]
    contracts: dict[str, str]
    math_deployment: str
    mined: str
    with_log: str
    empty_block: str
    block_with_transaction: str
    block_with_log: str


@dataclass(frozen=True, slots=True)
class Chain:
    """`endpoint` is the one endpoint of the network, on a node of the shard where the account does not
    live; `home` is that shard's own chain."""

    endpoint: str
    home: str
    facts: Facts

    @property
    def head(self) -> int:
        """The height of the account's shard."""
        return int(call(self.home, "eth_blockNumber"), 16)

    def wait_for_block(self) -> int:
        """Return just after a block of the account's shard, with its height."""
        head = self.head
        wait_for(lambda: self.head != head, "a block")
        return self.head


class Chains:
    """Networks of two shards by their pace; each is made when it is first asked for."""

    def __init__(self, root: Path, contracts: dict[str, Any]) -> None:
        self._root = root
        self._contracts = contracts
        self._networks: list[Network] = []
        self._chains: dict[str, Chain] = {}

    def get(self, pace: str) -> Chain:
        found = self._chains.get(pace)
        if found is None:
            network = self._start(pace)
            facts = make_facts(network, self._contracts)
            found = self._chains[pace] = Chain(network.rpc, network.shard(1).rpc, facts)
        return found

    def _start(self, pace: str) -> Network:
        manifest = self._root / f"{pace}.toml"
        manifest.write_text(
            f"chain_id = {CHAIN_ID}\nshards = 2\nvalidators = 1\n[params]\n{PARAMS[pace]}"
            "[p2p]\nport = 0\n[rpc]\nport = 0\n"
        )
        directory = self._root / pace
        atoll("init", "--manifest", manifest, "--dir", directory)
        network = Network.at(directory)
        self._networks.append(network)
        network.up()
        return network

    def stop(self) -> None:
        for network in self._networks:
            network.down()


def make_facts(network: Network, contracts: dict[str, Any]) -> Facts:
    """Deploy the contracts and send what the tests look for, from an account that the node holds."""
    w3 = network.web3()
    known, *others = (a for a in network.accounts if a.home == 1)
    account = known.address

    def done(tx_hash: Any) -> Any:
        return receipt(w3, tx_hash)

    genesis = w3.eth.get_block(0)
    done(w3.eth.send_transaction({"from": account, "to": genesis["miner"], "value": Wei(1)}))
    deployed = {}
    for name, data in contracts.items():
        factory = w3.eth.contract(abi=data["abi"], bytecode=data["bytecode"])
        deployed[name] = done(factory.constructor().transact({"from": account}))
        assert deployed[name]["status"] == 1
    emitter = w3.eth.contract(
        address=deployed["emitter_contract"]["contractAddress"],
        abi=contracts["emitter_contract"]["abi"],
    )
    logged = done(
        emitter.functions.logDouble(which=DOUBLE_WITH_INDEX, arg0=12345, arg1=54321).transact(
            {"from": account}
        )
    )
    mined = done(w3.eth.send_transaction({"from": account, "to": account, "value": Wei(1)}))
    return Facts(
        account=account,
        private_key=known.private_key,
        unused_keys=[other.private_key for other in others],
        contracts={name: found["contractAddress"] for name, found in deployed.items()},
        math_deployment=_hex(deployed["math_contract"]["transactionHash"]),
        mined=_hex(mined["transactionHash"]),
        with_log=_hex(logged["transactionHash"]),
        empty_block=wait_for(lambda: _empty_block(w3), "a block without transactions"),
        block_with_transaction=_hex(mined["blockHash"]),
        block_with_log=_hex(logged["blockHash"]),
    )


def _empty_block(w3: Web3) -> str | None:
    for number in range(1, w3.eth.block_number + 1):
        block = w3.eth.get_block(number)
        if not block["transactions"]:
            return _hex(block["hash"])
    return None


def _hex(value: bytes) -> str:
    return "0x" + bytes(value).hex()
