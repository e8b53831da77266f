"""Development operations and impersonated transactions at random, beside the traffic of users."""

import random
from dataclasses import dataclass

from node.execution.state.state import State
from node.primitives import rlp
from node.primitives.basics import Address, ShardId
from node.primitives.dev_operation import SALT_BYTES, DevKind, DevOperation
from node.primitives.mining import MiningOrder
from node.primitives.transaction import Transaction, decode_transaction, encode_impersonated
from tests.simulation.shards.support.traffic import CHAIN_ID, GWEI, RUNTIMES, Traffic

ETHER = 10**18
WITHOUT_ACCOUNT = (
    DevKind.MINE,
    DevKind.SET_CLOCK,
    DevKind.SET_NEXT_TIME,
    DevKind.SET_MINING,
    DevKind.DROP,
)


@dataclass
class Development:
    """About the accounts that `traffic` knows: users, contracts, unborn ones, accounts of the protocol."""

    random: random.Random
    traffic: Traffic

    def block(self, state: State, shard: ShardId) -> tuple[list[DevOperation], list[Transaction]]:
        """What a block on `state` may hold: operations, transactions of contracts that have money now."""
        if self.random.random() < 0.6:
            return [], []
        operations = [self.operation() for _ in range(self.random.choice((1, 1, 2, 5)))]
        txs = self.impersonated(state, shard)
        operations += [self.make(DevKind.SET_BALANCE, to=tx.sender, number=ETHER) for tx in txs]
        return operations, txs

    def operation(self) -> DevOperation:
        rnd = self.random
        kind = rnd.choice(list(DevKind))
        fields: dict[str, object] = {}
        if kind not in WITHOUT_ACCOUNT:
            fields["to"] = self.traffic.somebody(contract=rnd.random() < 0.5)
        if kind in (DevKind.SET_BALANCE, DevKind.ADD_BALANCE):
            fields["number"] = rnd.choice((0, 1, ETHER, rnd.randrange(1000 * ETHER)))
        elif kind is DevKind.SET_NONCE:
            fields["number"] = rnd.randrange(40)
        elif kind is DevKind.SET_CODE:
            fields["data"] = rnd.choice((b"", *RUNTIMES))
        elif kind is DevKind.SET_STORAGE:
            fields |= {"slot": rnd.randrange(3), "number": rnd.choice((0, 1, 2**256 - 1))}
        elif kind in (DevKind.SET_CLOCK, DevKind.SET_NEXT_TIME):
            fields |= {"number": rnd.randrange(10_000), "slot": rnd.randrange(5_000)}
        elif kind is DevKind.SET_MINING:
            fields["number"] = rnd.choice((0, 1, 2000))
        elif kind is DevKind.MINE:
            order = MiningOrder(
                name=rnd.randbytes(8),
                shards=1,
                left=rnd.choice((1, 2, 5)),
                interval=rnd.choice((0, 3)),
            )
            fields["data"] = order.encoded
            if order.interval or rnd.random() < 0.5:
                fields |= {"number": 1 + rnd.randrange(10_000), "slot": rnd.randrange(5_000)}
        return self.make(kind, **fields)

    def make(self, kind: DevKind, **fields: object) -> DevOperation:
        return DevOperation(kind=kind, salt=self.random.randbytes(SALT_BYTES), **fields)

    def impersonated(self, state: State, shard: ShardId) -> list[Transaction]:
        """Of contracts with code on this shard, now and then of accounts that are not here."""
        rnd, out = self.random, []
        for sender in rnd.sample(self.traffic.contracts, min(4, len(self.traffic.contracts))):
            if not state.code(sender) and rnd.random() < 0.9:
                continue
            to = self.traffic.somebody()
            numbers = (CHAIN_ID, state.nonce(sender), rnd.choice((0, GWEI)), 100 * GWEI, 60_000)
            body = rlp.encode(
                [
                    *(rlp.int_to_bytes(n) for n in numbers),
                    to,
                    rlp.int_to_bytes(rnd.choice((0, 1, ETHER))),
                    self.traffic.input(Address(bytes(20))),
                    [],
                ]
            )
            out.append(decode_transaction(encode_impersonated(sender, b"\x02" + body)))
        return out
