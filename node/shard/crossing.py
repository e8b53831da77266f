"""How transactions leave a shard and messages arrive at one (docs/protocol.md, "Messages and lanes").

Wei moves in step: what leaves the state is in the message, and what a message brings is in the state,
burned, or in another message. Nothing here can fail half way.
"""

from dataclasses import replace

from node.execution.evm import floor_gas, intrinsic_gas
from node.execution.receipts import Log
from node.primitives.basics import ShardId
from node.primitives.errors import InvalidTransaction
from node.primitives.message import MAX_DEPTH, Message, MessageKind
from node.primitives.transaction import TYPE_SET_CODE, Transaction
from node.shard import messenger
from node.shard.frame import BlockFrame, DoesNotFit, LaneFull, ShardRules


def departure_gas(tx: Transaction) -> int:
    """Gas a departing transaction pays at its source: its bytes travel twice, so at least the floor."""
    return max(intrinsic_gas(tx), floor_gas(tx))


def check_departure(rules: ShardRules, tx: Transaction, dst: ShardId) -> None:
    """What can be said without a state of a transaction to an account on `dst`. Raises InvalidTransaction."""
    if tx.type == TYPE_SET_CODE:
        raise InvalidTransaction(
            "a set-code transaction (type 4) runs only on the shard of its sender: "
            f"its recipient lives on shard {dst}"
        )
    carried = tx.gas - departure_gas(tx)
    if carried > rules.arrivals_gas:
        raise InvalidTransaction(
            f"exceeds message gas limit: a call to another shard may carry at most "
            f"{rules.arrivals_gas} gas, this one carries {carried}"
        )


def depart(frame: BlockFrame, tx: Transaction, dst: ShardId, gas_left: int, logs: list[Log]) -> int:
    """Charge the source's part of a transaction and send the rest along. Returns gas used here.

    Raises InvalidTransaction, the state being as before.
    """
    rules, state = frame.rules, frame.state
    frame.evm.validate(state, frame.context, tx, tx.gas)
    check_departure(rules, tx, dst)
    here = departure_gas(tx)
    if here > gas_left:
        raise DoesNotFit("gas limit reached")
    lane = frame.env.anchor.state.lane(rules.shard, dst)
    waiting = messenger.outbox(state, dst).count - lane.consumed
    if waiting >= rules.params.lane_window:
        raise LaneFull(f"the lane to shard {dst} is full ({waiting} messages under way)")
    price = tx.effective_gas_price(frame.base_fee)
    state.begin_transaction()
    state.set_nonce(tx.sender, tx.nonce + 1)
    state.add_balance(tx.sender, -(tx.gas * price + tx.value))
    state.add_balance(frame.env.coinbase, here * (price - frame.base_fee))
    frame.burned += here * frame.base_fee
    assert tx.to is not None, "a creation runs where its sender lives"
    call = Message(
        src=rules.shard,
        dst=dst,
        seq=0,
        kind=MessageKind.CALL,
        sender=tx.sender,
        to=tx.to,
        value=tx.value,
        gas=tx.gas - here,
        gas_price=price,
        refund_to=tx.sender,
        data=tx.data,
        origin_tx=tx.hash,
    )
    frame.send(call, logs)
    return here


def deliver(frame: BlockFrame, message: Message, logs: list[Log]) -> tuple[bool, int]:
    """Execute a message that has arrived: (success, gas used). Whatever it holds, there is an outcome.

    The caller sweeps: a refund to another shard lies on the account of `refund_to` until then.
    """
    if not frame.is_home(message.to):
        return _forward(frame, message, logs), 0
    if message.kind is not MessageKind.CALL:
        # Only CREDIT is sent in this version, and it prepays no gas.
        frame.state.add_balance(message.to, message.in_flight_wei)
        return True, 0
    if message.gas > frame.rules.arrivals_gas:  # no source that follows the rules sends it
        return _refuse(frame, message), 0
    return _call(frame, message, logs)


def _refuse(frame: BlockFrame, message: Message) -> bool:
    frame.state.add_balance(message.refund_to, message.in_flight_wei)
    return False


def _forward(frame: BlockFrame, message: Message, logs: list[Log]) -> bool:
    """The recipient lives elsewhere by now: send on, at most MAX_DEPTH times, then refund.

    A CREDIT is always sent on, since nobody could be refunded: the directory gives an address a
    new home at most once a move, so it cannot go in circles.
    """
    is_call = message.kind is MessageKind.CALL
    if is_call and message.depth >= MAX_DEPTH:
        return _refuse(frame, message)
    onward = replace(
        message,
        src=frame.rules.shard,
        dst=frame.home(message.to),
        depth=message.depth + is_call,
    )
    frame.send(onward, logs)
    return True


def _call(frame: BlockFrame, message: Message, logs: list[Log]) -> tuple[bool, int]:
    """Run a CALL at its destination: the prepaid gas pays for it, the rest goes back."""
    state = frame.state
    state.add_balance(message.sender, message.value)
    result = frame.evm.apply_call(
        state,
        frame.context,
        sender=message.sender,
        to=message.to,
        value=message.value,
        data=message.data,
        gas=message.gas,
        gas_price=message.gas_price,
        origin=message.sender,
    )
    prepaid = message.in_flight_wei - message.value
    cost = result.gas_used * message.gas_price
    burned = result.gas_used * min(frame.base_fee, message.gas_price)
    frame.burned += result.burned + burned
    state.add_balance(frame.env.coinbase, cost - burned)
    state.add_balance(message.refund_to, prepaid - cost)
    frame.note_births(result.created)
    logs.extend(result.logs)
    frame.take_sends(result.logs, message.origin_tx, logs)
    return result.success, result.gas_used
