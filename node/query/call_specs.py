"""Calls to be simulated or traced: limits of what nodes take from each other, and the reports that they give.

The call itself is the execution's `SimulatedCall`. Sizes and ranges of single fields are part of the types; the
checks here limit the total.
"""

from collections.abc import Sequence
from typing import Annotated

import msgspec

from node.execution.evm.overrides import StateOverride
from node.execution.evm.simulate import SimulatedCall
from node.execution.state.guests import MAX_WANTED, Guests, Wanted
from node.primitives import rlp
from node.primitives.fields import AddressField
from node.primitives.transaction import (
    TYPE_ACCESS_LIST,
    TYPE_DYNAMIC_FEE,
    TYPE_LEGACY,
    TYPE_SET_CODE,
)
from node.query.question import Height
from node.shard.simulated import Block, Called, Simulated
from rpc.limits import SPAN
from rpc.times import LONGEST_TRACE

MAX_ACCESS_ENTRIES = 10_000
MAX_OVERRIDES = 1_000
MAX_OVERRIDDEN_SLOTS = 10_000
MAX_AUTHORIZATIONS = 1_000
MAX_BLOCKS = 256
MAX_CALLS = 5_000
SIMULATED_TYPES = (TYPE_LEGACY, TYPE_ACCESS_LIST, TYPE_DYNAMIC_FEE, TYPE_SET_CODE)
TRACERS = r"\A(callTracer|prestateTracer|4byteTracer|noopTracer)?\Z"


class SimulationSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Blocks to simulate on top of one another. `beacon` is the beacon block whose directory says where
    accounts live, None for that to which the block is anchored on which they stand. `guests` are accounts
    of other shards, as they are there: for the simulation they live here."""

    blocks: list[Block]
    guests: tuple[StateOverride, ...] = ()
    beacon: Height | None = None
    validation: bool = False
    trace_transfers: bool = False

    def check(self) -> None:
        """Raise ValueError for more than a simulation may hold."""
        if len(self.blocks) > MAX_BLOCKS or sum(len(b.calls) for b in self.blocks) > MAX_CALLS:
            raise ValueError(f"simulation: at most {MAX_BLOCKS} blocks and {MAX_CALLS} calls")
        if sum(len(o.storage) for b in self.blocks for o in b.accounts) > MAX_OVERRIDDEN_SLOTS:
            raise ValueError("simulation: too many overrides")
        check_overrides(self.guests)
        for block in self.blocks:
            check_overrides(block.accounts)
            for call in block.calls:
                check_call(call.call)
                if call.type not in SIMULATED_TYPES:
                    raise ValueError("simulation: a call is malformed")


class CallOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """`error` is None for success, "execution reverted" for a revert, else the EVM's reason."""

    error: str | None
    output: bytes
    gas_used: int


class SpanningOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a call over several shards, or what has to be among its guests for it to have one.

    `changed` is the first account of another shard that code would have changed, which failed.
    """

    outcome: CallOutcome | None = None
    changed: AddressField | None = None
    wanted: Annotated[list[Wanted], msgspec.Meta(max_length=MAX_WANTED)] = []


class CalledReport(msgspec.Struct, frozen=True, kw_only=True):
    """A call that was simulated: the transaction that it was, unsigned, and its outcome. `peak_gas` is what
    it had used before refunds. `logs` are in RLP: a list of [address, topics, data]."""

    raw: bytes
    sender: bytes
    outcome: CallOutcome
    peak_gas: int
    logs: bytes


class BlockReport(msgspec.Struct, frozen=True, kw_only=True):
    """A block that was simulated: its header, RLP."""

    header: bytes
    calls: list[CalledReport]


class TraceSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Options of a trace. `tracer` is "" for the struct logger or one of geth's names. The options are geth's;
    those of other tracers are ignored. `limit` is the number of steps, 0 for no limit; `milliseconds` bounds
    the whole question.
    """

    tracer: Annotated[str, msgspec.Meta(pattern=TRACERS)] = ""
    milliseconds: Annotated[int, msgspec.Meta(gt=0, le=int(LONGEST_TRACE * 1000))] = 5000
    limit: Height = 0
    stack: bool = True
    storage: bool = True
    memory: bool = False
    return_data: bool = False
    only_top_call: bool = False
    with_log: bool = False
    diff_mode: bool = False


class TracedItem(msgspec.Struct, frozen=True, kw_only=True):
    """An item of a block to trace. `paid` is gas that its transaction used on another shard before."""

    index: Annotated[int, msgspec.Meta(ge=0)]
    paid: Height = 0


class Accessed(msgspec.Struct, frozen=True, kw_only=True):
    """The accesses of a call beyond the addresses and slots that are warm from the start, and the outcome of
    the call with that list.
    """

    access_list: list[tuple[bytes, list[bytes]]]
    outcome: CallOutcome


def check_call(call: SimulatedCall) -> None:
    """Raise ValueError for more than a call may hold."""
    if sum(1 + len(keys) for _, keys in call.access_list) > MAX_ACCESS_ENTRIES:
        raise ValueError(f"call: the access list has more than {MAX_ACCESS_ENTRIES} entries")
    if len(call.authorizations) > MAX_AUTHORIZATIONS:
        raise ValueError(f"call: more than {MAX_AUTHORIZATIONS} authorizations")
    check_overrides(call.accounts)


def check_guests(guests: Guests) -> None:
    """Raise ValueError for more guests than a call may have."""
    check_wanted(
        [Wanted(address=g.address, slots=tuple(s for s, _ in g.slots)) for g in guests.accounts]
    )
    if len(guests.codes) > SPAN.accounts or sum(map(len, guests.codes)) > SPAN.code_size:
        raise ValueError(
            f"call: more than {SPAN.code_size} bytes of code of other shards, or too many"
        )


def check_wanted(wanted: Sequence[Wanted]) -> None:
    """Raise ValueError for more accounts and slots than may be asked for at once."""
    if len(wanted) > SPAN.accounts:
        raise ValueError(f"call: more than {SPAN.accounts} accounts of other shards")
    if sum(len(each.slots) for each in wanted) > SPAN.slots:
        raise ValueError(f"call: more than {SPAN.slots} slots of other shards")


def check_overrides(accounts: Sequence[StateOverride]) -> None:
    """Raise ValueError for too many state overrides."""
    slots = sum(len(override.storage) for override in accounts)
    if len(accounts) > MAX_OVERRIDES or slots > MAX_OVERRIDDEN_SLOTS:
        raise ValueError("call: too many overrides")


# ---------------------------------------------------------------------- reports

REVERTED = "execution reverted"


def report_of(block: Simulated) -> BlockReport:
    return BlockReport(
        header=block.header.encoded, calls=[_called_report(done) for done in block.calls]
    )


def _called_report(done: Called) -> CalledReport:
    result = done.result
    return CalledReport(
        raw=done.tx.raw,
        sender=done.tx.sender,
        outcome=CallOutcome(
            error=None if result.success else result.error or REVERTED,
            output=result.output,
            gas_used=result.gas_used,
        ),
        peak_gas=result.peak_gas,
        logs=rlp.encode([log.items() for log in done.logs]),
    )
