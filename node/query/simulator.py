"""Simulated and traced executions on our own chain, as a shard runs them.

Synchronous; meant for the worker's threads, as the EVM needs a deep stack.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import structlog

from node.execution.evm.overrides import CannotOverride, apply_overrides, moved_precompiles
from node.execution.evm.reading import ReadingEvm, read_call
from node.execution.evm.results import CallResult
from node.execution.evm.simulate import SimulatedCall, estimate_gas, simulate
from node.execution.evm.timed import TimedEvm
from node.execution.evm.validity import gas_of
from node.execution.frame.context import BlockContext
from node.execution.state.guests import Border, Guests
from node.execution.state.state import BalanceOutOfRange, State
from node.execution.tracers.access_list import create_access_list
from node.execution.tracers.tracing import TraceBudget, trace_call
from node.execution.trie.errors import (
    ExecutionFailed,
    ExecutionTimedOut,
    NotEnoughGas,
    TraceTooLarge,
)
from node.primitives.basics import Address, ShardId
from node.primitives.console import console_text
from node.primitives.errors import InvalidTransaction
from node.primitives.header import Header
from node.primitives.messenger import is_everywhere
from node.query import tracers
from node.query.call_specs import (
    REVERTED,
    Accessed,
    BlockReport,
    CallOutcome,
    SimulationSpec,
    SpanningOutcome,
    TracedItem,
    TraceSpec,
    report_of,
)
from node.query.port import Refused
from node.shard.anchor_view import AnchorView
from node.shard.chain import ShardChain
from node.shard.crossing import check_authorizations
from node.shard.ports import Anchor, AnchorState
from node.shard.replay import Watched, replay
from node.shard.schedule import Schedule
from node.shard.simulated import CannotSimulate, Simulation
from rpc.times import CALL, SEARCH

_log = structlog.get_logger()


class Simulator:
    """`gas_cap` bounds the gas of one execution, the seconds all that one question runs. `anchor_of` gives the
    anchor that the header of a decided block names.

    Raises Refused where not even a transaction could be made of a call, and where the time is up.
    """

    def __init__(
        self, chain: ShardChain, *, gas_cap: int, anchor_of: Callable[[Header], Anchor]
    ) -> None:
        self._chain = chain
        self._anchor_of = anchor_of
        self._gas_cap = gas_cap

    # ------------------------------------------------------------------ calls

    def call(self, header: Header, directory: AnchorState, call: SimulatedCall) -> CallOutcome:
        with self._timed(CALL, call) as evm:
            state = self._open(header, directory, call)
            context = self._context(header, directory, call)
            result = simulate(evm, state, context, self._capped(call))
        self._note_console(result.console, call)
        return _outcome_of(result)

    def spanning_call(
        self, header: Header, directory: AnchorState, call: SimulatedCall, guests: Guests
    ) -> SpanningOutcome:
        """The outcome of a call that reads accounts of other shards, or what it wants of them. They live where
        `directory` says."""
        here, context = self._chain.shard, self._context(header, directory, call)

        def home(address: Address) -> ShardId:
            return here if is_everywhere(address) else directory.home(address)

        with self._timed(CALL, call) as evm:
            state = self._chain.spanning_state(header, Border(here=here, home=home), guests)
            prepare = partial(self._prepare, header=header, directory=directory, call=call)
            reading = ReadingEvm(evm.chain_id, evm.deadline, evm.precompiles)
            found = read_call(reading, state, context, self._capped(call), prepare)
        if isinstance(found, list):
            return SpanningOutcome(wanted=found)
        self._note_console(found.console, call)
        return SpanningOutcome(outcome=_outcome_of(found), changed=state.changed)

    def estimate(self, header: Header, directory: AnchorState, call: SimulatedCall) -> CallOutcome:
        """`gas_used` is the least gas limit that succeeds."""
        call, context = self._capped(call), self._context(header, directory, call)
        message_gas = self._chain.rules.message_gas
        most = call.gas if call.credit is None else max(gas_of(call)) + message_gas
        cap = min(call.gas, most)
        open_state = partial(self._open, header, directory, call)
        try:
            with self._timed(SEARCH, call) as evm:
                gas = estimate_gas(evm, open_state, context, call, cap)
        except NotEnoughGas as failure:
            error = failure.error
            if failure.allowance == most < call.gas:
                error = (
                    "exceeds message gas limit: a call to another shard may carry at most "
                    f"{message_gas} gas, and this one needs more"
                )
            return CallOutcome(error=error, output=b"", gas_used=0)
        except ExecutionFailed as failure:
            self._note_console(failure.console, call)
            return CallOutcome(error=failure.error, output=failure.output, gas_used=0)
        return CallOutcome(error=None, output=b"", gas_used=gas)

    def _note_console(self, said: Iterable[bytes], call: SimulatedCall) -> None:
        """Log what a call, or an estimate that failed, has said by `console.log`."""
        if self._chain.rules.params.dev_methods:
            to = "creation" if call.to is None else "0x" + call.to.hex()
            for data in said:
                _log.info("console.log", text=console_text(data), call=to)

    def access_list(self, header: Header, directory: AnchorState, call: SimulatedCall) -> Accessed:
        """The accesses of the call, with the outcome of the call that has this list."""
        call, context = self._capped(call), self._context(header, directory, call)
        open_state = partial(self._open, header, directory, call)
        with self._timed(SEARCH, call) as evm:
            made = create_access_list(evm, open_state, context, call)
        return Accessed(
            access_list=[
                (address, [slot.to_bytes(32, "big") for slot in slots])
                for address, slots in made.access_list
            ],
            outcome=CallOutcome(error=made.error, output=b"", gas_used=made.gas_used),
        )

    # ------------------------------------------------------------------ traces

    def trace_call(
        self, header: Header, directory: AnchorState, call: SimulatedCall, trace: TraceSpec
    ) -> bytes:
        tracer = tracers.tracer_of(trace, TraceBudget())
        with self._timed(trace.milliseconds / 1000, call) as evm:
            state = self._open(header, directory, call)
            context = self._context(header, directory, call)
            trace_call(evm, state, context, self._capped(call), tracer)
        return tracers.pack(tracer.result())

    def trace_items(
        self, height: int, anchor: Anchor, items: list[TracedItem], trace: TraceSpec
    ) -> bytes:
        """Run a block again, up to the last of `items`. `anchor` is the one its header names."""
        block = self._chain.block(height)
        if block is None or any(item.index >= len(block.items) for item in items):
            raise Refused("transaction not found")
        budget = TraceBudget()
        watched = {
            item.index: Watched(tracers.tracer_of(trace, budget), item.paid) for item in items
        }
        with self._timed(trace.milliseconds / 1000) as evm:
            run = self._chain.run_again(block.header, anchor)
            replay(run, block.items[: max(watched, default=-1) + 1], watched, evm.deadline)
        return tracers.pack([watched[item.index].tracer.result() for item in items])

    # ------------------------------------------------------------------ blocks

    def blocks(
        self, header: Header, directory: AnchorState, spec: SimulationSpec
    ) -> list[BlockReport]:
        """Raises Refused with the codes of eth_simulateV1."""
        simulation = Simulation(
            chain_id=self._chain.rules.chain_id,
            shard=self._chain.shard,
            state=self._chain.state(header),
            header=header,
            deadline=time.monotonic() + SEARCH,
            gas=self._gas_cap,
            beacon=self._beacon(header, directory),
            block_hash=self._chain.hash_of,
            validation=spec.validation,
            trace_transfers=spec.trace_transfers,
            guests=spec.guests,
        )
        try:
            done = simulation.run(spec.blocks)
        except CannotSimulate as error:
            raise Refused(str(error), error.code) from None
        except BalanceOutOfRange as error:
            raise Refused(str(error)) from None
        return [report_of(block) for block in done]

    # ------------------------------------------------------------------ inside

    @contextmanager
    def _timed(self, seconds: float, call: SimulatedCall | None = None) -> Iterator[TimedEvm]:
        """An EVM that runs for `seconds` at most, with the moved precompiles of `call`."""
        deadline = time.monotonic() + seconds
        try:
            moved = moved_precompiles(call.accounts if call is not None else ())
            yield TimedEvm(self._chain.rules.chain_id, deadline, moved)
        except ExecutionTimedOut:
            raise Refused(f"execution aborted (timeout = {seconds:g}s)") from None
        except TraceTooLarge as error:
            raise Refused(str(error), tracers.LIMIT_EXCEEDED) from None
        except (InvalidTransaction, BalanceOutOfRange, CannotOverride) as error:
            raise Refused(str(error)) from None

    def _open(self, header: Header, directory: AnchorState, call: SimulatedCall) -> State:
        state = self._chain.state(header)
        self._prepare(state, header, directory, call)
        return state

    def _prepare(
        self, state: State, header: Header, directory: AnchorState, call: SimulatedCall
    ) -> None:
        """Apply the overrides of a call, and check its authorizations. Raises InvalidTransaction."""
        if call.accounts:
            apply_overrides(state, call.accounts)
        if call.authorizations:
            rules, beacon = self._chain.rules, self._beacon(header, directory)
            check_authorizations(
                call.authorizations, rules.chain_id, rules.shard, partial(beacon.home, state)
            )

    def _capped(self, call: SimulatedCall) -> SimulatedCall:
        return replace(call, gas=min(call.gas, self._gas_cap))

    def _beacon(self, header: Header, directory: AnchorState) -> AnchorView:
        """The answers of the precompile BEACON on top of `header`."""
        return AnchorView(
            here=self._chain.shard,
            shards=self._chain.rules.shards,
            height=self._anchor_of(header).height,
            state=directory,
            params=self._chain.rules.params,
        )

    def _context(self, header: Header, directory: AnchorState, call: SimulatedCall) -> BlockContext:
        """The context of the block, in which accounts that the call overrides are taken to live here."""
        overridden = frozenset(override.address for override in call.accounts)
        timestamp = header.timestamp
        # what runs now is of the block for which a time was set
        if self._chain.rules.params.dev_methods:
            timestamp = max(timestamp, Schedule.of(self._chain.state(header)).next_time)
        context = BlockContext(
            chain_id=self._chain.rules.chain_id,
            number=header.number,
            timestamp=timestamp,
            coinbase=header.coinbase,
            gas_limit=header.gas_limit,
            base_fee=header.base_fee_per_gas,
            prev_randao=header.prev_randao,
            parent_beacon_block_root=header.parent_beacon_block_root,
            block_hash=self._chain.hash_of,
            beacon=replace(self._beacon(header, directory), settled=overridden.__contains__),
        )
        return context if call.block is None else call.block.apply(context)


def _outcome_of(result: CallResult) -> CallOutcome:
    error = None if result.success else result.error or REVERTED
    return CallOutcome(error=error, output=result.output, gas_used=result.gas_used)
