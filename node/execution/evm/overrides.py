"""Overrides: accounts and fields of the block that a simulated call finds changed.

Nodes send them to each other as msgpack maps of their fields.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from eth_utils.address import to_checksum_address

from node.execution.evm.precompile_table import PRECOMPILES, Precompile
from node.execution.frame.context import BlockContext
from node.execution.state.account import EMPTY_ACCOUNT
from node.execution.state.state import State
from node.primitives.basics import Address
from node.primitives.errors import AtollError
from node.primitives.fields import U256, AddressField, Count, HashField, Word


@dataclass(frozen=True, slots=True, kw_only=True)
class StateOverride:
    """The changes to one account; None leaves a field as it is. Balance in wei.

    `storage` holds slots with their values; with `replace_storage` the account has no others. A precompile
    with `moved_to` moves to that address.
    """

    address: AddressField
    balance: U256 | None = None
    nonce: Count | None = None
    code: bytes | None = field(default=None, repr=False)
    storage: tuple[tuple[Word, Word], ...] = field(default=(), repr=False)
    replace_storage: bool = False
    moved_to: AddressField | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockOverride:
    """The changes to the header of the block; None leaves a field as it is. Fees in wei."""

    number: Count | None = None
    time: Count | None = None
    gas_limit: Count | None = None
    fee_recipient: AddressField | None = None
    prev_randao: HashField | None = None
    base_fee: U256 | None = None
    blob_base_fee: U256 | None = None

    def apply(self, context: BlockContext) -> BlockContext:
        changes = {
            "number": self.number,
            "timestamp": self.time,
            "gas_limit": self.gas_limit,
            "coinbase": self.fee_recipient,
            "prev_randao": self.prev_randao,
            "base_fee": self.base_fee,
            "blob_base_fee": self.blob_base_fee,
        }
        named: Any = {name: value for name, value in changes.items() if value is not None}
        return replace(context, **named)


class CannotOverride(AtollError):
    """An override without a meaning: it moves an address that is no precompile, or to an address that another
    override uses.
    """


def apply_overrides(state: State, overrides: Sequence[StateOverride]) -> None:
    """Apply the overrides to `state`, a throw-away one. The next execution finds them as original values.

    Raises ValueError for a balance outside 0 to 2^256-1.
    """
    for override in overrides:
        address = override.address
        if override.replace_storage:
            _clear_storage(state, address)
        if override.nonce is not None:
            state.set_nonce(address, override.nonce)
        if override.balance is not None:
            state.set_balance(address, override.balance)
        if override.code is not None:
            state.set_code(address, override.code)
            state.let_change(address)
        for slot, value in override.storage:
            state.set_storage(address, slot, value)
    state.begin_transaction()


def moved_precompiles(
    overrides: Sequence[StateOverride],
    precompiles: Mapping[bytes, Precompile] = PRECOMPILES,
) -> Mapping[bytes, Precompile]:
    """The precompiles that are left of `precompiles`, by address: one that is overridden is an account
    like others, and is found where it was moved.

    Raises CannotOverride with geth's words (`internal/ethapi/override`).
    """
    out, overridden = precompiles, {override.address for override in overrides}
    for override in overrides:
        address = override.address
        moved, precompile = override.moved_to, precompiles.get(address)
        if moved is not None and precompile is None:
            raise CannotOverride(f"account {to_checksum_address(address)} is not a precompile")
        if moved is not None and moved in overridden:
            raise CannotOverride(f"account {to_checksum_address(moved)} is already overridden")
        if precompile is None:
            continue
        left = {at: code for at, code in out.items() if at != address}
        out = left if moved is None else left | {moved: precompile}
    return out


def _clear_storage(state: State, address: Address) -> None:
    before = state.account(address) or EMPTY_ACCOUNT
    code = state.code(address)
    state.delete_account(address)
    state.set_nonce(address, before.nonce)
    state.set_balance(address, before.balance)
    state.set_code(address, code)
