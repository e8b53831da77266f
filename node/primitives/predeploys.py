"""Contracts that toolchains expect at well-known addresses (docs/protocol.md, "Placement"), most of them on
every shard. And CONSOLE, the address without code at which `console.log` of contracts ends.

No PREDEPLOY keeps anything that another shard would have to see. What a factory creates on a shard lives there.
The codes of Multicall3 (contracts/Multicall3.sol) and of the registry of ERC-1820 are in predeploys.json.
"""

import json
from importlib.resources import files
from typing import Final

from node.primitives.basics import Address

CREATE2_FACTORY = Address(bytes.fromhex("4e59b44847b379578588920ca78fbf26c0b4956c"))
"""The deployment proxy that forge, Hardhat Ignition and others use. Input: a salt of 32 bytes, init code."""
SAFE_SINGLETON_FACTORY = Address(bytes.fromhex("914d7fec6aac8cd542e72bca78b30650d45643d7"))
"""The same contract at the address that Safe uses."""
MULTICALL3 = Address(bytes.fromhex("ca11bde05977b3631167028862be2a173976ca11"))
ERC1820_REGISTRY = Address(bytes.fromhex("1820a4b7618bde71dce8cdc73aab6c95905fad24"))

CONSOLE = Address(bytes.fromhex("000000000000000000636f6e736f6c652e6c6f67"))
"""ASCII `console.log`. Contracts call it with texts for the developer; it has no code, so that every call
succeeds."""

_CREATE2_CODE = bytes.fromhex(
    "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f5"
    "8015156039578182fd5b8082525050506014600cf3"
)
_CODES: dict[str, str] = json.loads(files(__package__).joinpath("predeploys.json").read_bytes())

PREDEPLOYS: Final = {
    CREATE2_FACTORY: _CREATE2_CODE,
    SAFE_SINGLETON_FACTORY: _CREATE2_CODE,
    MULTICALL3: bytes.fromhex(_CODES["multicall3"][2:]),
}
"""Address -> code. They create contracts by CREATE2 only, and never by their nonces, which differ by shard."""
ON_ONE_SHARD: Final = {ERC1820_REGISTRY: bytes.fromhex(_CODES["erc1820"][2:])}
"""Address -> code of what has a storage that all have to see: it lives on one shard, as any account does."""


def is_predeploy(address: bytes) -> bool:
    return address in PREDEPLOYS
