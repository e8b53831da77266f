"""Departures: how transactions leave a shard (docs/protocol.md, "Messages and lanes"). Arrivals are in
delivery.py.

Wei moves in step: the wei that leaves the state is in the message.
"""

from collections.abc import Callable, Sequence

from node.execution.evm.validity import floor_gas, intrinsic_gas
from node.execution.state.receipts import Log
from node.execution.state.state import State
from node.primitives.basics import ZERO_ADDRESS, Address, ShardId
from node.primitives.errors import InvalidTransaction
from node.primitives.message import Message, MessageKind
from node.primitives.messenger import payer_bucket
from node.primitives.transaction import TYPE_SET_CODE, Authorization, Transaction
from node.shard import messenger
from node.shard.block_frame import BlockFrame, DoesNotFit, ShardRules
from node.shard.ports import AnchorState
from node.shard.room import PayerLane, ShardFrozen, Underpriced


def departure_gas(tx: Transaction) -> int:
    """Gas a departing transaction pays at its source: its bytes travel twice, so at least the floor."""
    return max(intrinsic_gas(tx), floor_gas(tx))


def check_departure(rules: ShardRules, tx: Transaction, dst: ShardId) -> None:
    """Check a transaction to an account on `dst` without a state. Raises InvalidTransaction."""
    if tx.type == TYPE_SET_CODE:
        raise InvalidTransaction(
            "a set-code transaction (type 4) runs only on the shard of its sender: "
            f"its recipient lives on shard {dst}"
        )
    carried = tx.gas - departure_gas(tx)
    if carried > rules.message_gas:
        raise InvalidTransaction(
            f"exceeds message gas limit: a call to another shard may carry at most "
            f"{rules.message_gas} gas, this one carries {carried}"
        )


def check_authorizations(
    authorizations: Sequence[Authorization],
    chain_id: int,
    here: ShardId,
    home: Callable[[Address], ShardId],
) -> None:
    """Raise InvalidTransaction where one (EIP-7702) names an account or code of another shard: the account
    cannot be changed from here, and calls to such code would run nothing and succeed.

    Those for another chain, or without a signature, have no effect, as in Ethereum.
    """
    for item in authorizations:
        authority = item.authority() if item.chain_id in (0, chain_id) else None
        if authority is None:
            continue
        shard = home(authority)
        if shard != here:
            raise InvalidTransaction(
                f"the authorization of 0x{authority.hex()} can only be set on the shard of that account, "
                f"shard {shard}: send the transaction from an account there, not from one on shard {here}"
            )
        if item.address != ZERO_ADDRESS and home(item.address) != here:
            raise InvalidTransaction(
                f"0x{authority.hex()} cannot delegate to 0x{item.address.hex()}, which lives on shard "
                f"{home(item.address)}: calls would run nothing; deploy the code on shard {here}"
            )


def departure_base_fee(tx: Transaction, dst: ShardId, here: int, there: int) -> int:
    """The base fee that a departing transaction is priced at: the higher one of both shards, in wei.

    The gas of its call is burned at the price of the shard that executes it. So a sender from another shard
    pays for that shard's blocks as its own users do. Raises Underpriced.
    """
    if tx.max_fee_per_gas < there:
        raise Underpriced(dst, tx.max_fee_per_gas, there)
    return max(here, there)


def lane_to(
    state: State, beacon: AnchorState, here: ShardId, dst: ShardId, payer: Address
) -> PayerLane:
    """The lane from shard `here` to `dst`, as `state` and an anchor's beacon state have it, for this payer."""
    lane = beacon.lane(here, dst)
    return PayerLane(
        dst=dst,
        sent=messenger.outbox(state, dst),
        consumed_asked=lane.consumed_asked,
        consumed_gas=lane.consumed_gas,
        share=messenger.share(state, dst, payer_bucket(payer)).after(lane.consumed_asked),
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
    beacon = frame.env.anchor.state
    if beacon.is_frozen(dst):
        raise ShardFrozen(dst)
    price = tx.effective_gas_price(
        departure_base_fee(tx, dst, frame.base_fee, beacon.base_fee(dst))
    )
    lane = lane_to(state, beacon, rules.shard, dst, tx.sender)
    lane.check(rules.params, tx.gas - here)
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
    share = lane.share.sent(lane.sent.asked, call.all_gas)
    messenger.set_share(state, dst, payer_bucket(tx.sender), share)
    frame.send(call, logs)
    return here
