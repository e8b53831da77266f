"""Questions that a shard answers by tracing executions and by simulating blocks."""

from typing import Annotated

import msgspec

from node.query.port import BlockReport, CallSpec, SimulationSpec, TracedItem, TraceSpec
from node.query.questions import Height, Question
from node.query.spec_check import MAX_HEIGHT, check_simulation, check_spec, check_trace

MAX_TRACED_ITEMS = 16_384
"""Items of one block: more than a block can have."""


class SimulateQuestion(Question[list[BlockReport]], frozen=True, tag="simulate_blocks"):
    """`ShardSource.simulate_blocks`"""

    height: Height
    spec: SimulationSpec

    def __post_init__(self) -> None:
        check_simulation(self.spec)


class TraceItemsQuestion(Question[bytes], frozen=True, tag="trace_items"):
    """`ShardSource.trace_items`"""

    height: Height
    items: Annotated[list[TracedItem], msgspec.Meta(max_length=MAX_TRACED_ITEMS)]
    trace: TraceSpec

    def __post_init__(self) -> None:
        check_trace(self.trace)
        if any(item.index < 0 or not 0 <= item.paid <= MAX_HEIGHT for item in self.items):
            raise ValueError("trace: an item is malformed")


class TraceCallQuestion(Question[bytes], frozen=True, tag="trace_call"):
    """`ShardSource.trace_call`"""

    height: Height
    spec: CallSpec
    trace: TraceSpec

    def __post_init__(self) -> None:
        check_spec(self.spec)
        check_trace(self.trace)
