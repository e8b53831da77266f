"""Transfers of wei as logs, as eth_simulateV1 reports them with `traceTransfers`."""

from typing import Any

from node.execution.evm.machine import Machine
from node.execution.frame.frame import EvmMessage, Frame
from node.execution.state.receipts import Log
from node.execution.tracers.tracing import Tracer
from node.primitives.basics import Address, Hash32, keccak256

EMITTER = Address(b"\xee" * 20)
TRANSFER = keccak256(b"Transfer(address,address,uint256)")


class TransferTracer(Tracer):
    """Adds to the logs of an execution an ERC-20 Transfer from `EMITTER` for each transfer of wei that was
    not undone, where it happened among the others."""

    def __init__(self) -> None:
        self._open: list[int | None] = []
        self._vm: Any = None

    def enter(self, vm: Machine, message: EvmMessage) -> None:
        self._vm = vm
        if message.value and message.transfers:
            self._open.append(len(vm.logs))
            vm.logs.append(_log(message.sender, message.storage_address, message.value))
        else:
            self._open.append(None)

    def leave(self, frame: Frame) -> None:
        at = self._open.pop()
        if at is not None and frame.is_error:
            del frame.vm.logs[at:]

    def self_destruct(self, message: EvmMessage, beneficiary: Address, balance: int) -> None:
        if balance:
            self._vm.logs.append(_log(message.storage_address, beneficiary, balance))


def _log(sender: bytes, to: bytes, value: int) -> Log:
    topics = (TRANSFER, Hash32(sender.rjust(32, b"\0")), Hash32(to.rjust(32, b"\0")))
    return Log(address=EMITTER, topics=topics, data=value.to_bytes(32, "big"))
