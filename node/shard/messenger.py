"""The system account MESSENGER in a state and in receipts. Its layout is in node.primitives.messenger."""

from functools import partial

from node.execution.receipts import Log
from node.execution.state import State
from node.primitives.basics import ShardId
from node.primitives.message import LanePosition, Message
from node.primitives.messenger import (
    BEACON_ROOTS,
    BURNED_SLOT,
    HISTORY_STORAGE,
    MESSENGER,
    SENT_TOPIC,
    STAKING,
    LaneSlots,
    decode_sent,
    inbox_slots,
    is_everywhere,
    is_sent,
    outbox_slots,
    sent_data,
    sent_topics,
)

__all__ = [
    "BEACON_ROOTS",
    "HISTORY_STORAGE",
    "MESSENGER",
    "SENT_TOPIC",
    "STAKING",
    "SYSTEM_CODE",
    "add_burned",
    "burned",
    "inbox",
    "is_everywhere",
    "is_sent_log",
    "outbox",
    "read_sent_log",
    "sent_log",
    "set_inbox",
    "set_outbox",
]

# A plain revert: nothing can be sent to the account by value, and it is not empty under EIP-161.
SYSTEM_CODE = bytes.fromhex("5f5ffd")


def _read(state: State, slots: LaneSlots) -> LanePosition:
    return slots.read(partial(state.storage, MESSENGER))


def _write(state: State, slots: LaneSlots, position: LanePosition) -> None:
    state.set_storage(MESSENGER, slots.count, position.count)
    state.set_storage(MESSENGER, slots.head, int.from_bytes(position.head, "big"))
    state.set_storage(MESSENGER, slots.gas, position.gas)


def outbox(state: State, dst: ShardId) -> LanePosition:
    return _read(state, outbox_slots(dst))


def inbox(state: State, src: ShardId) -> LanePosition:
    return _read(state, inbox_slots(src))


def set_outbox(state: State, dst: ShardId, position: LanePosition) -> None:
    _write(state, outbox_slots(dst), position)


def set_inbox(state: State, src: ShardId, position: LanePosition) -> None:
    _write(state, inbox_slots(src), position)


def burned(state: State) -> int:
    return state.storage(MESSENGER, BURNED_SLOT)


def add_burned(state: State, wei: int) -> None:
    if wei:
        state.set_storage(MESSENGER, BURNED_SLOT, burned(state) + wei)


def sent_log(message: Message) -> Log:
    return Log(address=MESSENGER, topics=sent_topics(message), data=sent_data(message))


def is_sent_log(log: Log) -> bool:
    return is_sent(log.address, log.topics)


def read_sent_log(log: Log) -> Message | None:
    """The message a log announces, None for any other log."""
    return decode_sent(log.data) if is_sent_log(log) else None
