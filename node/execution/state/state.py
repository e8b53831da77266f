"""The state of a shard between two blocks: flat journalled accounts over a trie.

What transactions read and write are dictionaries; one undo log serves every nested call, every
transaction and the caller's own snapshots. The tries are touched twice per account: when it is first
read, and in `seal`.
"""

from collections.abc import Iterable
from enum import IntEnum
from typing import Any

from node.execution.state.account import (
    EMPTY_ACCOUNT,
    Account,
    decode_account,
    decode_slot,
    encode_account,
    encode_slot,
)
from node.execution.state.state_delta import StateCache, StateDelta
from node.execution.trie.trie import Trie
from node.execution.trie.trie_nodes import Reader
from node.primitives.basics import (
    EMPTY_CODE_HASH,
    EMPTY_TRIE_ROOT,
    Address,
    Hash32,
    keccak_fast,
)
from node.primitives.errors import CorruptData

MAX_BALANCE = (1 << 256) - 1


class BalanceOutOfRange(ValueError):
    """A balance outside 0 to 2^256-1. Real balances add up to less, so only overrides cause it."""


class _Undo(IntEnum):
    ACCOUNT = 0
    TOUCH = 1
    SLOT = 2
    CLEAR = 3
    WARM = 4
    TRANSIENT = 5


_ACCOUNT, _TOUCH, _SLOT, _CLEAR, _WARM, _TRANSIENT = (int(kind) for kind in _Undo)


class State:
    """Accounts on top of `root`. Reading raises CorruptData where the database lacks a node.

    Used by one thread. `shared` comes from a `StateStore`.
    """

    spans = False
    """True if accounts of other shards are here as they are there (see `guests`)."""

    def __init__(
        self,
        read: Reader,
        root: bytes = EMPTY_TRIE_ROOT,
        *,
        shared: StateCache | None = None,
    ) -> None:
        self._read = read
        self._root = Hash32(root)
        self._shared = shared if shared is not None else StateCache()
        self._trie = Trie(read, root, cache=self._shared.nodes)
        self._accounts: dict[bytes, Account | None] = {}
        self._keys: dict[bytes, bytes] = {}  # the hash of every address in `_accounts`
        self._dirty: set[bytes] = set()
        self._slots: dict[bytes, dict[int, int]] = {}
        self._dirty_slots: dict[bytes, set[int]] = {}
        self._storage_tries: dict[bytes, Trie] = {}
        self._new_codes: dict[bytes, bytes] = {}
        self._log: list[tuple[Any, ...]] = []
        self._transaction_start = 0
        self._original: dict[tuple[bytes, int], int] = {}
        # EIP-2929: addresses and (address, slot) pairs that the transaction has accessed
        self.warm: set[bytes | tuple[bytes, int]] = set()
        self.transient: dict[tuple[bytes, int], bytes] = {}  # EIP-1153

    @property
    def root(self) -> Hash32:
        """The root this state stands on: that of the parent until `seal`."""
        return self._root

    # -- accounts

    def account(self, address: bytes) -> Account | None:
        """The account, None where the state has none."""
        try:
            return self._accounts[address]
        except KeyError:
            found = self._accounts[address] = self._load_account(address)
            return found

    def _load_account(self, address: bytes) -> Account | None:
        key = self._keys[address] = keccak_fast(address)
        data = self._trie.get(key)
        return decode_account(data) if data else None

    def _write(self, address: bytes, old: Account | None, new: Account | None) -> None:
        # whether it is to be sealed is undone, too: an empty account is removed only where it was touched
        dirty = self._dirty
        self._log.append((_ACCOUNT, address, old, address in dirty))
        self._accounts[address] = new
        dirty.add(address)

    def balance(self, address: bytes) -> int:
        found = self.account(address)
        return found.balance if found is not None else 0

    def set_balance(self, address: bytes, balance: int) -> None:
        """Raises BalanceOutOfRange outside 0 to 2^256-1."""
        if not 0 <= balance <= MAX_BALANCE:
            raise BalanceOutOfRange(f"the balance of 0x{address.hex()} cannot become {balance}")
        old = self.account(address)
        nonce, _, root, code = old or EMPTY_ACCOUNT
        self._write(address, old, Account(nonce, balance, root, code))

    def add_balance(self, address: bytes, delta: int) -> None:
        """Raises ValueError where the balance would become negative. Adding zero writes nothing."""
        if delta:
            self.set_balance(address, self.balance(address) + delta)

    def nonce(self, address: bytes) -> int:
        found = self.account(address)
        return found.nonce if found is not None else 0

    def set_nonce(self, address: bytes, nonce: int) -> None:
        old = self.account(address)
        _, balance, root, code = old or EMPTY_ACCOUNT
        self._write(address, old, Account(nonce, balance, root, code))

    def raise_nonce(self, address: bytes) -> None:
        """Add one to the nonce."""
        self.set_nonce(address, self.nonce(address) + 1)

    def code_hash(self, address: bytes) -> Hash32:
        found = self.account(address)
        return Hash32(found.code_hash) if found is not None else EMPTY_CODE_HASH

    def code(self, address: bytes) -> bytes:
        found = self.account(address)
        if found is None or found.code_hash == EMPTY_CODE_HASH:
            return b""
        code_hash = found.code_hash
        code = self._new_codes.get(code_hash)
        if code is None:
            code = self._shared.codes.get(code_hash)
        return self._load_code(address, code_hash) if code is None else code

    def _load_code(self, address: bytes, code_hash: bytes) -> bytes:
        code = self._read(code_hash)
        if code is None:
            raise CorruptData(
                f"code {code_hash.hex()} of 0x{address.hex()} is missing from the database: "
                "the data directory is damaged and has to be synchronised again"
            )
        self._shared.keep_code(code_hash, code)
        return code

    def set_code(self, address: bytes, code: bytes) -> None:
        old = self.account(address)
        nonce, balance, root, _ = old or EMPTY_ACCOUNT
        code_hash = keccak_fast(code)
        if code:
            self._new_codes[code_hash] = code
        self._write(address, old, Account(nonce, balance, root, code_hash))

    def let_change(self, address: bytes) -> None:
        """Let code change the account wherever it lives: its code is not the one that it has there."""

    def exists(self, address: bytes) -> bool:
        """True if the account is present and not empty (EIP-161: an empty account is dead)."""
        found = self.account(address)
        return found is not None and not found.is_empty

    def is_present(self, address: bytes) -> bool:
        """True if the state holds the account, empty or not: an untouched empty account is still present."""
        found = self.account(address)
        return found is not None and not (found.is_empty and address in self._dirty)

    def has_code_or_nonce(self, address: bytes) -> bool:
        found = self.account(address)
        return found is not None and (found.nonce != 0 or found.code_hash != EMPTY_CODE_HASH)

    def is_settled(self, address: bytes) -> bool:
        """True if the account lives here whatever its address is: code or a nonce is at home."""
        return self.has_code_or_nonce(address)

    def has_storage(self, address: bytes) -> bool:
        """True if any slot is set (EIP-7610 refuses to create a contract there)."""
        found = self.account(address)
        if found is not None and found.storage_root != EMPTY_TRIE_ROOT:
            return True
        return any(self._slots.get(address, {}).values())

    def touch(self, address: bytes) -> None:
        """EIP-161: an empty account that is there and takes part in a transaction is removed."""
        found = self.account(address)
        if found is not None and found.is_empty and address not in self._dirty:
            self._log.append((_TOUCH, address))
            self._dirty.add(address)

    def delete_account(self, address: bytes) -> None:
        """Remove the account with its storage."""
        self._log.append(
            (
                _CLEAR,
                address,
                self._slots.get(address),
                self._dirty_slots.get(address),
                self._storage_tries.get(address),
            )
        )
        self._slots[address] = {}
        self._dirty_slots[address] = set()
        self._storage_tries[address] = Trie(self._read, cache=self._shared.nodes)
        self._write(address, self.account(address), None)

    # -- storage

    def _storage_trie(self, address: bytes) -> Trie:
        trie = self._storage_tries.get(address)
        if trie is None:
            found = self.account(address)
            root = found.storage_root if found is not None else EMPTY_TRIE_ROOT
            trie = Trie(self._read, root, cache=self._shared.nodes)
            self._storage_tries[address] = trie
        return trie

    def storage(self, address: bytes, slot: int) -> int:
        slots = self._slots.get(address)
        if slots is None:
            slots = self._slots[address] = {}
        value = slots.get(slot)
        if value is None:
            value = slots[slot] = self._load_slot(address, slot)
        return value

    def _load_slot(self, address: bytes, slot: int) -> int:
        key = keccak_fast(slot.to_bytes(32, "big"))
        return decode_slot(self._storage_trie(address).get(key))

    def original_storage(self, address: bytes, slot: int) -> int:
        """The value when the transaction began (EIP-2200)."""
        value = self._original.get((address, slot))
        return self.storage(address, slot) if value is None else value

    def set_storage(self, address: bytes, slot: int, value: int) -> None:
        old = self.storage(address, slot)
        self._original.setdefault((address, slot), old)
        self._log.append((_SLOT, address, slot, old))
        self._slots[address][slot] = value
        dirty = self._dirty_slots.get(address)
        if dirty is None:
            dirty = self._dirty_slots[address] = set()
        dirty.add(slot)

    # -- what lasts for one transaction

    def begin_transaction(self) -> None:
        """Start a transaction: nothing is warm, touched or transient, and all values are original."""
        self._transaction_start = len(self._log)
        self._original.clear()
        self.warm = set()
        self.transient.clear()

    def touched(self) -> set[Address]:
        """Accounts whose balance, nonce or code the current transaction wrote and did not revert."""
        entries = self._log[self._transaction_start :]
        return {entry[1] for entry in entries if entry[0] == _ACCOUNT}

    def mark_warm(self, key: bytes | tuple[bytes, int]) -> bool:
        """Mark an address or a (address, slot) as accessed; whether it was cold."""
        if key in self.warm:
            return False
        self.warm.add(key)
        self._log.append((_WARM, key))
        return True

    def set_transient(self, address: bytes, slot: int, value: bytes) -> None:
        key = (address, slot)
        self._log.append((_TRANSIENT, key, self.transient.get(key, b"")))
        self.transient[key] = value

    # -- journal

    def snapshot(self) -> int:
        """A point to go back to. Snapshots may span transactions."""
        return len(self._log)

    def commit(self, snapshot: int) -> None:
        """Keep what was done since `snapshot`. Costs nothing: outer snapshots can still undo it."""

    def revert(self, snapshot: int) -> None:
        """Undo everything since `snapshot`."""
        log = self._log
        while len(log) > snapshot:
            entry = log.pop()
            kind = entry[0]
            if kind == _ACCOUNT:
                self._accounts[entry[1]] = entry[2]
                if not entry[3]:
                    self._dirty.discard(entry[1])
            elif kind == _SLOT:
                self._slots[entry[1]][entry[2]] = entry[3]
            elif kind == _WARM:
                self.warm.discard(entry[1])
            elif kind == _TRANSIENT:
                self.transient[entry[1]] = entry[2]
            elif kind == _TOUCH:
                self._dirty.discard(entry[1])
            else:
                self._undo_clear(entry)
        if snapshot < self._transaction_start:
            self.begin_transaction()

    def _undo_clear(self, entry: tuple[Any, ...]) -> None:
        _, address, slots, dirty, trie = entry
        # slots that were written and undone stay marked: writing the same values again is harmless
        self._slots[address] = slots if slots is not None else {}
        self._dirty_slots[address] = dirty if dirty is not None else set()
        if trie is not None:
            self._storage_tries[address] = trie
        else:
            del self._storage_tries[address]

    # -- the new root

    def seal(self, *, keep_empty: bool = False) -> StateDelta:
        """The new root and all that must be written for it. Empty accounts are removed (EIP-161).

        The state then stands on the new root and may be used further, on the understanding that a
        second seal gives only what is new since the first. `keep_empty` is for a genesis, whose
        accounts are there because it says so.
        """
        nodes: dict[bytes, bytes] = {}
        for address, slots in self._dirty_slots.items():
            self._seal_storage(address, slots, nodes)
        changes = []
        for address in self._dirty:
            account = self._accounts[address]
            if account is None or (account.is_empty and not keep_empty):
                self._accounts[address] = None
                changes.append((self._keys[address], b""))
            else:
                changes.append((self._keys[address], encode_account(account)))
        self._trie.update(changes)
        root = self._trie.commit(nodes)
        nodes.update(self._live_codes())
        self._reset(root)
        return StateDelta(root=root, nodes=nodes)

    def _seal_storage(
        self, address: bytes, slots: Iterable[int], nodes: dict[bytes, bytes]
    ) -> None:
        account = self.account(address)
        if account is None or not slots:
            return
        values = self._slots[address]
        trie = self._storage_trie(address)
        trie.update(
            [(keccak_fast(slot.to_bytes(32, "big")), encode_slot(values[slot])) for slot in slots]
        )
        root = trie.commit(nodes)
        if root != account.storage_root:
            nonce, balance, _, code = account
            self._accounts[address] = Account(nonce, balance, root, code)
            self._dirty.add(address)

    def _live_codes(self) -> dict[bytes, bytes]:
        """New code bodies that some changed account has: a reverted creation leaves its body behind."""
        live = {
            account.code_hash
            for address in self._dirty
            if (account := self._accounts[address]) is not None
        }
        return {key: body for key, body in self._new_codes.items() if key in live}

    def _reset(self, root: Hash32) -> None:
        self._root = root
        self._dirty.clear()
        self._dirty_slots.clear()
        self._log.clear()
        self._transaction_start = 0
        self.begin_transaction()
