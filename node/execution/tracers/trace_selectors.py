"""The 4byte tracer: which functions were called, by selector and size of arguments."""

from collections import Counter

from node.execution.evm.machine import Machine
from node.execution.evm.precompile_table import PRECOMPILES
from node.execution.frame.frame import EvmMessage
from node.execution.tracers.tracing import Tracer


class SelectorTracer(Tracer):
    """`result` is JSON in the shape of geth's 4byteTracer: {"0x27dc297e-128": 1}, the size without the
    selector. Creations and calls of precompiles are not counted."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    def enter(self, vm: Machine, message: EvmMessage) -> None:
        data = message.data
        if not message.is_create and len(data) >= 4 and message.code_address not in PRECOMPILES:
            self._seen[f"0x{data[:4].hex()}-{len(data) - 4}"] += 1

    def result(self) -> dict[str, int]:
        return dict(self._seen)
