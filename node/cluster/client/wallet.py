"""Sending transactions of the development accounts: their keys are in accounts.json."""

import time
from dataclasses import dataclass
from typing import Any

from node.cluster.accounts import DevAccount
from node.cluster.client.ask import ask_network
from node.cluster.client.units import check_address, parse_data
from node.cluster.errors import NetworkFailed
from node.cluster.layout import NetworkLayout
from node.primitives import unsigned
from node.primitives.basics import Address
from node.primitives.errors import UserError
from node.primitives.keys import SigningKey
from node.primitives.transaction import TYPE_DYNAMIC_FEE, Transaction

WAIT_SECONDS = 120.0
POLL_INTERVAL = 0.1
MAX_DIGITS = 10  # of the number of an account


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionDraft:
    """A transaction before it has a nonce and fees. `to` is None for a creation; `gas` None is estimated."""

    to: bytes | None
    value: int = 0
    data: bytes = b""
    gas: int | None = None


def find_account(layout: NetworkLayout, text: str) -> DevAccount:
    """The development account of that number (as `atoll accounts` lists them) or address.

    Raises UserError.
    """
    accounts = layout.accounts
    if text.isascii() and text.isdigit():
        if len(text) < MAX_DIGITS and int(text) < len(accounts):
            return accounts[int(text)]
        raise UserError(f"there is no account {text}: they are 0 to {len(accounts) - 1}")
    address = check_address(text)
    for account in accounts:
        if parse_data(account.address) == address:
            return account
    raise UserError(
        f"the key of {text} is not in {layout.directory}/accounts.json; `atoll accounts` lists those "
        "that are"
    )


def find_address(layout: NetworkLayout, text: str) -> bytes:
    """An address, or that of the development account of that number. Raises UserError."""
    if text.isascii() and text.isdigit():
        return parse_data(find_account(layout, text).address)
    return check_address(text)


def account_rows(layout: NetworkLayout) -> list[dict[str, Any]]:
    """The development accounts with what they have: [{"index", "address", "home", "balance", "nonce"}]."""
    return [
        {
            "index": index,
            "address": account.address,
            "home": account.home,
            "balance": ask_network(layout, "eth_getBalance", account.address, "latest"),
            "nonce": int(
                ask_network(layout, "eth_getTransactionCount", account.address, "latest"), 16
            ),
        }
        for index, account in enumerate(layout.accounts)
    ]


def richest_account(layout: NetworkLayout) -> DevAccount:
    """The one with the highest balance. Raises UserError if there are none."""
    if not layout.accounts:
        raise UserError(f"there are no development accounts in {layout.directory}/accounts.json")
    balances = [int(row["balance"], 16) for row in account_rows(layout)]
    return layout.accounts[balances.index(max(balances))]


def send(layout: NetworkLayout, account: DevAccount, wanted: TransactionDraft) -> str:
    """Sign with the account's key and send; the hash. Raises RpcRefused, RpcUnreachable."""

    def ask(method: str, *params: object) -> int:
        return int(ask_network(layout, method, *params), 16)

    gas = wanted.gas
    if gas is None:
        gas = ask("eth_estimateGas", _request(account, wanted))
    tip = ask("eth_maxPriorityFeePerGas")
    raw = sign(
        SigningKey(parse_data(account.private_key)),
        wanted,
        chain_id=layout.genesis.chain_id,
        nonce=ask("eth_getTransactionCount", account.address, "pending"),
        tip=tip,
        fee=max(tip, 2 * ask("eth_gasPrice")),
        gas=gas,
    )
    return str(ask_network(layout, "eth_sendRawTransaction", "0x" + raw.hex()))


def sign(
    key: SigningKey,
    wanted: TransactionDraft,
    *,
    chain_id: int,
    nonce: int,
    tip: int,
    fee: int,
    gas: int,
) -> bytes:
    """A transaction of type 2 (EIP-1559), as it is sent. Fees in wei for each gas."""
    tx = Transaction(
        type=TYPE_DYNAMIC_FEE,
        chain_id=chain_id,
        nonce=nonce,
        max_priority_fee_per_gas=tip,
        max_fee_per_gas=fee,
        gas=gas,
        to=None if wanted.to is None else Address(wanted.to),
        value=wanted.value,
        data=wanted.data,
        v=0,
        r=0,
        s=0,
        raw=b"",
        sender=key.address,
    )
    return unsigned.sign(tx, key)


def wait_for_receipt(
    layout: NetworkLayout, tx_hash: str, *, seconds: float = WAIT_SECONDS
) -> dict[str, Any]:
    """The receipt, once the transaction has run. Raises NetworkFailed if that takes too long."""
    deadline = time.monotonic() + seconds
    while True:
        receipt = ask_network(layout, "eth_getTransactionReceipt", tx_hash)
        if isinstance(receipt, dict):
            return receipt
        if time.monotonic() > deadline:
            raise NetworkFailed(
                f"{tx_hash} has not run after {seconds:g} s; `atoll trace {tx_hash}` shows where it is"
            )
        time.sleep(POLL_INTERVAL)


def _request(account: DevAccount, wanted: TransactionDraft) -> dict[str, str]:
    request = {
        "from": account.address,
        "value": hex(wanted.value),
        "data": "0x" + wanted.data.hex(),
    }
    if wanted.to is not None:
        request["to"] = "0x" + wanted.to.hex()
    return request
