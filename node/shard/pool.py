"""The transaction pool of a shard: accepted transactions that are not yet in a block.

Synchronous and deterministic: no clock, no randomness, no order taken from a hash table. The caller
has already checked what needs neither pool nor account (chain id, intrinsic gas, block gas limit, tip
not above fee cap, home shard); the pool checks nonce, funds, replacement and room. Refusals are worded
as go-ethereum words them, because wallets and libraries recognise these texts.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from node.primitives.basics import Address, Hash32
from node.primitives.errors import InvalidTransaction
from node.primitives.transaction import Transaction
from node.shard.pool_eviction import EvictionOrder, rank
from node.shard.pool_queue import AccountView, PooledTransaction, SenderQueue
from node.shard.pool_selection import Selection

MAX_NONCE = (1 << 64) - 1  # EIP-2681: an account cannot get past it, so no transaction may use it


class PoolRejected(InvalidTransaction):
    """The pool does not take a transaction. `str()` is the text for the user, `kind` a word for metrics.

    PoolRejected
    |-- AlreadyKnown    it is in the pool; gossip expects this, so it has a name
    `-- PoolFull        others in the pool pay more; after a block there may be room
    """

    def __init__(self, text: str, kind: str) -> None:
        super().__init__(text)
        self.kind = kind


class AlreadyKnown(PoolRejected):
    """This very transaction is already pooled."""

    def __init__(self) -> None:
        super().__init__("already known", "known")


class PoolFull(PoolRejected):
    """There is no room for this transaction now."""

    def __init__(self) -> None:
        super().__init__("txpool is full", "full")


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolLimits:
    """Room and prices. `max_bytes` counts wire bytes; `price_bump_percent` is by how much both fees of
    a replacement must exceed the old ones; `max_nonce_gap` is how far beyond the sender's first
    missing nonce a transaction may be."""

    max_transactions: int = 8192
    max_per_sender: int = 1024
    max_bytes: int = 64 * 1024 * 1024
    price_bump_percent: int = 10
    max_nonce_gap: int = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolContent:
    """By sender (in address order) and nonce (ascending). `pending` can be executed at the state
    nonce last seen, `queued` waits for a missing nonce."""

    pending: Mapping[Address, Mapping[int, Transaction]]
    queued: Mapping[Address, Mapping[int, Transaction]]


class TransactionPool:
    """Accepted transactions by hash and by sender. Holds no reference to any state: every question
    that depends on one is given the view to ask."""

    def __init__(self, limits: PoolLimits | None = None) -> None:
        self._limits = limits or PoolLimits()
        self._by_hash: dict[Hash32, PooledTransaction] = {}
        self._queues: dict[Address, SenderQueue] = {}  # none is empty
        self.evicted = 0
        """Transactions that were evicted in favour of better ones."""
        self._bytes = 0
        self._arrivals = 0
        self._rejected: dict[Hash32, None] = {}  # in order, of the present state only
        self._eviction: EvictionOrder | None = None  # exists only while the pool is full

    def __len__(self) -> int:
        return len(self._by_hash)

    def __contains__(self, tx_hash: object) -> bool:
        return tx_hash in self._by_hash

    def get(self, tx_hash: Hash32) -> Transaction | None:
        entry = self._by_hash.get(tx_hash)
        return entry.tx if entry is not None else None

    @property
    def size_bytes(self) -> int:
        """Wire bytes of all pooled transactions."""
        return self._bytes

    def counts(self) -> tuple[int, int]:
        """(pending, queued): how many can be executed, and how many wait for a missing nonce."""
        pending = sum(queue.executable for queue in self._queues.values())
        return pending, len(self._by_hash) - pending

    @property
    def has_executable(self) -> bool:
        """True if any transaction can be executed: the same as `counts`, but without counting."""
        return any(queue.executable for queue in self._queues.values())

    def next_nonce(self, address: Address, state_nonce: int) -> int:
        """The first nonce from `state_nonce` on that no pooled transaction of the account has."""
        queue = self._queues.get(address)
        return state_nonce if queue is None else queue.next_nonce(state_nonce)

    def content(self) -> PoolContent:
        """Everything, for `txpool_content` and `txpool_inspect`."""
        pending: dict[Address, dict[int, Transaction]] = {}
        queued: dict[Address, dict[int, Transaction]] = {}
        for address in sorted(self._queues):
            queue = self._queues[address]
            for entry in queue:
                nonce = entry.tx.nonce
                part = pending if nonce < queue.gap else queued
                part.setdefault(address, {})[nonce] = entry.tx
        return PoolContent(pending=pending, queued=queued)

    def best(self, accounts: AccountView, base_fee: int) -> Selection:
        """The selection to build a block from, on the state that `accounts` shows."""
        return Selection(self._queues.values(), accounts, base_fee)

    def add(self, tx: Transaction, accounts: AccountView, base_fee: int = 0) -> bool:
        """Take a transaction in; True says that it is new and worth passing on.

        `base_fee` (wei) is that of the next block: it decides which transaction leaves a full pool. Raises
        PoolRejected, and then holds what it held before, less what `accounts` shows to be stale.
        """
        if tx.hash in self._by_hash:
            raise AlreadyKnown
        if tx.hash in self._rejected:
            raise PoolRejected("transaction was found invalid in the current state", "impossible")
        state_nonce = accounts.nonce(tx.sender)
        self._rebase(tx.sender, state_nonce)
        queue = self._queues.get(tx.sender) or SenderQueue(tx.sender, state_nonce)
        self._check_nonce(tx, queue)
        replaced = queue.get(tx.nonce)
        if replaced is not None:
            self._check_replacement(tx, replaced.tx)
        entry = PooledTransaction(tx=tx, arrival=self._arrivals)
        _check_funds(entry, queue, accounts.balance(tx.sender))
        self._make_room(entry, queue, replaced, base_fee)
        self._arrivals += 1
        self._insert(entry, queue)
        return True

    def on_committed(self, included: Iterable[tuple[Address, int]], accounts: AccountView) -> None:
        """A block has been committed: `included` names the (sender, nonce) of its transactions and
        `accounts` is the state after it.

        Removes these and whatever else of the same senders is now below the state nonce. An EIP-7702
        authority whose nonce the block raised may be named as well.
        """
        self._rejected.clear()
        self._eviction = None  # ranked at a base fee that is now past
        touched: dict[Address, None] = {}
        for sender, nonce in included:
            touched[sender] = None
            queue = self._queues.get(sender)
            entry = queue.get(nonce) if queue is not None else None
            if entry is not None:
                self._discard(entry)
        for sender in touched:
            if sender in self._queues:
                self._rebase(sender, accounts.nonce(sender))

    def remove(self, tx_hash: Hash32) -> Transaction | None:
        """Remove a transaction and return it. Later ones of its sender stay and wait for the nonce."""
        entry = self._by_hash.get(tx_hash)
        if entry is None:
            return None
        self._discard(entry)
        return entry.tx

    def reject(self, tx_hash: Hash32) -> None:
        """Remove a transaction that the builder found invalid, and refuse it until the next block is committed:
        gossip may still bring it, and the verdict may change then.
        """
        if self.remove(tx_hash) is None:
            return
        self._rejected[tx_hash] = None
        if len(self._rejected) > self._limits.max_transactions:
            del self._rejected[next(iter(self._rejected))]

    def _check_nonce(self, tx: Transaction, queue: SenderQueue) -> None:
        if tx.nonce < queue.state_nonce:
            raise PoolRejected(
                f"nonce too low: next nonce {queue.state_nonce}, tx nonce {tx.nonce}", "nonce"
            )
        if tx.nonce >= MAX_NONCE:
            raise PoolRejected(
                f"nonce has max value: address 0x{tx.sender.hex()}, nonce: {tx.nonce}", "nonce"
            )
        if tx.nonce - queue.gap > self._limits.max_nonce_gap:
            raise PoolRejected(
                f"nonce too high: tx nonce {tx.nonce}, gapped nonce {queue.gap}", "nonce"
            )

    def _check_replacement(self, tx: Transaction, old: Transaction) -> None:
        """Both fees must rise, so that replacing cannot be used to flood the network for nothing."""
        for new_fee, old_fee in (
            (tx.max_fee_per_gas, old.max_fee_per_gas),
            (tx.max_priority_fee_per_gas, old.max_priority_fee_per_gas),
        ):
            floor = old_fee * (100 + self._limits.price_bump_percent) // 100
            if new_fee <= old_fee or new_fee < floor:
                raise PoolRejected("replacement transaction underpriced", "underpriced")

    def _make_room(
        self,
        entry: PooledTransaction,
        queue: SenderQueue,
        replaced: PooledTransaction | None,
        base_fee: int,
    ) -> None:
        """Evict what ranks below `entry` until it fits, or raise and leave everything as it was."""
        more = 0 if replaced is not None else 1
        victims: list[tuple[SenderQueue, PooledTransaction]] = []
        if len(queue) + more > self._limits.max_per_sender:
            # The sender's own last makes room for a lower nonce: a full queue whose first nonce is
            # missing could otherwise never move.
            if not queue or queue.last.tx.nonce <= entry.tx.nonce:
                raise PoolRejected(f"account limit exceeded: pooled {len(queue)}", "full")
            victims.append((queue, queue.last))
            self._discard(queue.last)
        more_bytes = entry.size - (replaced.size if replaced is not None else 0)
        if not self._fits(more, more_bytes):
            order = self._eviction_order(base_fee)
            spared = False
            for owner in order.pop_below(rank(entry, queue, base_fee)):
                victim = owner.last
                if owner is queue and victim.tx.nonce <= entry.tx.nonce:
                    spared = True  # `entry` replaces or follows it
                    continue
                victims.append((owner, victim))
                self._discard(victim)
                if self._fits(more, more_bytes):
                    break
            if spared:
                order.push(queue)
        if not self._fits(more, more_bytes):
            for owner, victim in reversed(victims):
                self._insert(victim, owner)
            raise PoolFull
        self.evicted += len(victims)

    def _fits(self, more: int, more_bytes: int) -> bool:
        return (
            len(self._by_hash) + more <= self._limits.max_transactions
            and self._bytes + more_bytes <= self._limits.max_bytes
        )

    def _eviction_order(self, base_fee: int) -> EvictionOrder:
        if self._eviction is None or self._eviction.base_fee != base_fee:
            self._eviction = EvictionOrder(self._queues, base_fee)
        return self._eviction

    def _rebase(self, sender: Address, state_nonce: int) -> None:
        queue = self._queues.get(sender)
        if queue is not None and queue.state_nonce != state_nonce:
            for entry in queue.rebase(state_nonce):
                self._forget(entry)
            self._settle(queue)

    def _insert(self, entry: PooledTransaction, queue: SenderQueue) -> None:
        replaced = queue.put(entry)
        if replaced is not None:
            self._forget(replaced)
        self._by_hash[entry.tx.hash] = entry
        self._bytes += entry.size
        self._settle(queue)

    def _discard(self, entry: PooledTransaction) -> None:
        queue = self._queues[entry.tx.sender]
        queue.take(entry.tx.nonce)
        self._forget(entry)
        self._settle(queue)

    def _forget(self, entry: PooledTransaction) -> None:
        del self._by_hash[entry.tx.hash]
        self._bytes -= entry.size

    def _settle(self, queue: SenderQueue) -> None:
        """After a change of `queue`: keep it only while it holds something, and rank it anew."""
        if not queue:
            self._queues.pop(queue.sender, None)
            return
        self._queues[queue.sender] = queue
        if self._eviction is not None:
            self._eviction.push(queue)


def _check_funds(entry: PooledTransaction, queue: SenderQueue, balance: int) -> None:
    """Check that the sender can pay for this transaction and for all that it has queued before it."""
    cost, queued = entry.cost, queue.cost_before(entry.tx.nonce)
    if cost > balance:
        detail = f"tx cost {cost}, overshot {cost - balance}"
    elif queued + cost > balance:
        detail = f"queued cost {queued}, tx cost {cost}, overshot {queued + cost - balance}"
    else:
        return
    raise PoolRejected(
        f"insufficient funds for gas * price + value: balance {balance}, {detail}", "funds"
    )
