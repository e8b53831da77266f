"""The call tracer: the tree of calls and creations, in the shape of geth's callTracer."""

from typing import Any

from node.execution.evm.evm import error_text
from node.execution.evm.machine import Machine
from node.execution.evm.results import CallResult, TransactionResult
from node.execution.frame.frame import EvmMessage, Frame
from node.execution.frame.pyevm import Revert
from node.execution.state.state import State
from node.execution.tracers.tracing import TraceBudget, TracedExecution, Tracer
from node.primitives.basics import Address
from node.primitives.births import contract_address

_NAMES = {0xF1: "CALL", 0xF2: "CALLCODE", 0xF4: "DELEGATECALL", 0xFA: "STATICCALL"}
_STATICCALL = 0xFA
_CALL_BYTES = 1000
_ERROR_SELECTOR = bytes.fromhex("08c379a0")
_PANIC_SELECTOR = bytes.fromhex("4e487b71")
_PANICS = {
    0x00: "generic panic",
    0x01: "assert(false)",
    0x11: "arithmetic underflow or overflow",
    0x12: "division or modulo by zero",
    0x21: "enum overflow",
    0x22: "invalid encoded storage byte array accessed",
    0x31: "out-of-bounds array access; popping on an empty array",
    0x32: "out-of-bounds access of an array or bytesN",
    0x41: "out of memory",
    0x51: "uninitialized function",
}


def revert_reason(output: bytes) -> str | None:
    """The text of Solidity's Error(string) or Panic(uint256), None where `output` is neither."""
    selector, body = output[:4], output[4:]
    if selector == _PANIC_SELECTOR and len(body) == 32:
        code = int.from_bytes(body, "big")
        return _PANICS.get(code, f"unknown panic code: {code:#x}")
    if selector != _ERROR_SELECTOR or len(body) < 64:
        return None
    start = int.from_bytes(body[:32], "big")
    size = int.from_bytes(body[start : start + 32], "big")
    if start + 32 + size > len(body):
        return None
    return body[start + 32 : start + 32 + size].decode("utf-8", "replace")


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


class CallTracer(Tracer):
    """`result` is JSON: quantities and bytes in hex, absent where geth leaves them out.

    `with_logs` adds each call's logs (those of failed calls are dropped), `only_top_call` leaves out
    what the transaction's call calls. An inner creation that collides, or for which there are no
    funds or no depth, is not listed.
    """

    def __init__(
        self,
        *,
        with_logs: bool = False,
        only_top_call: bool = False,
        budget: TraceBudget | None = None,
    ) -> None:
        self._with_logs = with_logs
        self._only_top_call = only_top_call
        self._budget = budget if budget is not None else TraceBudget()
        self._execution: TracedExecution | None = None
        self._vm: Machine | None = None
        self._root: dict[str, Any] = {}
        self._open: list[dict[str, Any]] = []
        self._logs_seen = 0

    def result(self) -> dict[str, Any]:
        """The outermost call. Its gas is the whole gas limit, with what is paid before any code runs."""
        return self._root

    # -- Tracer

    def start(self, state: State, execution: TracedExecution) -> None:
        self._execution = execution

    def enter(self, vm: Machine, message: EvmMessage) -> None:
        self._vm = vm
        if message.depth and self._only_top_call:
            return
        data = message.code if message.is_create else message.data
        self._budget.spend(_CALL_BYTES + 2 * len(data))
        call = _opened(vm, message)
        if self._open:
            self._take_logs(vm)
            self._open[-1].setdefault("calls", []).append(call)
        else:
            self._root = call
        self._open.append(call)

    def self_destruct(self, message: EvmMessage, beneficiary: Address, balance: int) -> None:
        if message.depth and self._only_top_call:
            return
        self._budget.spend(_CALL_BYTES)
        self._open[-1].setdefault("calls", []).append(
            {
                "type": "SELFDESTRUCT",
                "from": _hex(message.storage_address),
                "to": _hex(beneficiary),
                "value": hex(balance),
                "gas": "0x0",
                "gasUsed": "0x0",
                "input": "0x",
            }
        )

    def leave(self, frame: Frame) -> None:
        if frame.msg.depth and self._only_top_call:
            return
        self._take_logs(frame.vm)
        call = self._open.pop()
        call["gasUsed"] = hex(frame.msg.gas - frame.meter.gas_remaining)
        output = frame.result
        self._budget.spend(2 * len(output))
        if output:
            call["output"] = _hex(output)
        if frame.is_error:
            _fail(call, error_text(frame), output if isinstance(frame.error, Revert) else b"")

    def finish(self, state: State, result: CallResult | TransactionResult) -> None:
        execution = self._execution
        if execution is None:
            raise RuntimeError("a trace was finished that was not started")
        if (
            not self._root
        ):  # nothing was entered: a collision, a sender without the value, no execution
            self._root = {
                "type": "CREATE" if execution.creates else "CALL",
                "from": _hex(execution.sender),
                "to": _hex(execution.to),
                "value": hex(execution.value),
                "input": _hex(execution.data),
            }
            if not result.success:
                _fail(self._root, result.error or "execution failed", b"")
        self._root["gas"] = hex(execution.gas)
        self._root["gasUsed"] = hex(result.gas_used)
        _drop_failed_logs(self._root)

    # -- logs

    def _take_logs(self, vm: Any) -> None:
        """Give the logs made since the last look to the innermost open call."""
        logs = vm.logs
        if self._with_logs:
            call = self._open[-1]
            for index in range(self._logs_seen, len(logs)):
                log = logs[index]
                self._budget.spend(_CALL_BYTES + 2 * len(log.data))
                call.setdefault("logs", []).append(
                    {
                        "address": _hex(log.address),
                        "topics": [_hex(topic) for topic in log.topics],
                        "data": _hex(log.data),
                        "position": hex(len(call.get("calls", ()))),
                        "index": hex(index),
                    }
                )
        self._logs_seen = len(logs)


def _opened(vm: Machine, message: EvmMessage) -> dict[str, Any]:
    if message.is_create:
        plain = message.depth == 0 or message.storage_address == contract_address(
            message.sender, vm.accounts.nonce(message.sender) - 1
        )
        name = "CREATE" if plain else "CREATE2"
        to = message.storage_address
        data = message.code
    else:
        name = _NAMES[message.opcode]
        to = message.code_address
        data = message.data_as_bytes
    # of a DELEGATECALL the account that the code works on is the caller
    sender = message.sender if message.opcode != 0xF4 else message.storage_address
    call: dict[str, Any] = {
        "type": name,
        "from": _hex(sender),
        "to": _hex(to),
        "value": hex(message.value),
        "gas": hex(message.gas),
        "gasUsed": "0x0",
        "input": _hex(data),
    }
    if message.opcode == _STATICCALL:
        del call["value"]
    return call


def _fail(call: dict[str, Any], error: str, output: bytes) -> None:
    call["error"] = error
    if call["type"] in ("CREATE", "CREATE2"):
        call.pop("to")
    reason = revert_reason(output)
    if reason is not None:
        call["revertReason"] = reason


def _drop_failed_logs(root: dict[str, Any]) -> None:
    waiting = [(root, False)]
    while waiting:
        call, failed = waiting.pop()
        failed = failed or "error" in call
        if failed:
            call.pop("logs", None)
        waiting += [(inner, failed) for inner in call.get("calls", ())]
