"""What the examples need of a running devnet: accounts by shard, contracts, and the story of a transaction.

    .venv/bin/atoll up                                in one terminal
    .venv/bin/python examples/token/run.py            in another

Everything is ordinary web3.py but `Devnet.settle`, which waits until nothing that a transaction caused is
under way any more (`atoll_trace`).
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import vyper
from eth_account import Account
from eth_account.signers.local import LocalAccount
from web3 import Web3
from web3.contract import Contract
from web3.contract.contract import ContractFunction

HERE = Path(__file__).parent
MESSENGER = Web3.to_checksum_address("0xa70110000000000000000000000000000000a701")
PATIENCE = 60.0
"""Seconds in which anything may happen."""


def devnet_from_arguments(description: str | None) -> "Devnet":
    """The devnet that the command line names."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--dir", type=Path, default=Path(".atoll"), help="the network's directory")
    return Devnet(parser.parse_args().dir)


class Devnet:
    """The network in `directory`, through its one endpoint."""

    def __init__(self, directory: Path) -> None:
        file = directory / "network.json"
        if not file.exists():
            raise SystemExit(f"no network runs in {directory}: start one with `atoll up`")
        info = json.loads(file.read_text())
        self.w3 = Web3(Web3.HTTPProvider(info["rpc"]))
        self.shards = len(info["shards"])
        self._accounts: dict[int, list[LocalAccount]] = {n: [] for n in range(self.shards)}
        for account in info["accounts"]:
            self._accounts[account["home"]].append(Account.from_key(account["privateKey"]))

    def person(self, shard: int) -> LocalAccount:
        """A new account with 20 ether that lives on `shard`."""
        someone = self.stranger(shard)
        self.pay(self._accounts[shard][0], someone.address, 20 * 10**18)
        return someone

    def stranger(self, shard: int) -> LocalAccount:
        """A new account without a wei that lives on `shard`."""
        while True:
            account: LocalAccount = Account.create()
            if self.home(account.address) == shard:
                return account

    def home(self, address: str) -> int:
        return int(self._ask("atoll_home", address), 16)

    # ------------------------------------------------------------------ transactions

    def deploy(self, account: LocalAccount, source: str, *args: Any, value: int = 0) -> Contract:
        """Compile a contract of the examples and deploy it, on the shard where `account` lives."""
        compiled = vyper.compile_code(
            (HERE / source).read_text(), output_formats=["abi", "bytecode"]
        )
        factory = self.w3.eth.contract(abi=compiled["abi"], bytecode=compiled["bytecode"])
        receipt = self.send(account, factory.constructor(*args), value=value)
        contract: Contract = self.w3.eth.contract(
            address=receipt["contractAddress"], abi=compiled["abi"]
        )
        return contract

    def send(
        self,
        account: LocalAccount,
        call: Any,
        *,
        value: int = 0,
        fee: ContractFunction | None = None,
    ) -> Any:
        """Send a transaction that makes `call` and wait for its receipt, which must be a success.

        `fee` is a view of a contract that says, for the gas price of this transaction, what its messages
        cost: that is added to the value.
        """
        fields = self._fields(account, value)
        if fee is not None:
            fields["value"] += fee.call({"from": account.address, "gasPrice": fields["gasPrice"]})
        receipt = self._receipt(account, call.build_transaction(fields))
        if receipt["status"] != 1:
            raise RuntimeError(f"the transaction {receipt['transactionHash'].hex()} failed")
        return receipt

    def pay(self, account: LocalAccount, to: str, wei: int) -> Any:
        """Send wei."""
        fields = {**self._fields(account, wei), "to": to, "gas": 21_000}
        return self._receipt(account, fields)

    def _fields(self, account: LocalAccount, value: int) -> dict[str, Any]:
        # One price, known beforehand: what a message prepays depends on it.
        return {
            "from": account.address,
            "chainId": self.w3.eth.chain_id,
            "nonce": self.w3.eth.get_transaction_count(account.address, "pending"),
            "gasPrice": 2 * self.w3.eth.gas_price,
            "value": value,
        }

    def _receipt(self, account: LocalAccount, fields: dict[str, Any]) -> Any:
        signed = account.sign_transaction({k: v for k, v in fields.items() if k != "from"})
        sent = self.w3.eth.send_raw_transaction(signed.raw_transaction)
        return self.w3.eth.wait_for_transaction_receipt(sent, timeout=PATIENCE, poll_latency=0.05)

    # ------------------------------------------------------------------ messages

    def settle(self, receipt: Any) -> dict[str, Any]:
        """Wait until all that a transaction caused has happened; the tree of it."""
        deadline = time.monotonic() + PATIENCE
        tx_hash = Web3.to_hex(receipt["transactionHash"])
        while True:
            trace = self._ask("atoll_trace", tx_hash)
            # All nodes see what has run once the beacon has it: until then no block is named.
            if trace and trace["complete"] and all(n["networkBlock"] for n in nodes(trace["root"])):
                return dict(trace)
            if time.monotonic() > deadline:
                raise TimeoutError(f"{tx_hash} is under way for more than {PATIENCE:g} s: {trace}")
            time.sleep(0.05)

    def tell(self, title: str, receipt: Any) -> dict[str, Any]:
        """Print the story of a transaction when it is over; its tree."""
        trace = self.settle(receipt)
        print(f"\n{title}")
        for depth, node in levels(trace["root"]):
            print(
                f"  {'  ' * depth}{node['kind']:<12} shard {node['shard']} block {node['block']:<5}"
                f" {node['outcome']:<9} {int(node['value'] or '0x0', 16) / 10**18:.6f} ether"
                f" {node['from'][:8]}.. -> {(node['to'] or 'new contract')[:8]}.."
            )
        return trace

    def wait_until(self, timestamp: int) -> None:
        """Wait until the chain's time is past `timestamp`, in seconds since 1970."""
        while self.w3.eth.get_block("latest")["timestamp"] <= timestamp:
            time.sleep(0.2)

    def _ask(self, method: str, *params: Any) -> Any:
        response = self.w3.provider.make_request(method, list(params))  # type: ignore[arg-type]
        if "error" in response:
            raise RuntimeError(f"{method}: {response['error']['message']}")
        return response["result"]


def levels(node: dict[str, Any], depth: int = 0) -> Iterator[tuple[int, dict[str, Any]]]:
    """The nodes of a trace with their depth, parents first."""
    yield depth, node
    for child in node["children"]:
        yield from levels(child, depth + 1)


def nodes(root: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for _, node in levels(root):
        yield node
