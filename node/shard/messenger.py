"""The system account every shard has: the lanes' positions in its storage, sends as its logs.

Storage has the layout Solidity and Vyper give to mappings of structs, so that a contract can read it:

    slot 0: mapping(uint256 dst => (uint256 count, bytes32 head))   outbox
    slot 1: mapping(uint256 src => (uint256 count, bytes32 head))   inbox
    slot 2: uint256 burned, wei destroyed on this shard since genesis

    event MessageSent(bytes32 indexed id, uint256 indexed dst, bytes message)
"""

from node.execution.receipts import Log
from node.execution.state import State
from node.primitives.basics import Address, Hash32, ShardId, keccak256
from node.primitives.message import LanePosition, Message

MESSENGER = Address(bytes.fromhex("a70110000000000000000000000000000000a701"))
STAKING = Address(bytes.fromhex("a70110000000000000000000000000000000a702"))
BEACON_ROOTS = Address(bytes.fromhex("000f3df6d732807ef1319fb7b8bb8522d0beac02"))
HISTORY_STORAGE = Address(bytes.fromhex("0000f90827f1c53a10cb7a02335b175320002935"))
HIGHEST_PRECOMPILE = 0x11

SENT_TOPIC = keccak256(b"MessageSent(bytes32,uint256,bytes)")
# A plain revert: nothing can be sent to the account by value, and it is not empty under EIP-161.
SYSTEM_CODE = bytes.fromhex("5f5ffd")

_OUTBOX, _INBOX, _BURNED = 0, 1, 2


def is_everywhere(address: bytes) -> bool:
    """Accounts that every shard has: never swept, never moved, always at home."""
    if address in (MESSENGER, STAKING, BEACON_ROOTS, HISTORY_STORAGE):
        return True
    return 0 < int.from_bytes(address, "big") <= HIGHEST_PRECOMPILE


def _slot(mapping: int, shard: int) -> int:
    key = shard.to_bytes(32, "big") + mapping.to_bytes(32, "big")
    return int.from_bytes(keccak256(key), "big")


def _read(state: State, mapping: int, shard: int) -> LanePosition:
    slot = _slot(mapping, shard)
    return LanePosition(
        count=state.storage(MESSENGER, slot),
        head=Hash32(state.storage(MESSENGER, slot + 1).to_bytes(32, "big")),
    )


def _write(state: State, mapping: int, shard: int, position: LanePosition) -> None:
    slot = _slot(mapping, shard)
    state.set_storage(MESSENGER, slot, position.count)
    state.set_storage(MESSENGER, slot + 1, int.from_bytes(position.head, "big"))


def outbox(state: State, dst: ShardId) -> LanePosition:
    return _read(state, _OUTBOX, dst)


def inbox(state: State, src: ShardId) -> LanePosition:
    return _read(state, _INBOX, src)


def set_outbox(state: State, dst: ShardId, position: LanePosition) -> None:
    _write(state, _OUTBOX, dst, position)


def set_inbox(state: State, src: ShardId, position: LanePosition) -> None:
    _write(state, _INBOX, src, position)


def burned(state: State) -> int:
    return state.storage(MESSENGER, _BURNED)


def add_burned(state: State, wei: int) -> None:
    if wei:
        state.set_storage(MESSENGER, _BURNED, burned(state) + wei)


def sent_log(message: Message) -> Log:
    body = message.encoded
    data = (
        (32).to_bytes(32, "big") + len(body).to_bytes(32, "big") + body + b"\0" * (-len(body) % 32)
    )
    return Log(
        address=MESSENGER,
        topics=(SENT_TOPIC, message.id, message.dst.to_bytes(32, "big")),
        data=data,
    )


def is_sent_log(log: Log) -> bool:
    return log.address == MESSENGER and log.topics[:1] == (SENT_TOPIC,)


def read_sent_log(log: Log) -> Message | None:
    """The message a log announces, None for any other log."""
    if not is_sent_log(log):
        return None
    size = int.from_bytes(log.data[32:64], "big")
    return Message.decode(log.data[64 : 64 + size])
