"""The state of block zero."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from node.execution.state.state import State
from node.execution.state.state_delta import StateDelta
from node.execution.state.system_contracts import (
    BEACON_ROOTS_ADDRESS,
    BEACON_ROOTS_CODE,
    HISTORY_ADDRESS,
    HISTORY_CODE,
)
from node.primitives.basics import Address


@dataclass(frozen=True, slots=True, kw_only=True)
class GenesisAccount:
    """Balance in wei; storage maps slots to non-zero values."""

    balance: int = 0
    nonce: int = 0
    code: bytes = field(default=b"", repr=False)
    storage: Mapping[int, int] = field(default_factory=dict, repr=False)


def genesis_alloc_system() -> dict[Address, GenesisAccount]:
    """The contracts that `Evm.begin_block` calls; every genesis needs them."""
    return {
        BEACON_ROOTS_ADDRESS: GenesisAccount(nonce=1, code=BEACON_ROOTS_CODE),
        HISTORY_ADDRESS: GenesisAccount(nonce=1, code=HISTORY_CODE),
    }


def _no_bodies(_: bytes) -> None:
    return None


def build_genesis(alloc: Mapping[Address, GenesisAccount]) -> StateDelta:
    """The state that holds exactly these accounts, and everything to write for it."""
    state = State(_no_bodies)
    for address, account in alloc.items():
        state.set_balance(address, account.balance)
        state.set_nonce(address, account.nonce)
        if account.code:
            state.set_code(address, account.code)
        for slot, value in account.storage.items():
            state.set_storage(address, slot, value)
    return state.seal(keep_empty=True)
