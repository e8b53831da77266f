"""The errors that execution raises on purpose.

    AtollError
    |-- InvalidTransaction
    |   |-- NonceTooLow        the account has used this nonce
    |   |-- NonceTooHigh       an earlier nonce is missing: may become valid
    |   |-- InsufficientFunds  the sender cannot pay gas, value or both
    |   |-- FeeTooLow          the fee cap is under the block's base fee
    |   `-- GasLimitReached    it does not fit in what is left of the block
    |-- ExecutionFailed        a simulated call fails whatever gas it is given (the caller's doing)
    |   `-- NotEnoughGas       it needs more than it may have
    |-- ExecutionTimedOut      a simulated or traced execution takes too long (the caller's doing)
    |-- TraceTooLarge          a trace exceeds its limits (the caller's doing)
    `-- PeerFault
        `-- BadProof           a Merkle proof that proves nothing

`CorruptData` (a trie node or a code body is missing) comes from `node.primitives.errors`.
"""

from node.primitives.errors import AtollError, InvalidTransaction, PeerFault


class NonceTooLow(InvalidTransaction):
    """The nonce is below the account's."""


class NonceTooHigh(InvalidTransaction):
    """The nonce is above the account's."""


class InsufficientFunds(InvalidTransaction):
    """The balance is below value plus the most the gas can cost."""


class FeeTooLow(InvalidTransaction):
    """`max_fee_per_gas` is below the base fee."""


class GasLimitReached(InvalidTransaction):
    """The gas limit is above what the block has left."""


class ExecutionFailed(AtollError):
    """A simulated call fails. `error` is geth's text, `output` what it returned (the revert reason), `console`
    as in `CallResult`.
    """

    def __init__(self, error: str, output: bytes, console: tuple[bytes, ...] = ()) -> None:
        super().__init__(error)
        self.error = error
        self.output = output
        self.console = console


class NotEnoughGas(ExecutionFailed):
    """A simulated call needs more gas than `allowance`: by its limit, its sender's funds or the network."""

    def __init__(self, allowance: int) -> None:
        super().__init__(f"gas required exceeds allowance ({allowance})", b"")
        self.allowance = allowance


class ExecutionTimedOut(AtollError):
    """A simulated or traced execution was given up because its time was over."""


class TraceTooLarge(AtollError):
    """A trace would hold more entries or bytes than its limits allow; the execution was given up."""


class BadProof(PeerFault):
    """A Merkle proof does not lead from its root to its key."""
