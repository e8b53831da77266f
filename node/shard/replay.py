"""Executing a decided block once more, to see what its items did."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from node.execution.evm.results import CallResult
from node.execution.evm.timed import TimedEvm
from node.execution.tracers.tracing import TracedEvm, TracedExecution, Tracer
from node.primitives.basics import ZERO_ADDRESS
from node.primitives.dev_operation import DevOperation
from node.primitives.message import Message
from node.primitives.transaction import Transaction
from node.shard.block import BeaconOps, BodyItem, decode_item
from node.shard.run import BlockRun


@dataclass(frozen=True, slots=True)
class Watched:
    """A tracer for one item. `paid` is gas that the item's transaction used on another shard before."""

    tracer: Tracer
    paid: int = 0


def replay(
    run: BlockRun, items: Iterable[bytes], watched: Mapping[int, Watched], deadline: float
) -> None:
    """Run the first `items` of a decided block, as `run` begins it, under the tracers of some of them.

    Raises ExecutionTimedOut after `deadline` and TraceTooLarge.
    """
    timed = TimedEvm(run.rules.chain_id, deadline)
    for index, raw in enumerate(items):
        item = decode_item(raw)
        watch = watched.get(index)
        if watch is None:
            run.evm = timed
            run.run_item(item)
            continue
        run.evm = TracedEvm(run.rules.chain_id, watch.tracer, deadline=deadline, paid=watch.paid)
        if _executes(run, item):
            run.run_item(item)
        else:
            watch.tracer.start(run.state, _description(run, item, watch.paid))
            gas_before = run.gas_used
            run.run_item(item)
            watch.tracer.finish(run.state, _result(run, run.gas_used - gas_before + watch.paid))


def _executes(run: BlockRun, item: BodyItem) -> bool:
    """True if the EVM runs for this item (see `crossing`). All other items only move wei or send messages."""
    match item:
        case Message():
            return run.executes(item)
        case Transaction():
            return item.to is None or run.is_home(item.to)
        case _:
            return False


def _description(run: BlockRun, item: BodyItem, paid: int) -> TracedExecution:
    if isinstance(item, (BeaconOps, DevOperation)):
        sender = to = ZERO_ADDRESS
        value, data, gas = 0, b"", 0
    else:
        assert item.to is not None, "a creation executes"
        sender, to, value, data, gas = item.sender, item.to, item.value, item.data, item.gas
    return TracedExecution(
        sender=sender,
        to=to,
        creates=False,
        value=value,
        data=data,
        gas=gas + paid,
        coinbase=run.env.coinbase,
    )


def _result(run: BlockRun, gas_used: int) -> CallResult:
    success = run.receipts[-1].status == 1
    return CallResult(
        success=success,
        gas_used=gas_used,
        logs=(),
        output=b"",
        created=(),
        burned=0,
        error=None if success else "it could not be done",
    )
