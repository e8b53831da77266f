"""State overrides: accounts that a simulated call finds changed.

A block's values are overridden by `dataclasses.replace` on its `BlockContext`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from eth_utils.address import to_checksum_address

from node.execution.evm.precompile_table import PRECOMPILES, Precompile
from node.execution.state.account import EMPTY_ACCOUNT
from node.execution.state.state import State
from node.primitives.basics import Address
from node.primitives.errors import AtollError


@dataclass(frozen=True, slots=True, kw_only=True)
class StateOverride:
    """The changes to one account; None leaves a field as it is. Balance in wei, slots and values as integers.

    `state` replaces the whole storage, `state_diff` single slots; both at once is a ValueError. A precompile
    with `moved_to` moves to that address.
    """

    balance: int | None = None
    nonce: int | None = None
    code: bytes | None = field(default=None, repr=False)
    state: Mapping[int, int] | None = field(default=None, repr=False)
    state_diff: Mapping[int, int] | None = field(default=None, repr=False)
    moved_to: Address | None = None

    def __post_init__(self) -> None:
        if self.state is not None and self.state_diff is not None:
            raise ValueError("an override has both 'state' and 'stateDiff'")


class CannotOverride(AtollError):
    """An override without a meaning: it moves an address that is no precompile, or to an address that another
    override uses.
    """


def apply_overrides(state: State, overrides: Mapping[Address, StateOverride]) -> None:
    """Apply the overrides to `state`, a throw-away one. The next execution finds them as original values.

    Raises ValueError for a balance outside 0 to 2^256-1.
    """
    for address, override in overrides.items():
        if override.state is not None:
            _clear_storage(state, address)
        if override.nonce is not None:
            state.set_nonce(address, override.nonce)
        if override.balance is not None:
            state.set_balance(address, override.balance)
        if override.code is not None:
            state.set_code(address, override.code)
        for slot, value in (override.state or override.state_diff or {}).items():
            state.set_storage(address, slot, value)
    state.begin_transaction()


def moved_precompiles(
    overrides: Mapping[Address, StateOverride],
    precompiles: Mapping[bytes, Precompile] = PRECOMPILES,
) -> Mapping[bytes, Precompile]:
    """The precompiles that are left of `precompiles`, by address: one that is overridden is an account
    like others, and is found where it was moved.

    Raises CannotOverride with geth's words (`internal/ethapi/override`).
    """
    out = precompiles
    for address, override in overrides.items():
        moved, precompile = override.moved_to, precompiles.get(address)
        if moved is not None and precompile is None:
            raise CannotOverride(f"account {to_checksum_address(address)} is not a precompile")
        if moved is not None and moved in overrides:
            raise CannotOverride(f"account {to_checksum_address(moved)} is already overridden")
        if precompile is None:
            continue
        left = {who: code for who, code in out.items() if who != address}
        out = left if moved is None else left | {moved: precompile}
    return out


def _clear_storage(state: State, address: Address) -> None:
    before = state.account(address) or EMPTY_ACCOUNT
    code = state.code(address)
    state.delete_account(address)
    state.set_nonce(address, before.nonce)
    state.set_balance(address, before.balance)
    state.set_code(address, code)
