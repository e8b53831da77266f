"""A case: accounts, a block and transactions, in the form every engine is given it.

`Case` is what the generator makes and the shrinker changes; `wire()` is the JSON object that goes to the
engines and into files: hexadecimal strings and integers, transactions signed and encoded.
"""

from dataclasses import dataclass, field
from typing import Any

from node.primitives import rlp
from node.primitives.basics import keccak256
from node.primitives.keys import CURVE_ORDER, SigningKey
from tests.conformance.differential.assembly import Program, assemble

CHAIN_ID = 1
Code = bytes | Program


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    balance: int = 0
    nonce: int = 0
    code: Code = b""
    storage: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """An EIP-7702 tuple, signed by `key`; `damage` spoils the signature ("high_s", "parity", "zero_r")."""

    key: bytes
    chain_id: int
    address: bytes
    nonce: int
    damage: str = ""

    def item(self) -> list[rlp.Item]:
        fields: list[rlp.Item] = [_int(self.chain_id), self.address, _int(self.nonce)]
        digest = keccak256(b"\x05" + rlp.encode(fields))
        parity, r, s = _sign(self.key, digest)
        if self.damage == "high_s":
            parity, s = 1 - parity, CURVE_ORDER - s
        elif self.damage == "parity":
            parity = 2
        elif self.damage == "zero_r":
            r = 0
        return [*fields, _int(parity), _int(r), _int(s)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """A transaction of type 0, 1, 2 or 4, signed by `key`. `protected` is EIP-155, for type 0."""

    type: int
    key: bytes
    nonce: int
    gas: int
    max_fee: int
    tip: int
    to: bytes
    value: int = 0
    data: Code = b""
    access_list: tuple[tuple[bytes, tuple[int, ...]], ...] = ()
    authorizations: tuple[Authorization, ...] = ()
    chain_id: int = CHAIN_ID
    protected: bool = True

    def encode(self) -> bytes:
        data = assemble(self.data) if isinstance(self.data, Program) else self.data
        to_value_data: list[rlp.Item] = [self.to, _int(self.value), data]
        if self.type == 0:
            fields: list[rlp.Item] = [
                _int(self.nonce),
                _int(self.max_fee),
                _int(self.gas),
                *to_value_data,
            ]
            extra: list[rlp.Item] = [_int(self.chain_id), b"", b""] if self.protected else []
            parity, r, s = _sign(self.key, keccak256(rlp.encode([*fields, *extra])))
            v = 35 + 2 * self.chain_id + parity if self.protected else 27 + parity
            return rlp.encode([*fields, _int(v), _int(r), _int(s)])
        fees: list[rlp.Item] = [_int(self.tip), _int(self.max_fee)]
        fields = [
            _int(self.chain_id),
            _int(self.nonce),
            *(fees[1:] if self.type == 1 else fees),
            _int(self.gas),
            *to_value_data,
            [[address, [_word(slot) for slot in slots]] for address, slots in self.access_list],
        ]
        if self.type == 4:
            fields.append([item.item() for item in self.authorizations])
        prefix = bytes([self.type])
        parity, r, s = _sign(self.key, keccak256(prefix + rlp.encode(fields)))
        return prefix + rlp.encode([*fields, _int(parity), _int(r), _int(s)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    number: int = 1000
    timestamp: int = 1_700_000_000
    coinbase: bytes = b"\xc0" * 20
    gas_limit: int = 60_000_000
    base_fee: int = 7
    prev_randao: bytes = b"\x5a" * 32
    beacon_root: bytes = b"\xbe" * 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """`separate`: every transaction is a block of its own, and its state root is compared.

    `system`: the system calls of EIP-4788 and EIP-2935 run first.
    """

    name: str
    block: Block
    accounts: dict[bytes, Account]
    transactions: tuple[Transaction, ...]
    separate: bool = False
    system: bool = False

    def wire(self, *, dump: bool = False) -> dict[str, Any]:
        return {
            "name": self.name,
            "chain_id": CHAIN_ID,
            "block": {
                "number": self.block.number,
                "timestamp": self.block.timestamp,
                "coinbase": self.block.coinbase.hex(),
                "gas_limit": self.block.gas_limit,
                "base_fee": self.block.base_fee,
                "prev_randao": self.block.prev_randao.hex(),
                "beacon_root": self.block.beacon_root.hex(),
            },
            "accounts": {
                address.hex(): {
                    "balance": hex(account.balance),
                    "nonce": account.nonce,
                    "code": code_bytes(account.code).hex(),
                    "storage": {hex(k): hex(v) for k, v in account.storage.items() if v},
                }
                for address, account in self.accounts.items()
            },
            "transactions": [tx.encode().hex() for tx in self.transactions],
            "separate": self.separate,
            "system": self.system,
            "dump": dump,
        }


def code_bytes(code: Code) -> bytes:
    return assemble(code) if isinstance(code, Program) else code


def address_of(key: bytes) -> bytes:
    return bytes(SigningKey(key).address)


def _int(value: int) -> bytes:
    return rlp.int_to_bytes(value)


def _word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def _sign(key: bytes, digest: bytes) -> tuple[int, int, int]:
    signature = SigningKey(key).sign_digest(digest)
    return (
        signature[64],
        int.from_bytes(signature[:32], "big"),
        int.from_bytes(signature[32:64], "big"),
    )
