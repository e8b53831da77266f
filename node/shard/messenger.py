"""The system account MESSENGER in a state and in receipts. Its layout is in node.primitives.messenger.

The values written here are decided by the callers; the contract (contracts/Messenger.vy) writes the rest.
"""

from collections.abc import Iterable
from dataclasses import replace
from functools import partial

from node.execution.state.receipts import Log
from node.execution.state.state import State
from node.execution.state.system_contracts import SYSTEM_ADDRESS
from node.primitives.basics import Address, Hash32, ShardId, signed
from node.primitives.message import LanePosition, Message, next_head
from node.primitives.messenger import (
    BURNED_SLOT,
    CAUSE_ID,
    CAUSE_SENDER,
    CAUSE_SOURCE,
    ISSUED_SLOT,
    MESSENGER,
    LaneSlots,
    decode_send,
    decode_sent,
    inbox_slots,
    is_everywhere,
    is_send,
    is_sent,
    outbox_slots,
    sent_data,
    sent_topics,
    share_slot,
)
from node.primitives.requests import Counters
from node.shard.room import LaneShare

# A plain revert: nothing can be sent to the account by value, and it is not empty under EIP-161.
STAKING_CODE = bytes.fromhex("5f5ffd")


def is_protocols(address: bytes) -> bool:
    """True if only the rules act as this account, never a message or a user.

    These are the accounts that every shard has, and the caller of the system calls, which the contracts of
    EIP-4788 and EIP-2935 trust.
    """
    return is_everywhere(address) or address == SYSTEM_ADDRESS


def _read(state: State, slots: LaneSlots) -> LanePosition:
    return slots.read(partial(state.storage, MESSENGER))


def _write(state: State, slots: LaneSlots, position: LanePosition) -> None:
    state.set_storage(MESSENGER, slots.count, position.count)
    state.set_storage(MESSENGER, slots.head, int.from_bytes(position.head, "big"))
    state.set_storage(MESSENGER, slots.gas, position.gas)
    state.set_storage(MESSENGER, slots.wei, position.wei)
    state.set_storage(MESSENGER, slots.asked, position.asked)


def outbox(state: State, dst: ShardId) -> LanePosition:
    return _read(state, outbox_slots(dst))


def inbox(state: State, src: ShardId) -> LanePosition:
    return _read(state, inbox_slots(src))


def set_outbox(state: State, dst: ShardId, position: LanePosition) -> None:
    _write(state, outbox_slots(dst), position)


def set_inbox(state: State, src: ShardId, position: LanePosition) -> None:
    _write(state, inbox_slots(src), position)


def share(state: State, dst: ShardId, bucket: int) -> LaneShare:
    """The share of one bucket on the lane to `dst`, before `LaneShare.after`."""
    return LaneShare.of(state.storage(MESSENGER, share_slot(dst, bucket)))


def set_share(state: State, dst: ShardId, bucket: int, value: LaneShare) -> None:
    state.set_storage(MESSENGER, share_slot(dst, bucket), value.word)


def set_cause(state: State, message_id: Hash32, source: ShardId, sender: Address) -> None:
    """Tell the contract, until the transaction ends, which message causes the present call."""
    for slot, value in (
        (CAUSE_ID, bytes(message_id)),
        (CAUSE_SOURCE, source.to_bytes(32, "big")),
        (CAUSE_SENDER, bytes(12) + sender),
    ):
        state.set_transient(MESSENGER, slot, value)


def burned(state: State) -> int:
    return state.storage(MESSENGER, BURNED_SLOT)


def add_burned(state: State, wei: int) -> None:
    if wei:
        state.set_storage(MESSENGER, BURNED_SLOT, burned(state) + wei)


def issued(state: State) -> int:
    """Wei that development operations made, less what they took away: below 0 where that was more."""
    return signed(state.storage(MESSENGER, ISSUED_SLOT))


def add_issued(state: State, wei: int) -> None:
    if wei:
        state.set_storage(MESSENGER, ISSUED_SLOT, (issued(state) + wei) % (1 << 256))


def counters(state: State) -> Counters:
    return Counters(issued=issued(state), burned=burned(state))


def sent_log(message: Message) -> Log:
    return Log(address=MESSENGER, topics=sent_topics(message), data=sent_data(message))


def is_sent_log(log: Log) -> bool:
    return is_sent(log.address, log.topics)


def read_sent_log(log: Log) -> Message | None:
    """The message a log announces, None for any other log."""
    return decode_sent(log.data) if is_sent_log(log) else None


def take_sends(state: State, made: Iterable[Log], src: ShardId, origin_tx: Hash32) -> list[Message]:
    """Put the messages that contracts of `src` sent on their lanes; their `send`s are among the logs `made`.

    MESSENGER holds the wei of these messages and has counted them and their gas already; only heads and wei
    of the lanes are behind. What was reverted has left neither logs nor counts.
    """
    taken = []
    for log in made:
        message = read_send_log(log, src, origin_tx)
        if message is None:
            continue
        state.add_balance(MESSENGER, -message.in_flight_wei)
        position = outbox(state, message.dst)
        moved = replace(
            position,
            head=next_head(position.head, message.hash),
            wei=position.wei + message.in_flight_wei,
        )
        set_outbox(state, message.dst, moved)
        taken.append(message)
    return taken


def read_send_log(log: Log, src: ShardId, origin_tx: Hash32) -> Message | None:
    """The message that a contract of shard `src` sends by this log, None for any other log."""
    if not is_send(log.address, log.topics):
        return None
    return decode_send(log.topics, log.data, src, origin_tx)
