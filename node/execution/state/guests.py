"""A shard's state that is read together with accounts of other shards.

Those are guests: a table says how they are on their own shards. An execution that looks at an account or a
slot that the table lacks goes on with a guess, and the state notes what was wanted. Its result is then worth
nothing, but one run finds much of what it needs. Without anything wanted the result is that of one state with
all accounts.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

import msgspec

from node.execution.state.account import Account
from node.execution.state.state import State
from node.execution.state.state_delta import StateCache
from node.execution.trie.trie_nodes import Reader
from node.primitives.basics import (
    EMPTY_CODE_HASH,
    EMPTY_TRIE_ROOT,
    Address,
    keccak_fast,
)
from node.primitives.errors import AtollError
from node.primitives.fields import U256, ZERO, AddressField, Count, HashField, Word

MAX_WANTED = 1024
"""Accounts and slots that one execution may want; at one more it ends."""

GUESSED_CODE = bytes.fromhex("6104005ff3")
"""The code that an account is taken to have while it is not known: it returns 1,024 zeros.

Solidity looks whether there is code, calls it and decodes what it returned; with zeros it mostly goes on, to
the next account that it wants.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """An account as it is on its own shard, with some of its slots. One that does not exist is an empty one."""

    address: AddressField
    nonce: Count = 0
    balance: U256 = ZERO
    storage_root: HashField = EMPTY_TRIE_ROOT
    code_hash: HashField = EMPTY_CODE_HASH
    slots: tuple[tuple[Word, Word], ...] = field(default=(), repr=False)

    @property
    def account(self) -> Account:
        return Account(self.nonce, self.balance, self.storage_root, self.code_hash)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guests:
    """Guests, each once, and codes that some of them have."""

    accounts: tuple[Guest, ...] = ()
    codes: tuple[bytes, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The parts of an account that an execution looked for and did not find: its code, and these slots. The
    account itself is wanted where it is not known yet."""

    address: AddressField
    code: bool = False
    slots: Annotated[tuple[Word, ...], msgspec.Meta(max_length=MAX_WANTED)] = ()


class WantsTooMuch(AtollError):
    """An execution wanted so much that it was given up: what it wants so far is to be fetched first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Border:
    """The places of accounts: `home` gives the shard of an address that has neither code nor a nonce here."""

    here: int
    home: Callable[[Address], int]


class SpanningState(State):
    """A state of which nothing is sealed.

    `on_write` is called before a slot of a guest with code changes. `on_wanted` is called once, when something
    is wanted for the first time. `changed` is for the first account of a guest that code would have changed.
    """

    spans = True

    def __init__(
        self, read: Reader, root: bytes, *, shared: StateCache, border: Border, guests: Guests
    ) -> None:
        super().__init__(read, root, shared=shared)
        self._border = border
        self._guests: dict[bytes, Guest] = {guest.address: guest for guest in guests.accounts}
        self._guest_slots: dict[bytes, dict[int, int]] = {
            guest.address: dict(guest.slots) for guest in guests.accounts
        }
        self._new_codes.update((keccak_fast(code), code) for code in guests.codes)
        self._homes: dict[bytes, int] = {}
        self._raised: set[bytes] = set()
        self._changeable: set[bytes] = set()
        self._codes_wanted: set[bytes] = set()
        self._slots_wanted: dict[bytes, set[int]] = {}
        self._count = 0
        self._runs = False
        self.changed: Address | None = None
        self.on_write: Callable[[bytes], None] = lambda _: None
        self.on_wanted: Callable[[], None] = lambda: None

    # -- what is wanted

    @property
    def wants(self) -> bool:
        """True if something was looked for that the table lacks: no result is right then."""
        return bool(self._count)

    def wanted(self) -> list[Wanted]:
        """The accounts that were looked for, in the order of the looks."""
        return [
            Wanted(
                address=Address(address),
                code=address in self._codes_wanted,
                slots=tuple(map(Word, slots)),
            )
            for address, slots in self._slots_wanted.items()
        ]

    def _want(self, address: bytes, *, code: bool = False, slot: int | None = None) -> None:
        """Raises WantsTooMuch."""
        if self._count == MAX_WANTED:
            raise WantsTooMuch(f"more than {MAX_WANTED} accounts and slots are wanted at once")
        slots = self._slots_wanted.setdefault(address, set())
        if code:
            self._codes_wanted.add(address)
        if slot is not None:
            slots.add(slot)
        self._count += 1
        if self._count == 1:
            self.on_wanted()

    # -- who is a guest

    def shard_of(self, address: bytes) -> int | None:
        """The shard of an account that has been looked at; None for one that lives here."""
        return self._homes.get(address)

    def is_guest_contract(self, address: bytes) -> bool:
        """True for a guest with code: calls may run that and change nothing."""
        if address not in self._homes or address in self._changeable:
            return False
        guest = self._guests.get(address)
        return guest is not None and guest.code_hash != EMPTY_CODE_HASH

    def let_change(self, address: bytes) -> None:
        self._changeable.add(address)

    def is_settled(self, address: bytes) -> bool:
        if address in self._raised:
            return False
        if address in self._homes:
            guest = self._guests.get(address)
            born = guest is not None and (guest.nonce or guest.code_hash != EMPTY_CODE_HASH)
            return not born and self.has_code_or_nonce(address)
        if address in self._accounts:
            return self.has_code_or_nonce(address)
        return _has_code_or_nonce(super()._load_account(address))

    def _home_of(self, address: bytes, found: Account | None) -> int:
        """The shard of an account that this shard holds as `found`."""
        border = self._border
        return border.here if _has_code_or_nonce(found) else border.home(Address(address))

    # -- reading

    def _load_account(self, address: bytes) -> Account | None:
        found = super()._load_account(address)
        home = self._home_of(address, found)
        if home == self._border.here:
            return found
        self._homes[address] = home
        guest = self._guests.get(address)
        if guest is None:
            self._want(address)
            return None
        account = guest.account
        if address in self._raised:
            account = account._replace(nonce=account.nonce + 1)
        elif account.is_empty and account.storage_root == EMPTY_TRIE_ROOT:
            return None
        return account

    def code(self, address: bytes) -> bytes:
        if self.account(address) is None and self._is_unknown(address):
            self._codes_wanted.add(address)
            return GUESSED_CODE
        return super().code(address)

    def _is_unknown(self, address: bytes) -> bool:
        return address in self._homes and address not in self._guests

    def _load_code(self, address: bytes, code_hash: bytes) -> bytes:
        if address not in self._homes:
            return super()._load_code(address, code_hash)
        self._want(address, code=True)
        return GUESSED_CODE

    def _load_slot(self, address: bytes, slot: int) -> int:
        account = self.account(address)
        if address not in self._homes:
            return super()._load_slot(address, slot)
        if not self._is_unknown(address):
            if account is None or account.storage_root == EMPTY_TRIE_ROOT:
                return 0
            value = self._guest_slots[address].get(slot)
            if value is not None:
                return value
        self._want(address, slot=slot)
        return 0

    # -- writing

    def raise_nonce(self, address: bytes) -> None:
        """Add one to the nonce. A guest need not be known for it."""
        known = address in self._accounts
        if known or self._home_of(address, super()._load_account(address)) == self._border.here:
            super().raise_nonce(address)
        else:
            self._raised.add(address)

    def begin_transaction(self) -> None:
        self._runs = True
        super().begin_transaction()

    def set_storage(self, address: bytes, slot: int, value: int) -> None:
        if not self._runs:  # an override: what it stands for does not matter
            self._slots.setdefault(address, {}).setdefault(slot, 0)
        elif self.is_guest_contract(address):
            self.on_write(address)
        super().set_storage(address, slot, value)


def _has_code_or_nonce(account: Account | None) -> bool:
    return account is not None and (account.nonce != 0 or account.code_hash != EMPTY_CODE_HASH)
