"""A shard with one validator, and transactions of its users."""

import time
from typing import Any

from eth_account import Account

from consensus.types import Certificate, Height, Round
from node.beacon.chain import BeaconChain
from node.beacon.rules import BeaconRules
from node.beacon.transition import genesis_block
from node.chains.beacon_app import BeaconService
from node.chains.shard_app import (
    ShardService,
)
from node.concurrency.worker import Worker
from node.primitives.basics import Address, ShardId, keccak256
from node.primitives.dev_operation import DevKind, DevOperation
from node.primitives.genesis import Genesis, GenesisValidator, Params
from node.primitives.keys import KeccakSecp256k1, SigningKey
from node.primitives.mining import MiningOrder
from node.primitives.transaction import Transaction, decode_transaction
from node.shard.chain import ShardChain
from node.shard.genesis import shard_genesis
from node.shard.pool import TransactionPool
from tests.support.memory_store import MemoryStore

GWEI = 10**9


KEY = SigningKey(keccak256(b"validator"))


USERS = [Account.from_key(keccak256(b"user %d" % i)) for i in range(3)]


class Net:
    """A shard with one validator, alone in its network."""

    def __init__(self, **params: int) -> None:
        self.genesis = Genesis(
            chain_id=1337,
            timestamp=1_700_000_000,
            shards=1,
            validators=[
                GenesisValidator(
                    name="v0",
                    address="0x" + KEY.address.hex(),
                    peer_id="peer0",
                    shard=0,
                    stake=10**18,
                    beacon=True,
                )
            ],
            alloc={user.address: 10**20 for user in USERS},
            params=Params(**params),
        ).check()
        rules = BeaconRules.of(self.genesis, KeccakSecp256k1())
        first = genesis_block(
            self.genesis, {ShardId(0): shard_genesis(self.genesis, ShardId(0))[0]}
        )
        self.beacon_chain = BeaconChain(MemoryStore(), (first.block, first.nodes), rules)
        self.beacon = BeaconService(
            chain=self.beacon_chain,
            proposer=Address(KEY.address),
            now=time.time,
        )

    def service(self) -> ShardService:
        """Another node of the same shard."""
        return ShardService(
            chain=ShardChain(MemoryStore(), self.genesis, ShardId(0)),
            beacon=self.beacon_chain,
            beacon_gate=self.beacon.gate,
            pool=TransactionPool(),
            worker=Worker(),
            now=time.time,
            stopwatch=time.perf_counter,
            coinbase=Address(KEY.address),
        )


def certificate(block_id: bytes, height: int) -> Certificate:
    return Certificate(
        height=Height(height), round=Round(0), block_id=block_id, signers=1, signatures=(b"s" * 65,)
    )


async def decide(*services: ShardService) -> int:
    """The first one builds a block and all take it; how many transactions it holds."""
    block_id, value = await services[0].build()
    for service in services:
        assert await service.judge(value, decided=False) == block_id
        await service.commit(block_id, value, certificate(block_id, service.head_height() + 1))
    block = services[0].ledger.block(services[0].head_height())
    assert block is not None
    return len(block.items)


def raw_transfer(
    user: int, nonce: int, *, fee: int = 100 * GWEI, tip: int = 1, gas: int = 21_000
) -> bytes:
    signed = USERS[user].sign_transaction(
        {
            "type": 2,
            "chainId": 1337,
            "nonce": nonce,
            "to": USERS[(user + 1) % 3].address,
            "value": 1,
            "gas": gas,
            "maxFeePerGas": fee,
            "maxPriorityFeePerGas": tip,
        }
    )
    return bytes(signed.raw_transaction)


def transfer(user: int, nonce: int, **fees: int) -> Transaction:
    return decode_transaction(raw_transfer(user, nonce, **fees))


def add(service: ShardService, tx: Transaction) -> None:
    service.pool.add(tx, service.accounts(), service.next_base_fee())
    service.pool_changed()


def operation(kind: DevKind, salt: int = 0, **fields: Any) -> DevOperation:
    if kind is DevKind.MINE:
        fields.setdefault("data", MiningOrder(name=bytes(8), shards=1, left=1).encoded)
    return DevOperation(kind=kind, salt=salt.to_bytes(16, "big"), **fields)
