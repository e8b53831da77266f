"""Inbound lanes, their proofs, the codec of tails, and what the messenger keeps and announces."""

from dataclasses import replace

import pytest

from node.execution.state.receipts import Log
from node.execution.state.state import State
from node.primitives import rlp
from node.primitives.basics import ZERO_HASH, Hash32, ShardId, keccak256
from node.primitives.errors import DecodeError, InvalidBlock
from node.primitives.genesis import Params
from node.primitives.message import LanePosition
from node.primitives.messenger import MESSENGER
from node.shard import messenger
from node.shard.lanes import MAX_TAIL_HASHES, AvailableMessages, InboundLane, Tails, check_lane
from node.shard.room import lane_full


@pytest.fixture
def messages(world):
    return [world.message(world.coinbase, n, src=1, gas=50, reply_gas=20) for n in range(8)]


@pytest.fixture
def ends(messages, kit):
    """The lane after 3, 5 and 8 messages."""
    every = kit.positions(messages)
    return [every[2], every[4], every[7]]


@pytest.fixture
def lane():
    return InboundLane(src=ShardId(1))


# ---------------------------------------------------------------------- pulling


def test_what_leads_to_a_checkpoint_is_taken(lane, messages, ends):
    assert lane.extend(messages, ShardId(0), ends) == 8
    assert lane.position == ends[2]
    assert lane.from_seq(0) == messages
    assert lane.from_seq(6) == messages[6:]
    assert lane.from_seq(8) == []


def test_what_ends_between_checkpoints_waits(lane, messages, ends):
    assert lane.extend(messages[:4], ShardId(0), ends) == 3
    assert (lane.position, lane.from_seq(0)) == (ends[0], messages[:3])
    assert lane.extend(messages[3:], ShardId(0), ends) == 5
    assert lane.from_seq(0) == messages


def test_one_checkpoint_proves_all_before_it(lane, messages, ends):
    assert lane.extend(messages, ShardId(0), ends[2:]) == 8


def test_nothing_is_taken_without_a_checkpoint(lane, messages):
    assert lane.extend(messages, ShardId(0), []) == 0
    assert (lane.position, lane.verified) == (LanePosition(), {})


@pytest.mark.parametrize("start", [1, 2])
def test_a_gap_is_refused(lane, messages, ends, start):
    with pytest.raises(DecodeError, match=f"message {start} came, 0 was due"):
        lane.extend(messages[start:], ShardId(0), ends)
    with pytest.raises(DecodeError, match="came"):
        lane.extend([messages[0], *messages[2:]], ShardId(0), ends)
    assert lane.verified == {}


def test_messages_of_another_lane_are_refused(lane, messages, ends):
    for wrong in ({"src": 2}, {"dst": 2}):
        with pytest.raises(DecodeError):
            lane.extend([replace(messages[0], **wrong)], ShardId(0), ends)


def test_a_lie_is_refused_and_what_was_proved_before_it_is_kept(lane, messages, ends):
    lie = replace(messages[3], value=10**18)
    with pytest.raises(DecodeError, match="the chain is wrong at 5"):
        lane.extend([*messages[:3], lie, *messages[4:]], ShardId(0), ends)
    assert (lane.position, lane.from_seq(0)) == (ends[0], messages[:3])
    assert lane.extend(messages[3:], ShardId(0), ends) == 5


def test_the_inbox_passes(lane, messages, ends):
    lane.extend(messages, ShardId(0), ends)
    lane.drop_before(ends[1])
    assert sorted(lane.verified) == [5, 6, 7]
    assert lane.position == ends[2]


def test_the_inbox_is_ahead_after_a_restart(lane, messages, ends):
    lane.drop_before(ends[1])
    assert lane.position == ends[1]
    assert lane.extend(messages[5:], ShardId(0), ends[2:]) == 3
    assert lane.from_seq(5) == messages[5:]


# ---------------------------------------------------------------------- what a block may take


def test_a_supply_ends_at_the_last_checkpoint_within_what_is_held(messages, ends):
    supply = AvailableMessages.of(messages[:6], ends)
    assert supply is not None
    assert (list(supply.messages), supply.ends) == (messages[:5], [3, 5])
    assert [supply.tail_size(n) for n in range(6)] == [0, 2, 1, 0, 1, 0]
    supply.taken = 1
    assert supply.tail() == tuple(m.hash for m in messages[1:3])
    assert supply.next() == messages[1]
    supply.taken = 5
    assert supply.is_empty


def test_there_is_no_supply_without_a_checkpoint_ahead(messages, ends):
    assert AvailableMessages.of([], ends) is None
    assert AvailableMessages.of(messages[:2], ends) is None
    assert AvailableMessages.of(messages, []) is None
    assert AvailableMessages.of(messages[5:], ends[:2]) is None


# ---------------------------------------------------------------------- proofs


def test_lane_proofs(messages, ends):
    ids = [m.hash for m in messages]
    check_lane(LanePosition(), ids[:3], [], ends)
    check_lane(LanePosition(), ids[:1], ids[1:3], ends)
    check_lane(LanePosition(), ids[:1], ids[1:5], ends)
    check_lane(ends[0], ids[3:5], [], ends)
    check_lane(ends[0], [], [], [])
    for start, consumed, tail in (
        (LanePosition(), ids[:2], ids[2:4]),
        (LanePosition(), ids[1:4], []),
        (ends[0], ids[:2], []),
        (replace(ends[0], head=ZERO_HASH), ids[3:5], []),
    ):
        with pytest.raises(InvalidBlock):
            check_lane(start, consumed, tail, ends)


# ---------------------------------------------------------------------- tails


def test_tails_round_trip(messages):
    ids = tuple(m.hash for m in messages)
    for tails in (Tails(), Tails(hashes={1: ids, 3: (), 2: ids[:1]})):
        decoded = Tails.decode(tails.encoded)
        assert decoded == tails
        assert decoded.encoded == tails.encoded


def test_tails_have_one_order(messages):
    one = [messages[0].hash]
    for rows in ([[b"\2", one], [b"\1", one]], [[b"\1", one], [b"\1", one]]):
        with pytest.raises(DecodeError, match="not in order"):
            Tails.decode(rlp.encode(rows))


@pytest.mark.parametrize(
    "rows",
    [[[b"\1", [b"\0" * 31]]], [[b"\0", []]], [[b"\1\1\1", []]], [[b"\1"]], [b"\1"], [[[], []]]],
)
def test_tails_that_are_refused(rows):
    with pytest.raises(DecodeError):
        Tails.decode(rlp.encode(rows))


def test_tails_are_bounded_together():
    half = (Hash32(bytes(32)),) * (MAX_TAIL_HASHES // 2)
    full = Tails(hashes={1: half, 2: half})
    assert Tails.decode(full.encoded) == full
    with pytest.raises(DecodeError, match="more than"):
        Tails.decode(Tails(hashes={1: half, 2: half, 3: half[:1]}).encoded)
    with pytest.raises(DecodeError, match="exceed"):
        Tails.decode(bytes(1 << 20))


def test_a_tail_for_every_shard_fits():
    """With as many ids as all may have together."""
    ids = (Hash32(bytes(32)),)
    tails = Tails(hashes={ShardId(s): ids * (14 if s else 0) for s in range(1024)})
    assert Tails.decode(tails.encoded) == tails


# ---------------------------------------------------------------------- the messenger


def test_the_log_of_a_sent_message(messages):
    for message in (*messages, replace(messages[0], data=bytes(range(100)))):
        log = messenger.sent_log(message)
        assert log.topics == (
            keccak256(b"MessageSent(bytes32,uint256,bytes)"),
            message.id,
            message.dst.to_bytes(32, "big"),
        )
        assert len(log.data) % 32 == 0
        assert messenger.read_sent_log(log) == message


def test_other_logs_are_none(messages):
    log = messenger.sent_log(messages[0])
    assert (
        messenger.read_sent_log(Log(address=b"\1" * 20, topics=log.topics, data=log.data)) is None
    )
    assert messenger.read_sent_log(Log(address=MESSENGER, topics=(), data=log.data)) is None


def test_positions_stand_in_storage_as_vyper_would_put_them(messages, kit):
    state = State(lambda _: None)
    position = kit.positions(messages)[3]
    messenger.set_outbox(state, ShardId(2), position)
    messenger.set_inbox(state, ShardId(2), LanePosition(count=9))
    slot = int.from_bytes(keccak256(bytes(32) + (2).to_bytes(32, "big")), "big")
    assert state.storage(MESSENGER, slot) == 4
    assert state.storage(MESSENGER, slot + 1) == int.from_bytes(position.head, "big")
    assert state.storage(MESSENGER, slot + 2) == position.gas == 4 * 70
    assert state.storage(MESSENGER, slot + 4) == position.asked == 4
    assert messenger.outbox(state, ShardId(2)) == position
    assert messenger.inbox(state, ShardId(2)) == LanePosition(count=9)
    assert messenger.outbox(state, ShardId(1)) == LanePosition()
    messenger.add_burned(state, 5)
    messenger.add_burned(state, 0)
    messenger.add_burned(state, 6)
    assert messenger.burned(state) == state.storage(MESSENGER, 2) == 11


@pytest.mark.parametrize(
    ("count", "gas", "prepaid", "windows", "full"),
    [
        (3, 900, 100, 1, False),  # the last of four, and the last of 1000 gas
        (4, 0, 0, 1, True),
        (3, 900, 101, 1, True),
        (3, 901, 100, 1, True),
        (0, 0, 1001, 1, True),
        (7, 5000, 5000, 2, False),  # with more windows, by count alone
        (8, 0, 0, 2, True),
    ],
)
def test_a_lane_has_room_for_so_many_and_so_much_gas(count, gas, prepaid, windows, full):
    params = Params(lane_window=4, lane_gas_window=1000, gas_limit=1000, message_gas_limit=100)
    sent = LanePosition(
        count=99, asked=10 + count, gas=7000 + gas
    )  # the others are not held against it
    assert bool(lane_full(params, sent, 10, 7000, prepaid, windows=windows)) == full
    ahead = lane_full(params, sent, 99, 10**6, 0, windows=windows)
    assert ahead is None, "a shard may claim to have consumed what was never sent"
