"""The results of executions."""

from dataclasses import dataclass, field

from node.execution.state.receipts import Log
from node.primitives.basics import Address
from node.primitives.births import Birth

REVERTED = "execution reverted"
"""The text of a REVERT, as go-ethereum has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallResult:
    """The outcome of a message call.

    `gas_used` in units, after refunds. `output` is what it returned, or the revert reason. `created` are
    the contracts created in it, in this order; what was undone again is not there, what destroyed itself
    is. `burned` is the wei that left the supply through SELFDESTRUCT. `error` is geth's text, None on
    success. `console` is the data of calls of CONSOLE, also of those that were undone.
    """

    success: bool
    gas_used: int
    logs: tuple[Log, ...]
    output: bytes = field(repr=False)
    created: tuple[Birth, ...]
    burned: int
    error: str | None
    console: tuple[bytes, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionResult:
    """The outcome of a transaction, as `CallResult`.

    `peak_gas` is what it had used before refunds; as `gas_used`, no less than the floor. `burned` includes
    the base fee. `contract_address` is the contract that a creation made, None where it was no creation or
    failed.
    """

    success: bool
    gas_used: int
    peak_gas: int
    logs: tuple[Log, ...]
    output: bytes = field(repr=False)
    contract_address: Address | None
    created: tuple[Birth, ...]
    burned: int
    error: str | None
    console: tuple[bytes, ...] = field(default=(), repr=False)
