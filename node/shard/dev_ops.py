"""The effects of development operations on a state (docs/protocol.md, section 18). Deterministic.

Wei that they make or take is counted in MESSENGER's `issued`, so that the audit still adds up. No account
that every shard has can be changed: the protocol's own books are there.
"""

from collections.abc import Callable

from node.execution.state.state import State
from node.primitives.basics import Address
from node.primitives.dev_operation import MAX_WEI, DevKind, DevOperation
from node.primitives.errors import InvalidTransaction
from node.primitives.genesis import Params
from node.primitives.messenger import is_everywhere
from node.primitives.mining import MiningMode
from node.primitives.transaction import ImpersonatedTransaction
from node.shard import messenger, schedule
from node.shard.block_frame import BlockFrame
from node.shard.schedule import Schedule

MAX_OPERATIONS = 64
"""In one block."""
NOT_ALLOWED = (
    "development methods are off: the genesis of this network has params.dev_methods = false"
)


def check_impersonated(params: Params, tx: ImpersonatedTransaction) -> None:
    """Raise InvalidTransaction if the network allows no impersonation, or not of this sender."""
    if not params.dev_methods:
        raise InvalidTransaction(f"an impersonated transaction is refused: {NOT_ALLOWED}")
    if messenger.is_protocols(tx.sender):
        raise InvalidTransaction(
            f"0x{tx.sender.hex()} is an account of the protocol and cannot be impersonated"
        )


def refusal(
    state: State, is_home: Callable[[Address], bool], operation: DevOperation
) -> str | None:
    """The reason why an operation has no effect on this state; None if it has one."""
    to, number = operation.to, operation.number
    if not operation.has_account:
        return None
    who = f"0x{to.hex()}"
    if is_everywhere(to):
        return f"{who} is an account of the protocol, which every shard has: it cannot be changed"
    if not is_home(to):
        return f"{who} does not live on this shard"
    match operation.kind:
        case DevKind.ADD_BALANCE if state.balance(to) + number > MAX_WEI:
            return f"the balance of {who} would be above {MAX_WEI:#x} wei"
        case DevKind.SET_NONCE if number < state.nonce(to):
            return (
                f"the nonce of {who} is {state.nonce(to)} and cannot fall to {number}: "
                "its transactions would be valid again"
            )
        case DevKind.SET_STORAGE if not state.exists(to):
            return f"{who} is empty: an account without code, nonce and balance has no storage"
    return None


def apply(frame: BlockFrame, operation: DevOperation) -> bool:
    """Apply the operation in a transaction that has begun. False if it is refused; then nothing has changed."""
    state, to, number = frame.state, operation.to, operation.number
    if refusal(state, frame.is_home, operation) is not None:
        return False
    if operation.kind is DevKind.MINE and not _begin(frame, operation):
        return False
    if operation.clock is not None:
        schedule.set_clock(state, operation.clock)
    match operation.kind:
        case DevKind.SET_BALANCE:
            messenger.add_issued(state, number - state.balance(to))
            state.set_balance(to, number)
        case DevKind.ADD_BALANCE:
            messenger.add_issued(state, number)
            state.add_balance(to, number)
        case DevKind.SET_NONCE:
            state.set_nonce(to, number)
        case DevKind.SET_CODE:
            state.set_code(to, operation.data)
        case DevKind.SET_STORAGE:
            state.set_storage(to, operation.slot, number)
        case DevKind.SET_NEXT_TIME:
            schedule.set_next_time(state, number)
        case DevKind.SET_MINING:
            schedule.set_mode(state, MiningMode.of(number))
    return True


def _begin(frame: BlockFrame, operation: DevOperation) -> bool:
    """Begin an order with this block; False if another one is not done, or if the block is of another time. A
    row of blocks may begin later than it was asked for, if the parent is later.
    """
    order, now = operation.order, frame.env.timestamp
    wanted = max(operation.number, frame.parent.timestamp) if order.interval else operation.number
    if frame.round is not None or (operation.number and now != wanted):
        return False
    frame.round = order.round
    schedule.set_order(frame.state, order.after_block())
    return True


def close(frame: BlockFrame, *, empty: bool) -> None:
    """Count the block, `empty` or not, among what was ordered. Its state is sealed afterwards."""
    state, before = frame.state, frame.schedule
    if before.order is not None:
        schedule.set_order(state, before.order.after_block())
    now = Schedule.of(state)
    reached = not before.awaits(frame.env.anchor.timestamp) or not empty or frame.round is not None
    if before.next_time and now.next_time == before.next_time and reached:
        schedule.set_next_time(state, 0)
