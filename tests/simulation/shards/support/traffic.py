"""Random transactions of the users of a network: good ones, bad ones, and contracts that pay around."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from eth_abi import encode

from node.primitives import rlp
from node.primitives.basics import Address, keccak256
from node.primitives.births import contract_address
from node.primitives.keys import SigningKey
from node.primitives.messenger import HISTORY_STORAGE, MESSENGER, STAKING
from node.primitives.predeploys import CREATE2_FACTORY
from node.primitives.transaction import Transaction, decode_transaction

CHAIN_ID = 1337
GWEI = 10**9
FUNDS = 10**20

# Pays each (address, wei) pair of words in its input.
PAYER = bytes.fromhex("5f5b368110600957005b5f5f5f5f846020013585355af150604001600156")
# CREATE2 with the first word as salt, the rest as init code, and the value it was called with.
FACTORY = bytes.fromhex("602036038060205f375f35905f34f55000")
DESTROYER = bytes.fromhex("5f35ff")  # to the first word of the input
STORE = bytes.fromhex("5f355f5500")
REVERT = bytes.fromhex("5f5ffd")
SPIN = bytes.fromhex("5b5f56")
# Calls MESSENGER with its input and the value it was called with, and ends well, or reverts.
_RELAY = bytes.fromhex("365f5f375f5f365f3473") + MESSENGER + bytes.fromhex("5af150")
RELAY, RECOIL = _RELAY + b"\x00", _RELAY + REVERT
RUNTIMES = (
    PAYER, PAYER, FACTORY, FACTORY, DESTROYER, STORE, REVERT, SPIN, b"\xfe", b"",
    RELAY, RELAY, RELAY, RECOIL,
)  # fmt: skip
SEND = keccak256(b"send(address,bytes,uint256,uint256,bytes4)")[:4]
FIXED = (
    *(Address(n.to_bytes(20, "big")) for n in (0, 1, 4, 9, 0xFFFE)),
    MESSENGER,
    STAKING,
    HISTORY_STORAGE,
)


def initcode(runtime: bytes) -> bytes:
    return b"\x61" + len(runtime).to_bytes(2, "big") + bytes.fromhex("80600a5f395ff3") + runtime


def word(value: int | bytes) -> bytes:
    return value.rjust(32, b"\0") if isinstance(value, bytes) else value.to_bytes(32, "big")


@dataclass
class Traffic:
    """`contracts` are addresses where a contract is, was, or may be one day, the factory of every shard often
    among them: by it two shards come to create the same contract.
    """

    random: random.Random
    gas_limit: int
    users: Sequence[SigningKey]
    nodes: Sequence[Address]
    nonce_of: Callable[[Address], int]
    contracts: list[Address] = field(default_factory=lambda: [CREATE2_FACTORY] * 8)

    def of(self, users: Sequence[SigningKey]) -> list[Transaction]:
        """Some transactions of these users with ascending nonces, and now and then of anybody."""
        out = []
        for key in users:
            nonce = self.nonce_of(key.address)
            for _ in range(self.random.choice((0, 0, 1, 2, 6))):
                out.append(self.transaction(key, nonce))
                nonce += 1
        if self.random.random() < 0.1:
            out.append(self.transaction(self.random.choice(self.users), 0))
        return out

    def transaction(self, key: SigningKey, nonce: int) -> Transaction:
        rnd = self.random
        kinds = ("transfer", "call", "deploy", "init", "code", "send")
        kind = rnd.choices(kinds, (4, 6, 3, 1, 1, 4))[0]
        to: bytes | None = self.somebody()
        value = rnd.choice((0, 1, rnd.randrange(10**6), rnd.randrange(2 * FUNDS)))
        data = b""
        gas = rnd.choice((60_000, 200_000, 200_000, 200_000, *self.extremes()))
        authorizations: list[rlp.Item] = []
        if kind == "transfer":
            gas = rnd.choice((21_000, 21_000, 21_001, 30_000))
        elif kind == "call":
            to, value = self.somebody(contract=True), rnd.randrange(1000)
            data = self.input(to)
        elif kind == "deploy":
            to, data = None, initcode(rnd.choice(RUNTIMES))
            value = rnd.randrange(1000)
            self.contracts.append(contract_address(key.address, nonce))
        elif kind == "send":
            to = self.somebody(contract=True) if rnd.random() < 0.7 else MESSENGER
            prepaid, data = self.sending()
            value = prepaid * 3 * GWEI + rnd.randrange(3)
        elif kind == "init":  # code that runs once, on a contract that may not outlive it
            to, value = None, rnd.randrange(1000)
            data = b"\x73" + self.somebody() + b"\xff"
        else:
            signers = rnd.sample(self.users, min(2, len(self.users)))
            authorizations = [self.authorization(signer) for signer in signers]
            value = 0
        tip = rnd.choice((0, 1, GWEI))
        fields: list[rlp.Item] = [
            *(rlp.int_to_bytes(n) for n in (CHAIN_ID, nonce, tip, 100 * GWEI, gas)),
            to or b"", rlp.int_to_bytes(value), data, [],
        ]  # fmt: skip
        prefix = b"\x02"
        if authorizations:
            prefix = b"\x04"
            fields.append(authorizations)
        return decode_transaction(prefix + rlp.encode(self.sign(key, prefix, fields)))

    def sign(self, key: SigningKey, prefix: bytes, fields: list[rlp.Item]) -> list[rlp.Item]:
        signature = key.sign_digest(keccak256(prefix + rlp.encode(fields)))
        r, s = (int.from_bytes(signature[i : i + 32], "big") for i in (0, 32))
        return [*fields, *(rlp.int_to_bytes(n) for n in (signature[64], r, s))]

    def authorization(self, key: SigningKey) -> rlp.Item:
        nonce = self.nonce_of(key.address)
        target = self.random.choice([*self.contracts, bytes(20)])
        return self.sign(
            key, b"\x05", [rlp.int_to_bytes(CHAIN_ID), target, rlp.int_to_bytes(nonce)]
        )

    def sending(self) -> tuple[int, bytes]:
        """(gas prepaid, call data) of a call to MESSENGER.send."""
        rnd, half = self.random, self.gas_limit // 2
        to, body = self.somebody(contract=rnd.random() < 0.5), self.input(bytes(20))
        if rnd.random() < 0.2:  # what arrives sends again
            body = self.sending()[1][:1000]
        gas, reply = (rnd.choice((0, 5000, 60_000, 100_000, half, half + 1)) for _ in range(2))
        callback = rnd.choice((bytes(4), rnd.randbytes(4)))
        values = [to, body, gas, reply, callback]
        types = ["address", "bytes", "uint256", "uint256", "bytes4"]
        return gas + reply, SEND + encode(types, values)

    def extremes(self) -> tuple[int, ...]:
        limit = self.gas_limit
        return (21_000, 21_001, limit // 2, limit // 2 + 21_001, limit, limit + 1)

    def somebody(self, *, contract: bool = False) -> Address:
        """A user, a contract, one that is not born yet, nobody, or a special account."""
        rnd = self.random
        if contract and self.contracts and rnd.random() < 0.9:
            return rnd.choice(self.contracts)
        pick = rnd.random()
        if pick < 0.4:
            return rnd.choice(self.users).address
        if pick < 0.6 and self.contracts:
            return rnd.choice(self.contracts)
        if pick < 0.8:
            return contract_address(rnd.choice(self.users).address, rnd.randrange(20))
        if pick < 0.9:
            return Address(rnd.randbytes(20))
        return rnd.choice((*FIXED, *self.nodes))

    def input(self, to: Address) -> bytes:
        rnd = self.random
        if to == CREATE2_FACTORY or rnd.random() < 0.3:  # the child is known before it is born
            runtimes = RUNTIMES[:4] if to == CREATE2_FACTORY else RUNTIMES
            salt, init = word(rnd.randrange(3)), initcode(rnd.choice(runtimes))
            digest = keccak256(b"\xff" + to + salt + keccak256(init))
            self.contracts.append(Address(digest[12:]))
            return salt + init
        pairs = [word(self.somebody()) + word(rnd.randrange(300)) for _ in range(rnd.randrange(5))]
        return b"".join(pairs)
