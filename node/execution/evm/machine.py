"""Executing messages: calls and contract creations (Yellow Paper 7 and 8)."""

from collections.abc import Mapping

from node.execution.evm.interpreter import run
from node.execution.evm.precompile_table import PRECOMPILES, Precompile
from node.execution.evm.storage_ops import self_destruct
from node.execution.frame.frame import EvmMessage, Frame, Vm
from node.execution.frame.pyevm import OutOfGas, ReservedBytesInCode, VMError
from node.primitives.basics import Address, keccak_fast
from node.primitives.births import Birth
from node.primitives.console import MAX_BYTES, MAX_LINES
from node.primitives.predeploys import CONSOLE

MAX_CODE_BYTES = 24_576  # EIP-170
MAX_INITCODE_BYTES = 2 * MAX_CODE_BYTES  # EIP-3860
CODE_DEPOSIT = 200


class CannotBeSent(VMError):  # type: ignore[misc]  # Any
    """The payments of a transaction to accounts of other shards cannot be sent: as a REVERT at its end."""

    burns_gas = False


class Machine(Vm):
    """A `Vm` that runs.

    `is_transaction`: the first frame is a transaction's. It fails if its payments to accounts of other shards
    cannot be sent.
    """

    precompiles: Mapping[bytes, Precompile] = PRECOMPILES
    is_transaction = False

    def execute(self, message: EvmMessage) -> Frame:
        """Run a message call. Its failure is in the frame and undoes all it did.

        The sender must have the value. A frame that failed other than by REVERT has no gas left.
        """
        state = self.accounts
        snapshot = state.snapshot()
        mark = self.mark()
        if message.value and message.transfers:
            state.add_balance(message.sender, -message.value)
            state.add_balance(message.storage_address, message.value)
        else:
            state.touch(message.storage_address)
        frame = Frame(self, message)
        try:
            precompile = self.precompiles.get(message.code_address)
            if precompile is not None:
                precompile(frame)
            elif message.code:
                run(frame)
                if message.depth == 0 and self.is_transaction:
                    self._check_leavings()
            elif message.code_address == CONSOLE and len(self.console) < MAX_LINES:
                self.console.append(bytes(message.data[:MAX_BYTES]))
        except VMError as error:
            frame.fail(error)
            state.revert(snapshot)
            self.rollback(mark)
        return frame

    def _check_leavings(self) -> None:
        beacon = self.context.beacon
        reason = None if beacon is None else beacon.unsendable(self.accounts)
        if reason is not None:
            raise CannotBeSent(reason)

    def refuse(self, message: EvmMessage, error: VMError, output: bytes = b"") -> Frame:
        """The frame of a call that fails before it begins: nothing happened and all its gas is left."""
        frame = Frame(self, message)
        frame._error = error
        frame._output = output
        return frame

    def elsewhere(self, address: bytes) -> int | None:
        beacon = self.context.beacon
        if beacon is None or address in self.precompiles:
            return None
        return beacon.elsewhere(self.accounts, Address(address))

    def self_destruct(self, message: EvmMessage, gas: int, target: int) -> int:
        return self_destruct(self, message, gas, target)

    def create(self, message: EvmMessage) -> Frame:
        """Create a contract at `message.storage_address`, which the caller found free.

        Raises OutOfGas, for the creator, where the init code is too large (EIP-3860).
        """
        check_init_code(message)
        state = self.accounts
        address = message.storage_address
        snapshot = state.snapshot()
        mark = self.mark()
        state.set_nonce(address, 1)
        self.created[address] = _birth(message, state.nonce(message.sender) - 1)
        frame = self.execute(message)
        if not frame.is_error:
            code = frame.result
            try:
                _check_code(code)
                frame.meter.consume_gas(CODE_DEPOSIT * len(code))
            except VMError as error:
                frame.fail(error)
            else:
                if code:
                    state.set_code(address, code)
                return frame
        state.revert(snapshot)
        self.rollback(mark)
        return frame


def _birth(message: EvmMessage, nonce: int) -> Birth:
    """`nonce` is the one that the creator gave to this creation."""
    creator = Address(message.sender)
    if not message.salt:
        return Birth(creator=creator, nonce=nonce)
    return Birth(creator=creator, salt=message.salt, init_hash=keccak_fast(message.code))


def check_init_code(message: EvmMessage) -> None:
    """Raise OutOfGas if the init code is too large."""
    if len(message.code) > MAX_INITCODE_BYTES:
        raise OutOfGas("max initcode size exceeded")


def _check_code(code: bytes) -> None:
    if len(code) > MAX_CODE_BYTES:
        raise OutOfGas("max code size exceeded")
    if code[:1] == b"\xef":
        raise ReservedBytesInCode("invalid code: must not begin with 0xef")
