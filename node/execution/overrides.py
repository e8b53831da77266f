"""State overrides: what a simulated call is to find instead of what is there.

A block's values are overridden by `dataclasses.replace` on its `BlockContext`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from node.execution.account import EMPTY_ACCOUNT
from node.execution.state import State
from node.primitives.basics import Address


@dataclass(frozen=True, slots=True, kw_only=True)
class StateOverride:
    """What to replace of an account; None leaves it. Balance in wei, slots and values as integers.

    `state` replaces the whole storage, `state_diff` single slots; both at once is a ValueError.
    """

    balance: int | None = None
    nonce: int | None = None
    code: bytes | None = field(default=None, repr=False)
    state: Mapping[int, int] | None = field(default=None, repr=False)
    state_diff: Mapping[int, int] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.state is not None and self.state_diff is not None:
            raise ValueError("an override has both 'state' and 'stateDiff'")


def apply_overrides(state: State, overrides: Mapping[Address, StateOverride]) -> None:
    """Change `state`, one that is thrown away. What executes next takes it for what was always there.

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


def _clear_storage(state: State, address: Address) -> None:
    before = state.account(address) or EMPTY_ACCOUNT
    code = state.code(address)
    state.delete_account(address)
    state.set_nonce(address, before.nonce)
    state.set_balance(address, before.balance)
    state.set_code(address, code)
