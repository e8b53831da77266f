"""One sender's pooled transactions, ordered by nonce.

A queue knows the sender's nonce in the state it was last shown and, from there on, where the unbroken
run of nonces ends: what lies before that gap can be executed, what lies after it waits.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from node.primitives.basics import Address
from node.primitives.transaction import Transaction


class AccountView(Protocol):
    """The state as the pool sees it."""

    def nonce(self, address: Address) -> int:
        """The nonce the account's next transaction must have; 0 for an unknown account."""
        ...

    def balance(self, address: Address) -> int:
        """In wei; 0 for an unknown account."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PooledTransaction:
    """A pooled transaction; `arrival` counts additions and is unique."""

    tx: Transaction
    arrival: int

    @property
    def size(self) -> int:
        """On the wire, in bytes."""
        return len(self.tx.raw)

    @property
    def cost(self) -> int:
        """The most it can take from its sender, in wei."""
        return self.tx.gas * self.tx.max_fee_per_gas + self.tx.value

    def tip(self, base_fee: int) -> int:
        """The proposer's income per gas at `base_fee`, in wei (EIP-1559); if negative the transaction cannot be
        included.
        """
        tx = self.tx
        return min(tx.max_priority_fee_per_gas, tx.max_fee_per_gas - base_fee)


class SenderQueue:
    """The entries of one sender. Never asked for `last` while empty."""

    __slots__ = ("_by_nonce", "_cost", "_nonces", "gap", "sender", "state_nonce")

    def __init__(self, sender: Address, state_nonce: int) -> None:
        self.sender = sender
        self.state_nonce = state_nonce
        self.gap = state_nonce
        self._nonces: list[int] = []
        self._by_nonce: dict[int, PooledTransaction] = {}
        self._cost = 0

    def __len__(self) -> int:
        return len(self._nonces)

    def __iter__(self) -> Iterator[PooledTransaction]:
        """In nonce order."""
        return (self._by_nonce[nonce] for nonce in self._nonces)

    @property
    def last(self) -> PooledTransaction:
        return self._by_nonce[self._nonces[-1]]

    @property
    def executable(self) -> int:
        """The number of entries that can be executed one after the other from the state nonce on."""
        return self.gap - self.state_nonce

    def get(self, nonce: int) -> PooledTransaction | None:
        return self._by_nonce.get(nonce)

    def is_executable(self, nonce: int) -> bool:
        """True if no nonce is missing between the state nonce and `nonce` (which may be missing itself)."""
        return self.state_nonce <= nonce <= self.gap

    def next_nonce(self, state_nonce: int) -> int:
        """The first nonce from `state_nonce` on that no entry has."""
        if self.state_nonce <= state_nonce <= self.gap:
            return self.gap
        nonce = state_nonce
        while nonce in self._by_nonce:
            nonce += 1
        return nonce

    def cost_before(self, nonce: int) -> int:
        """The summed cost of the entries with a lower nonce, in wei."""
        if not self._nonces or nonce > self._nonces[-1]:
            return self._cost
        lower = self._nonces[: bisect_left(self._nonces, nonce)]
        return sum(self._by_nonce[n].cost for n in lower)

    def put(self, entry: PooledTransaction) -> PooledTransaction | None:
        """Insert; returns the entry of the same nonce that it replaces."""
        nonce = entry.tx.nonce
        replaced = self._by_nonce.get(nonce)
        self._by_nonce[nonce] = entry
        self._cost += entry.cost
        if replaced is not None:
            self._cost -= replaced.cost
            return replaced
        insort(self._nonces, nonce)
        while self.gap in self._by_nonce:
            self.gap += 1
        return None

    def take(self, nonce: int) -> PooledTransaction:
        """Remove; later entries stay and wait for the nonce to be filled again."""
        entry = self._by_nonce.pop(nonce)
        del self._nonces[bisect_left(self._nonces, nonce)]
        self._cost -= entry.cost
        if self.state_nonce <= nonce < self.gap:
            self.gap = nonce
        return entry

    def rebase(self, state_nonce: int) -> list[PooledTransaction]:
        """Follow the state to its nonce; returns the entries below it, which are removed."""
        self.gap = self.next_nonce(state_nonce)
        self.state_nonce = state_nonce
        stale = self._nonces[: bisect_left(self._nonces, state_nonce)]
        return [self.take(nonce) for nonce in stale]
