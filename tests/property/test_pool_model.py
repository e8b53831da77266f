"""The transaction pool against a model that is simple enough to be believed.

The model keeps a flat list and recomputes everything; the pool keeps queues and heaps. After every step
both must hold the same transactions, count them alike and hand them out in the same order.
"""

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from node.primitives.basics import Address, Hash32
from node.primitives.transaction import TYPE_LEGACY, Transaction
from node.shard.pool import PoolLimits, PoolRejected, TransactionPool
from tests.support.effort import examples

LIMITS = PoolLimits(
    max_transactions=8, max_per_sender=5, max_bytes=1000, price_bump_percent=10, max_nonce_gap=4
)
SENDERS = [Address(bytes([n]) * 20) for n in range(1, 5)]


@dataclass
class Accounts:
    nonces: dict[Address, int] = field(default_factory=lambda: dict.fromkeys(SENDERS, 0))
    balances: dict[Address, int] = field(default_factory=lambda: dict.fromkeys(SENDERS, 400))

    def nonce(self, address: Address) -> int:
        return self.nonces[address]

    def balance(self, address: Address) -> int:
        return self.balances[address]


def make(sender: Address, nonce: int, tip: int, fee: int, size: int) -> Transaction:
    raw = b"%s/%d/%d/%d" % (sender[:1].hex().encode(), nonce, tip, fee)
    return Transaction(
        type=TYPE_LEGACY,
        chain_id=1,
        nonce=nonce,
        max_priority_fee_per_gas=tip,
        max_fee_per_gas=fee,
        gas=3,
        to=None,
        value=0,
        data=b"",
        v=27,
        r=1,
        s=1,
        raw=raw.ljust(size, b"."),
        sender=sender,
    )


def tip_of(tx: Transaction, base_fee: int) -> int:
    return min(tx.max_priority_fee_per_gas, tx.max_fee_per_gas - base_fee)


@dataclass
class Model:
    """Transactions in order of arrival, and the state nonces the pool has been shown."""

    txs: list[Transaction] = field(default_factory=list)
    shown: dict[Address, int] = field(default_factory=dict)

    def of(self, sender: Address) -> dict[int, Transaction]:
        found = {tx.nonce: tx for tx in self.txs if tx.sender == sender}
        return dict(sorted(found.items()))

    def show(self, sender: Address, nonce: int) -> None:
        self.shown[sender] = nonce
        self.txs = [tx for tx in self.txs if tx.sender != sender or tx.nonce >= nonce]

    def gap(self, sender: Address, nonce: int) -> int:
        mine = self.of(sender)
        while nonce in mine:
            nonce += 1
        return nonce

    def pending(self) -> int:
        return sum(tx.nonce < self.gap(tx.sender, self.shown[tx.sender]) for tx in self.txs)

    def rank(self, tx: Transaction, base_fee: int) -> tuple[bool, int, int]:
        executable = tx.nonce <= self.gap(tx.sender, self.shown[tx.sender])
        arrival = self.txs.index(tx) if tx in self.txs else len(self.txs)
        return executable, tip_of(tx, base_fee), -arrival

    def fits(self, tx: Transaction) -> bool:
        others = [t for t in self.txs if (t.sender, t.nonce) != (tx.sender, tx.nonce)]
        return len(others) < LIMITS.max_transactions and (
            sum(len(t.raw) for t in others) + len(tx.raw) <= LIMITS.max_bytes
        )

    def accepts(self, tx: Transaction, accounts: Accounts, base_fee: int) -> bool:
        self.show(tx.sender, accounts.nonce(tx.sender))
        mine = self.of(tx.sender)
        old = mine.get(tx.nonce)
        before = list(self.txs)
        if (
            tx in self.txs
            or tx.nonce < self.shown[tx.sender]
            or tx.nonce > self.gap(tx.sender, self.shown[tx.sender]) + LIMITS.max_nonce_gap
        ):
            return False
        if old is not None:
            for new_fee, old_fee in (
                (tx.max_fee_per_gas, old.max_fee_per_gas),
                (tx.max_priority_fee_per_gas, old.max_priority_fee_per_gas),
            ):
                if new_fee <= old_fee or new_fee < old_fee * 11 // 10:
                    return False
        queued = sum(t.gas * t.max_fee_per_gas for n, t in mine.items() if n < tx.nonce)
        if queued + tx.gas * tx.max_fee_per_gas > accounts.balance(tx.sender):
            return False
        if old is None and len(mine) == LIMITS.max_per_sender:
            if max(mine) < tx.nonce:
                return False
            self.txs.remove(mine[max(mine)])
        while not self.fits(tx):
            lasts = [next(reversed(self.of(s).values())) for s in SENDERS if self.of(s)]
            victims = [
                t
                for t in lasts
                if (t.sender != tx.sender or t.nonce > tx.nonce)
                and self.rank(t, base_fee) < self.rank(tx, base_fee)
            ]
            if not victims:
                self.txs = before
                return False
            self.txs.remove(min(victims, key=lambda t: self.rank(t, base_fee)))
        if old is not None:
            self.txs.remove(old)
        self.txs.append(tx)
        return True

    def best(self, accounts: Accounts, base_fee: int) -> list[Transaction]:
        next_nonce = dict(accounts.nonces)
        out: list[Transaction] = []
        while True:
            heads = [
                tx
                for tx in self.txs
                if next_nonce[tx.sender] == tx.nonce and tip_of(tx, base_fee) >= 0
            ]
            if not heads:
                return out
            choice = max(heads, key=lambda tx: (tip_of(tx, base_fee), -self.txs.index(tx)))
            out.append(choice)
            next_nonce[choice.sender] += 1


class PoolMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.pool = TransactionPool(LIMITS)
        self.model = Model()
        self.accounts = Accounts()

    @rule(
        sender=st.sampled_from(SENDERS),
        ahead=st.integers(-1, 6),
        tip=st.integers(1, 25),
        headroom=st.integers(0, 10),
        size=st.sampled_from([50, 100, 150, 400]),
        base_fee=st.sampled_from([0, 0, 0, 8]),
    )
    def add(
        self, sender: Address, ahead: int, tip: int, headroom: int, size: int, base_fee: int
    ) -> None:
        nonce = max(0, self.accounts.nonce(sender) + ahead)
        tx = make(sender, nonce, tip, tip + headroom, size)
        expected = self.model.accepts(tx, self.accounts, base_fee)
        try:
            taken = self.pool.add(tx, self.accounts, base_fee)
        except PoolRejected:
            taken = False
        assert taken is expected

    @precondition(lambda self: self.model.txs)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        tx = data.draw(st.sampled_from(self.model.txs))
        assert self.pool.remove(tx.hash) is not None
        self.model.txs.remove(tx)

    @rule(count=st.integers(0, 5), base_fee=st.sampled_from([0, 8]))
    def build_and_commit(self, count: int, base_fee: int) -> None:
        selection = self.pool.best(self.accounts, base_fee)
        block = [tx for tx in (selection.next() for _ in range(count)) if tx is not None]
        for tx in block:
            self.accounts.nonces[tx.sender] += 1
            self.accounts.balances[tx.sender] -= tx.gas * tx.max_fee_per_gas // 2
        self.pool.on_committed([(tx.sender, tx.nonce) for tx in block], self.accounts)
        for tx in block:
            self.model.show(tx.sender, self.accounts.nonce(tx.sender))

    @rule(sender=st.sampled_from(SENDERS), steps=st.integers(1, 3))
    def commit_of_others(self, sender: Address, steps: int) -> None:
        """Transactions of the sender that this node never saw are in the block."""
        first = self.accounts.nonce(sender)
        self.accounts.nonces[sender] += steps
        self.accounts.balances[sender] += 100
        self.pool.on_committed([(sender, first + k) for k in range(steps)], self.accounts)
        self.model.show(sender, self.accounts.nonce(sender))

    @rule(base_fee=st.integers(0, 30), dropped=st.sampled_from(SENDERS), after=st.integers(0, 4))
    def select(self, base_fee: int, dropped: Address, after: int) -> None:
        expected = self.model.best(self.accounts, base_fee)
        assert list(self.pool.best(self.accounts, base_fee)) == expected
        selection = self.pool.best(self.accounts, base_fee)
        got = [selection.next() for _ in range(after)]
        selection.drop_sender(dropped)
        kept = [tx for tx in expected[after:] if tx.sender != dropped]
        assert [tx for tx in got if tx is not None] == expected[:after]
        assert list(selection) == kept

    @invariant()
    def both_hold_the_same(self) -> None:
        content = self.pool.content()
        held: set[Hash32] = set()
        for part in (content.pending, content.queued):
            for nonces in part.values():
                assert list(nonces) == sorted(nonces)
                held |= {tx.hash for tx in nonces.values()}
        assert held == {tx.hash for tx in self.model.txs}
        assert all(self.pool.get(tx.hash) == tx for tx in self.model.txs)
        assert len(self.pool) == len(self.model.txs) <= LIMITS.max_transactions
        assert self.pool.size_bytes == sum(len(tx.raw) for tx in self.model.txs) <= LIMITS.max_bytes
        pending = self.model.pending()
        assert self.pool.counts() == (pending, len(self.model.txs) - pending)
        assert pending == sum(map(len, content.pending.values()))
        for sender in SENDERS:
            nonce = self.accounts.nonce(sender)
            assert self.pool.next_nonce(sender, nonce) == self.model.gap(sender, nonce)


TestPool = PoolMachine.TestCase
TestPool.settings = settings(max_examples=examples(150), stateful_step_count=40)
