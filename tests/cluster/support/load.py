"""A seeded mixed load, and the books of what it must do to every balance."""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount
from web3 import Web3
from web3.contract import Contract

from node.cluster.client.client import call_many
from node.testing import Network
from tests.cluster.support.client import (
    ask,
    connect,
    cost,
    receipt,
    send,
    sign,
    wait_for,
    wait_until_equal,
)

ETHER = 10**18
GWEI = 10**9
BATCH = 20
LOAD_SECONDS = 150.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A signed transaction."""

    hash: str
    raw: bytes
    sender: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(Offer):
    """One transaction: `credits` is who has how much more if it succeeds, `adds` what the ledger logs."""

    value: int
    crosses: bool
    succeeds: bool
    credits: tuple[tuple[str, int], ...]
    adds: int = 0


def make_accounts(seed: int, count: int) -> list[LocalAccount]:
    """Accounts that nobody has used, the same for the same seed."""
    draw = random.Random(seed)
    return [Account.from_key(draw.randbytes(32)) for _ in range(count)]


def fund(network: Network, accounts: Sequence[LocalAccount], wei: int) -> None:
    """Send `wei` to each, from the accounts of all shards in turn."""
    sent = []
    for index, account in enumerate(accounts):
        shard = index % len(network.shards)
        rich = network.account(shard).signer
        sent.append(
            send(network.web3(node=f"s{shard}v0"), rich, to=account.address, value=wei, gas=21_000)
        )
    for tx_hash in sent:
        assert receipt(network.web3(), tx_hash)["status"] == 1


class Source:
    """Transactions of `accounts`, which others send, and what these and `contracts` (by shard) had before.
    `receipts` is for whoever sends what is drawn."""

    def __init__(
        self,
        network: Network,
        accounts: Sequence[LocalAccount],
        contracts: dict[int, Contract],
        seed: int,
    ) -> None:
        self._network = network
        self._random = random.Random(seed)
        self._homes = {account.address: network.home(account.address) for account in accounts}
        w3 = network.web3()
        self._nonces = {address: w3.eth.get_transaction_count(address) for address in self._homes}
        watched = [*self._homes, *(contract.address for contract in contracts.values())]
        self._before = {address: w3.eth.get_balance(address) for address in watched}
        self.receipts: dict[str, Any] = {}

    def draw(self, count: int) -> Sequence[Offer]:
        """The next `count` transactions, or as many as are left."""
        raise NotImplementedError

    def _signed(self, sender: LocalAccount, **fields: Any) -> dict[str, Any]:
        """The parts of an Offer: the sender's next transaction."""
        nonce = self._nonces[sender.address]
        self._nonces[sender.address] = nonce + 1
        raw = sign(sender, chainId=self._network.chain_id, nonce=nonce, **fields)
        return {"hash": Web3.to_hex(Web3.keccak(raw)), "raw": raw, "sender": sender.address}

    def _check_balances(self, balances: Mapping[str, int]) -> None:
        """Those that are watched are these, to the wei and through every shard."""
        for shard in self._network.shard_ids:
            w3 = self._network.web3(node=f"s{shard}v0")
            for address in self._before:
                wait_until_equal(
                    lambda w3=w3, address=address: w3.eth.get_balance(address),
                    balances[address],
                    f"the balance of {address} through shard {shard}",
                )


class Load(Source):
    """Transactions of every kind between `accounts` and the ledger of each shard, about half of them to
    another shard. `ledgers` has a contract for each shard."""

    def __init__(
        self,
        network: Network,
        accounts: Sequence[LocalAccount],
        ledgers: dict[int, Contract],
        *,
        seed: int,
    ) -> None:
        super().__init__(network, accounts, ledgers, seed)
        self._accounts = accounts
        self._ledgers = ledgers
        self.steps: list[Step] = []

    # ------------------------------------------------------------------ sending

    def send(self, count: int, *, avoid: Sequence[str] = ()) -> None:
        """Draw and send `count` transactions in batches through all nodes but `avoid`, in turn."""
        steps = self.draw(count)
        endpoints = [n.rpc for n in self._network.nodes if n.name not in avoid]
        for index, start in enumerate(range(0, count, BATCH)):
            batch = steps[start : start + BATCH]
            hashes = call_many(
                endpoints[index % len(endpoints)],
                [("eth_sendRawTransaction", ["0x" + step.raw.hex()]) for step in batch],
            )
            assert hashes == [step.hash for step in batch]

    def draw(self, count: int) -> list[Step]:
        """The next `count` transactions, which the caller is to send."""
        steps = [self._step() for _ in range(count)]
        self.steps += steps
        return steps

    def send_again(self) -> None:
        """Send what has no receipt once more; that it is known already is no error."""
        for step in self.steps:
            if step.hash not in self.receipts:
                answer = ask(self._network.rpc, "eth_sendRawTransaction", ["0x" + step.raw.hex()])
                refusal = answer.get("error", {}).get("message", "already known")
                assert "already known" in refusal or "nonce too low" in refusal, refusal

    def _step(self) -> Step:
        draw = self._random
        sender = draw.choice(self._accounts)
        crosses = draw.random() < 0.5 and len(self._network.shards) > 1
        home = self._homes[sender.address]
        target = draw.choice([s for s in self._network.shard_ids if (s != home) == crosses])
        kind = draw.choices(("transfer", "add", "refuse", "pay"), weights=(50, 30, 10, 10))[0]
        ledger = self._ledgers[target]
        if kind == "transfer":
            at_target = [a for a in self._accounts if self._homes[a.address] == target]
            to, value = draw.choice(at_target).address, draw.randrange(ETHER // 10)
            return self._sign(sender, crosses, to, value, 21_000, credits=((to, value),))
        if kind == "add":
            value, amount = draw.randrange(ETHER // 100), draw.randrange(1, 1000)
            data, credits = ledger.encode_abi("add", [amount]), ((ledger.address, value),)
            return self._sign(
                sender, crosses, ledger.address, value, 200_000, data, credits=credits, adds=amount
            )
        if kind == "refuse":
            data = ledger.encode_abi("refuse", [])
            return self._sign(
                sender, crosses, ledger.address, ETHER // 100, 100_000, data, succeeds=False
            )
        paid = [account.address for account in draw.sample(self._accounts, 6)]
        share = draw.randrange(1, ETHER // 100)
        data = ledger.encode_abi("pay", [paid])
        return self._sign(
            sender, crosses, ledger.address, share * len(paid), 500_000, data,
            credits=tuple((address, share) for address in paid),
        )  # fmt: skip

    def _sign(
        self,
        sender: LocalAccount,
        crosses: bool,
        to: str,
        value: int,
        gas: int,
        data: str = "0x",
        *,
        succeeds: bool = True,
        credits: tuple[tuple[str, int], ...] = (),
        adds: int = 0,
    ) -> Step:
        fees: dict[str, Any] = self._random.choice(
            (
                {"gasPrice": 20 * GWEI},
                {"gasPrice": 20 * GWEI, "accessList": [], "type": 1},
                {
                    "maxFeePerGas": 20 * GWEI,
                    "maxPriorityFeePerGas": self._random.randrange(3 * GWEI),
                },
            )
        )
        return Step(
            **self._signed(sender, to=to, value=value, gas=gas, data=data, **fees),
            value=value,
            crosses=crosses,
            succeeds=succeeds,
            credits=credits,
            adds=adds,
        )

    # ------------------------------------------------------------------ what came of it

    def wait(self, endpoint: str) -> None:
        """Wait until `endpoint` has every receipt."""

        def all_there() -> bool:
            missing = [step.hash for step in self.steps if step.hash not in self.receipts]
            found = call_many(endpoint, [("eth_getTransactionReceipt", [h]) for h in missing])
            self.receipts |= {r["transactionHash"]: r for r in found if r is not None}
            return len(self.receipts) == len(self.steps)

        try:
            wait_for(all_there, "the receipts of the load", LOAD_SECONDS)
        except pytest.fail.Exception:
            missing = [step for step in self.steps if step.hash not in self.receipts]
            pytest.fail(f"{len(missing)} receipts are missing: {missing[:5]}")

    def check(self) -> None:
        """Every outcome is the one that was meant, and every balance is exact to the wei."""
        balances = defaultdict(int, self._before)
        amounts = []
        for step in self.steps:
            done = self.receipts[step.hash]
            assert int(done["status"], 16) == step.succeeds, (step, done)
            gas = cost({k: int(done[k], 16) for k in ("gasUsed", "effectiveGasPrice")})
            balances[step.sender] -= gas + (step.value if step.succeeds else 0)
            for address, wei in step.credits:
                balances[address] += wei
            amounts += [step.adds] if step.adds else []
        self._check_balances(balances)
        assert sorted(self._logged()) == sorted(amounts)

    def _logged(self) -> list[int]:
        """The amounts in the `Added` events of the load's own transactions."""
        first = min(int(done["blockNumber"], 16) for done in self.receipts.values())
        return [
            log["args"]["amount"]
            for ledger in self._ledgers.values()
            for log in _on(ledger, self._network.rpc).events.Added.get_logs(from_block=first)
            if log["transactionHash"].to_0x_hex() in self.receipts
        ]


def _on(contract: Contract, endpoint: str) -> Contract:
    return connect(endpoint).eth.contract(address=contract.address, abi=contract.abi)
