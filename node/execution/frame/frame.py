"""One message call or creation: what the Yellow Paper calls the machine state, as py-evm expects it."""

from abc import ABC, abstractmethod
from typing import Any

from node.execution.frame.pyevm import (
    BaseComputation,
    Memory,
    OutOfGas,
    Stack,
    VMError,
)
from node.execution.frame.substate import Substate
from node.primitives.basics import Address


class EvmMessage:
    """The input of a frame: py-evm's Message without its checks, which our own callers do not need.

    `storage_address` is whose balance and storage the code works on, `code_address` the account that
    was called (a precompile is found by it; the code of a delegated account is its delegate's). `data`
    is the call data, of a large call a view of its caller's memory that is released when the call
    ends; a creation has its init code in `code`, and one by CREATE2 a `salt` of 32 bytes. `opcode` is the
    instruction that called, CALL for a transaction; of a creation it tells nothing.
    """

    __slots__ = (
        "code",
        "code_address",
        "data",
        "depth",
        "gas",
        "is_create",
        "is_static",
        "opcode",
        "salt",
        "sender",
        "storage_address",
        "transfers",
        "value",
    )

    def __init__(
        self,
        *,
        gas: int,
        sender: bytes,
        storage_address: bytes,
        code_address: bytes,
        value: int,
        data: bytes | memoryview,
        code: bytes,
        depth: int = 0,
        transfers: bool = True,
        is_static: bool = False,
        is_create: bool = False,
        opcode: int = 0xF1,
        salt: bytes = b"",
    ) -> None:
        self.gas = gas
        self.sender = sender
        self.storage_address = storage_address
        self.code_address = code_address
        self.value = value
        self.data = data
        self.code = code
        self.depth = depth
        self.transfers = transfers
        self.is_static = is_static
        self.is_create = is_create
        self.opcode = opcode
        self.salt = salt

    @property
    def data_as_bytes(self) -> bytes:
        return bytes(self.data)


class GasMeter:
    """The gas left to a frame. The interpreter keeps it in a local variable and stores it here."""

    __slots__ = ("gas_remaining",)

    def __init__(self, gas: int) -> None:
        self.gas_remaining = gas

    def consume_gas(self, amount: int, reason: str = "") -> None:
        """Take gas. Raises OutOfGas. The reason is py-evm's and is dropped: no caller could act on it."""
        if amount > self.gas_remaining:
            raise OutOfGas("out of gas")
        self.gas_remaining -= amount

    def return_gas(self, amount: int) -> None:
        self.gas_remaining += amount


class Vm(Substate, ABC):
    """A `Substate` that runs the frames which share it (see `machine.Machine`)."""

    @abstractmethod
    def execute(self, message: EvmMessage) -> "Frame":
        """Run a message call."""

    @abstractmethod
    def create(self, message: EvmMessage) -> "Frame":
        """Create a contract."""

    @abstractmethod
    def refuse(self, message: EvmMessage, error: VMError, output: bytes = b"") -> "Frame":
        """A call that cannot be made. `output` is kept where the error is a Revert."""

    @abstractmethod
    def elsewhere(self, address: bytes) -> int | None:
        """The shard of an account that lives on another one; None for one that lives here."""

    @abstractmethod
    def self_destruct(self, message: EvmMessage, gas: int, target: int) -> int:
        """SELFDESTRUCT (see `storage_ops`); the gas that is left."""


class Frame(BaseComputation):  # type: ignore[misc]  # py-evm is not typed for us
    """A py-evm computation that keeps its substate in the transaction's `Vm`.

    py-evm's opcode functions and precompiles run on it unchanged; calls and creations come back to
    the `Vm`.
    """

    looked_at = b""
    """The account that EXTCODESIZE or EXTCODEHASH looked at last, if the frame has called nothing since."""

    def __init__(self, vm: Vm, message: EvmMessage) -> None:
        # BaseComputation.__init__ is not called: it builds what only py-evm's own loop uses
        self.vm = vm
        self.state = vm
        self.msg = message
        self.transaction_context = vm
        if message.code:  # without any nothing runs: a plain transfer, a precompile
            self._stack = Stack()
            self._memory = Memory()
        self._gas_meter = GasMeter(message.gas)
        self._error: VMError | None = None
        self._output = b""
        self.return_data = b""
        self.salt = b""
        """Of the CREATE2 that runs; py-evm does not hand it on."""

    @property
    def meter(self) -> GasMeter:
        meter: GasMeter = self._gas_meter
        return meter

    @property
    def result(self) -> bytes:
        """The output of the frame, also after REVERT; empty after any other failure."""
        return b"" if self.should_erase_return_data else self._output

    def fail(self, error: VMError) -> None:
        self._error = error
        if error.burns_gas:
            self._gas_meter.gas_remaining = 0

    def prepare_child_message(
        self, *, gas: int, value: int, code: bytes, create_address: Address, **_: Any
    ) -> EvmMessage:
        """The message of a creation; py-evm's CREATE asks for it (its calls are not used)."""
        return EvmMessage(
            gas=gas,
            sender=self.msg.storage_address,
            storage_address=create_address,
            code_address=b"",
            value=value,
            data=b"",
            code=code,
            depth=self.msg.depth + 1,
            is_create=True,
            salt=self.salt,
        )

    def apply_child_computation(self, child_msg: EvmMessage) -> "Frame":
        self.looked_at = b""
        child = self.vm.create(child_msg)
        self.return_data = child.result if child.is_error else b""
        return child
