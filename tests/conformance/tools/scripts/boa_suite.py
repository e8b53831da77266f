"""titanoboa in network mode: contracts of Vyper, as its users deploy and test them. A line of JSON each."""

import json
import os
from collections.abc import Callable
from typing import Any

import boa
from boa.network import NetworkEnv
from eth_account import Account

RPC = os.environ["ATOLL_RPC"]
SOURCE = """
value: public(uint256)

@deploy
def __init__(first: uint256):
    self.value = first

@external
def store(next: uint256):
    assert next < 100, "too large"
    self.value = next
"""
made: dict[str, Any] = {}


def accounts() -> None:
    env = NetworkEnv.from_url(RPC)
    boa.set_env(env)
    Account.enable_unaudited_hdwallet_features()
    words = "test test test test test test test test test test test junk"
    for index in range(4):  # of both shards
        key = Account.from_mnemonic(words, account_path=f"m/44'/60'/0'/0/{index}")
        env.add_account(key, force_eoa=index == 0)
        made[f"user {index}"] = key.address


def deploys() -> None:
    made["box"] = boa.loads(SOURCE, 5)
    assert made["box"].value() == 5


def writes() -> None:
    made["box"].store(7)
    assert made["box"].value() == 7


def reverts() -> None:
    with boa.reverts("too large"):
        made["box"].store(100)


def other_users() -> None:
    for index in range(1, 4):
        with boa.env.prank(made[f"user {index}"]):
            box = boa.loads(SOURCE, index)
            box.store(10 + index)
        assert box.value() == 10 + index


def anchors() -> None:
    before = made["box"].value()
    with boa.env.anchor():
        made["box"].store(42)
        assert made["box"].value() == 42
    assert made["box"].value() == before


def balances() -> None:
    stranger = "0x" + "12" * 20
    boa.env.set_balance(stranger, 10**18)
    assert boa.env.get_balance(stranger) == 10**18


CASES: dict[str, Callable[[], None]] = {
    "accounts": accounts,
    "deploy": deploys,
    "write and read": writes,
    "the reason of a revert": reverts,
    "accounts of both shards deploy and write": other_users,
    "anchor": anchors,
    "set_balance": balances,
}

if __name__ == "__main__":
    for name, run in CASES.items():
        error = None
        try:
            run()
        except Exception as raised:  # noqa: BLE001 - whatever it is, it is told
            error = f"{type(raised).__name__}: {raised}"[:600]
        print(json.dumps({"name": name, "error": error}), flush=True)
