"""Building and judging shard blocks: two ways to choose the items, one `BlockRun` to execute them."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

from node.execution.trie.errors import NonceTooHigh
from node.primitives.basics import Hash32, ShardId
from node.primitives.dev_operation import DevOperation
from node.primitives.errors import DecodeError, InvalidBlock, InvalidTransaction
from node.primitives.message import LanePosition, Message
from node.primitives.transaction import Transaction, decode_transaction
from node.shard import messenger
from node.shard.arrival_room import ITEM_GAS
from node.shard.block import MAX_BLOCK_BYTES, BeaconOps, ShardBlock, decode_item
from node.shard.block_frame import DoesNotFit
from node.shard.lanes import MAX_TAIL_HASHES, AvailableMessages, InboundLane, Tails, check_lane
from node.shard.room import MustWait
from node.shard.run import BlockRun, ExecutedBlock
from node.shard.selection import TransactionSource

# A proposal's items stay well below what a block may have, so that its frame always fits.
BUILD_BYTES = MAX_BLOCK_BYTES // 2
ARRIVAL_BYTES = BUILD_BYTES // 2
"""Bytes of items after which no further arrival is begun: transactions get the rest, however large messages
are.
"""
MIN_GAS = 21_000


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltBlock:
    """A block of our own with the proof of its arrivals, and the news for the pool."""

    executed: ExecutedBlock
    tails: Tails
    rejected: tuple[tuple[Hash32, str], ...]
    deferred: tuple[tuple[Hash32, str], ...]
    "Transactions that wait for room in a lane, or for gas to cost less, each with the reason."


def expected_ops(run: BlockRun) -> BeaconOps | None:
    """The beacon operations of a block that has not run any item yet."""
    has = run.state.has_code_or_nonce
    moved = run.env.anchor.moved(run.rules.shard, run.rules.shards, has)
    return BeaconOps(moved=moved) if moved else None


def build(
    run: BlockRun,
    lanes: Mapping[ShardId, InboundLane],
    source: TransactionSource,
    operations: Iterable[DevOperation] = (),
    arrival_seconds: float = math.inf,
) -> BuiltBlock:
    """Fill a block: beacon operations, arrivals by lanes in turn, `operations` (as many as a block may
    have), then the pool's best transactions.

    Once beacon operations and arrivals took `arrival_seconds` by the clock of `run`, no more than the first
    arrival is delivered.
    """
    ops = expected_ops(run)
    if ops is not None:
        run.run_beacon_ops(ops)
    tails = _take_arrivals(run, lanes, arrival_seconds)
    for operation in operations:
        if run.size >= BUILD_BYTES:
            break
        run.run_dev_operation(operation)
    rejected, deferred = _take_transactions(run, source)
    return BuiltBlock(
        executed=run.finish(), tails=tails, rejected=tuple(rejected), deferred=tuple(deferred)
    )


def _take_arrivals(run: BlockRun, lanes: Mapping[ShardId, InboundLane], seconds: float) -> Tails:
    """Deliver messages that are verified and final at the anchor, always from the lane that has used the least
    gas.

    A lane's gas is what its messages used in this block and what its next one may use. So a lane of slow calls
    leaves the others their part of a builder's time. The first message is of another lane in every block,
    whatever it costs.

    A lane is left for this block when its next message does not fit, or when the proof that it is the
    next one would not.
    """
    supplies: dict[ShardId, AvailableMessages] = {}
    for src in sorted(lanes):
        start = messenger.inbox(run.state, src)
        ends = run.env.anchor.state.lane(src, run.rules.shard).checkpoints
        supply = AvailableMessages.of(lanes[src].from_seq(start.count), ends)
        if supply is not None:
            supplies[src] = supply
    order = list(supplies)
    if order:
        shift = run.parent.number % len(order)
        order = order[shift:] + order[:shift]
    spent = dict.fromkeys(order, 0)
    turns = {src: turn for turn, src in enumerate(order)}

    def turn_of(src: ShardId) -> tuple[int, int, ShardId]:
        return spent[src] + ITEM_GAS + supplies[src].next().gas, turns[src], src

    queue = [(turn_of(src) if turns[src] else (0, 0, src)) for src in order]
    heapify(queue)
    room, without_room = MAX_TAIL_HASHES, []
    while queue and run.size <= ARRIVAL_BYTES:
        if run.delivered and run.arrival_seconds >= seconds:
            break
        _, _, src = heappop(queue)
        supply = supplies[src]
        change = supply.tail_size(supply.taken + 1) - supply.tail_size(supply.taken)
        message = supply.next()
        if not run.arrivals.fits(message):
            continue
        if change > room:
            without_room.append(src)
            continue
        before = run.arrivals.gas_used
        run.run_arrival(message)
        spent[src] += ITEM_GAS + run.arrivals.gas_used - before
        supply.taken += 1
        room -= change
        if change < 0:  # another lane's proof may fit now
            for other in without_room:
                heappush(queue, turn_of(other))
            without_room.clear()
        if not supply.is_empty:
            heappush(queue, turn_of(src))
    return Tails(hashes={src: supply.tail() for src, supply in supplies.items() if supply.taken})


def _take_transactions(
    run: BlockRun, source: TransactionSource
) -> tuple[list[tuple[Hash32, str]], list[tuple[Hash32, str]]]:
    rejected: list[tuple[Hash32, str]] = []
    deferred: list[tuple[Hash32, str]] = []
    while run.gas_left >= MIN_GAS and run.size < BUILD_BYTES:
        tx = source.next()
        if tx is None:
            break
        try:
            run.run_transaction(tx)
        except MustWait as error:
            source.drop_sender(tx.sender)
            deferred.append((tx.hash, str(error)))
        except (DoesNotFit, NonceTooHigh):
            source.drop_sender(tx.sender)
        except InvalidTransaction as error:
            source.drop_sender(tx.sender)
            rejected.append((tx.hash, str(error)))
    return rejected, deferred


def judge(
    run: BlockRun,
    block: ShardBlock,
    tails: Tails | None,
    decode: Callable[[bytes], Transaction] = decode_transaction,
) -> ExecutedBlock:
    """Execute a proposed or decided block and compare the result. Raises InvalidBlock with the reason.

    `decode` gives user transactions, where most are known already and need not be recovered once more.
    `tails` is None for a block that is already decided: its certificate vouches for its arrivals.
    """
    try:
        items = [decode_item(raw, decode) for raw in block.items]
    except (DecodeError, InvalidTransaction) as error:
        raise InvalidBlock(f"a body item is malformed: {error}") from error
    arrivals = [item for item in items if isinstance(item, Message)]
    if tails is not None:
        _check_arrivals(run, arrivals, tails)
    expected = expected_ops(run)
    found = items[0] if items and isinstance(items[0], BeaconOps) else None
    if found != expected:
        raise InvalidBlock("the beacon operations are not what the anchor demands")
    for index, item in enumerate(items):
        try:
            run.run_item(item)
        except InvalidTransaction as error:
            raise InvalidBlock(f"transaction {index} is invalid: {error}") from error
    executed = run.finish()
    if executed.header != block.header:
        raise InvalidBlock(f"the header is wrong: {_difference(executed, block)}")
    return executed


def _difference(executed: ExecutedBlock, block: ShardBlock) -> str:
    ours, theirs = executed.header.__dict__, block.header.__dict__
    names = [n for n in executed.header.__dataclass_fields__ if ours[n] != theirs[n]]
    return ", ".join(names)


def _check_arrivals(run: BlockRun, arrivals: Sequence[Message], tails: Tails) -> None:
    by_source: dict[ShardId, list[Hash32]] = {}
    for message in arrivals:
        by_source.setdefault(message.src, []).append(message.hash)
    if not set(tails.hashes) <= set(by_source):
        raise InvalidBlock("a tail stands for a lane without arrivals")
    for src, hashes in by_source.items():
        if src == run.rules.shard or not 0 <= src < run.rules.shards:
            raise InvalidBlock(f"an arrival comes from shard {src}")
        start: LanePosition = messenger.inbox(run.state, src)
        ends = run.env.anchor.state.lane(src, run.rules.shard).checkpoints
        check_lane(start, hashes, tails.hashes.get(src, ()), ends)
