"""Judging: what somebody else's block must hold to, and that builder and judge agree."""

from dataclasses import replace

import pytest

from node.primitives.basics import Hash32
from node.primitives.errors import DecodeError, InvalidBlock, InvalidTransaction
from node.primitives.message import MessageKind
from node.primitives.requests import ShardRequests
from node.shard import judge as judging
from node.shard.block import (
    ARRIVAL_TYPE,
    MAX_BLOCK_BYTES,
    BeaconOps,
    ShardBlock,
    decode_item,
    encode_arrival,
)
from node.shard.block_frame import BlockEnv
from node.shard.lanes import InboundLane, Tails
from node.shard.selection import ChosenTransactions, draw

CHANGES = {
    "parent_hash": bytes(32),
    "ommers_hash": bytes(32),
    "coinbase": b"\1" * 20,
    "state_root": bytes(32),
    "transactions_root": bytes(32),
    "receipts_root": bytes(32),
    "logs_bloom": b"\1" + bytes(255),
    "difficulty": 1,
    "number": 3,
    "gas_limit": 30_000_001,
    "gas_used": 1,
    "timestamp": 1,
    "extra_data": b"atoll/1",
    "prev_randao": bytes(32),
    "nonce": bytes(7) + b"\1",
    "base_fee_per_gas": 1,
    "withdrawals_root": bytes(32),
    "blob_gas_used": 1,
    "excess_blob_gas": 1,
    "parent_beacon_block_root": bytes(32),
    "requests_hash": bytes(32),
}


class Case:
    """A built block with everything in it: operations, arrivals of two lanes, transactions."""

    def __init__(self, world, kit):
        alice, bob = world.users[0][1:3]
        unborn = kit.address(0, 3, 8)
        world.make(alice.tx(unborn, 5))
        world.beacon.homes[unborn] = 2
        for src in (1, 2):
            for _ in range(3):
                world.message(alice.address, 1, src=src)
        self.world = world
        self.built, self.anchor = world.build(
            alice.tx(bob.address, 1),
            bob.tx(world.users[1][1].address, 2),
            anchor=world.anchor(births=((unborn, 2),)),
        )
        self.block = self.built.executed.block
        assert len(self.block.items) == 1 + 6 + 2

    def judge(self, block=None, *, anchor=None, tails=None):
        return self.world.twin.judge(
            block or self.block, anchor or self.anchor, tails or self.built.tails
        )

    def refuse(self, words, items=None, **changes):
        block = ShardBlock(header=self.block.header, items=tuple(items or self.block.items))
        with pytest.raises(InvalidBlock, match=words):
            self.judge(block, **changes)


@pytest.fixture
def case(world, kit):
    return Case(world, kit)


def test_builder_and_judge_agree(case):
    ours, theirs = case.built.executed, case.judge()
    for name in ("block", "requests", "receipts", "sent", "delivered", "senders", "decoded"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert ours.delta.nodes == theirs.delta.nodes


def test_judging_twice_gives_the_same(case):
    assert case.judge().header == case.judge().header


def test_a_decoded_block_is_the_same_block(case):
    decoded = ShardBlock.decode(case.block.encoded)
    assert decoded == case.block
    assert decoded.hash == case.block.hash
    assert case.judge(decoded).header == case.block.header


@pytest.mark.parametrize("name", CHANGES)
def test_every_header_field_is_held_to(case, name):
    header = replace(case.block.header, **{name: CHANGES[name]})
    assert header != case.block.header
    with pytest.raises(InvalidBlock):
        case.judge(replace(case.block, header=header))


def test_all_header_fields_are_tried(case):
    assert set(CHANGES) == set(case.block.header.__dataclass_fields__)


def test_the_header_fields(case):
    header, anchor = case.block.header, case.anchor
    assert header.parent_hash == case.world.chain.head.hash
    assert (header.number, header.gas_limit) == (2, 30_000_000)
    assert header.extra_data == b"atoll/0"
    assert (header.parent_beacon_block_root, header.prev_randao) == (anchor.hash, anchor.randao)
    assert header.requests_hash == case.built.executed.requests.hash
    assert header.gas_used == case.built.executed.receipts[-1].cumulative_gas_used == 42_000
    assert header.base_fee_per_gas < case.world.chain.head.base_fee_per_gas
    empty = case.world.run(anchor=replace(anchor, births=())).finish()
    assert empty.header.requests_hash == ShardRequests().hash


def test_dropped_items(case):
    items = case.block.items
    case.refuse("beacon operations are not", items[1:])
    case.refuse("finalised", items[:1] + items[2:])  # the first arrival
    case.refuse("finalised", items[:6] + items[7:])  # the last of a lane, and no tail for it
    case.refuse("nonce|header is wrong", items[:7] + items[8:])
    case.refuse("header is wrong", items[:-1])


def test_added_items(case):
    items = case.block.items
    case.refuse("nonce too low", (*items, items[-1]))
    case.refuse("finalised", items[:7] + items[6:])
    case.refuse("must come first", items[:1] + items)
    extra = case.world.users[0][3].tx(case.world.coinbase, 1)
    case.refuse("header is wrong", (*items, extra.raw))


def test_items_in_another_order(case):
    items = list(case.block.items)
    case.refuse("operations are not", [*items[1:2], *items[:1], *items[2:]])
    case.refuse("finalised", [items[0], items[3], items[2], items[1], *items[4:]])
    case.refuse("after a transaction", [*items[:6], items[7], items[6], items[8]])
    case.refuse("header is wrong", [*items[:7], items[8], items[7]])
    # the lanes in other turns are other blocks, each good by itself
    case.refuse("header is wrong", [items[0], items[2], items[1], *items[3:]])


def test_changed_items(case):
    items = list(case.block.items)
    message = decode_item(items[1])
    richer = encode_arrival(replace(message, value=2))
    case.refuse("do not chain", [items[0], richer, *items[2:]])
    world = case.world
    stranger = encode_arrival(replace(message, src=0))
    case.refuse("comes from shard 0", [items[0], stranger, *items[1:]])
    stranger = encode_arrival(replace(message, src=3))
    case.refuse("comes from shard 3", [items[0], stranger, *items[1:]])
    case.refuse("malformed", [*items, b""])
    case.refuse("malformed", [*items, b"\x03"])
    case.refuse("malformed", [*items, b"\x7d\xc0"])
    for moved in ((), ((world.coinbase, 2),), ((world.coinbase, 0),)):
        other = BeaconOps(moved=moved)
        case.refuse("operations are not", [other.encoded, *items[1:]])


def test_operations_that_the_anchor_does_not_demand(case):
    case.refuse("operations are not", anchor=replace(case.anchor, births=()))


def test_the_anchor_must_be_the_one_in_the_header(case):
    case.refuse("anchor", anchor=replace(case.anchor, hash=Hash32(b"\1" * 32)))
    case.refuse("header is wrong: prev_randao", anchor=replace(case.anchor, randao=bytes(32)))


def test_a_block_must_follow_the_head(case):
    world = case.world
    world.inbox.clear()
    executed = world.make()
    with pytest.raises(InvalidBlock, match="does not follow our head"):
        case.judge()
    with pytest.raises(InvalidBlock, match="does not follow our head"):
        world.chain.commit(case.built.executed, None)
    assert world.chain.head == executed.header


def test_time_does_not_go_back(world):
    world.make()
    world.clock -= 2
    with pytest.raises(InvalidBlock, match="timestamp"):
        world.run()
    world.clock = world.chain.head.timestamp - 1
    world.make()  # but may stand still


# ---------------------------------------------------------------------- tails


def partial(world, taken, ends, sizes=6):
    """A block that stops after `taken` of `sizes` messages, with checkpoints at `ends`."""
    alice = world.users[0][1].address
    for _ in range(sizes):
        world.message(alice, 1)
    world.ends[1] = ends
    built, anchor = world.build()
    assert len(built.executed.delivered) == taken
    return built, anchor


def test_a_block_that_stops_between_checkpoints_proves_the_rest(make_world):
    world = make_world(max_arrivals=2)
    built, anchor = partial(world, 2, [1, 4, 6])
    ids = [m.hash for m in world.inbox[1]]
    assert built.tails.hashes == {1: tuple(ids[2:4])}
    block = built.executed.block
    assert world.twin.judge(block, anchor, built.tails).header == block.header
    longer = Tails(hashes={1: tuple(ids[2:])})
    assert world.twin.judge(block, anchor, longer).header == block.header
    decided = world.twin.judge(block, anchor, None)
    assert decided.header == block.header


def test_a_block_that_stops_at_a_checkpoint_needs_no_tail(make_world):
    world = make_world(max_arrivals=4)
    built, anchor = partial(world, 4, [1, 4, 6])
    assert built.tails.hashes == {1: ()}
    assert world.twin.judge(built.executed.block, anchor, Tails()).header


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        ([], r"finalised checkpoint of their lane \(2\)"),
        ([2], r"\(3\)"),
        ([2, 3, 4], r"\(5\)"),
        ([3, 2], "do not chain"),
        ([2, 2], "do not chain"),
        ([2, 3, 4, 5, 5], r"\(7\)"),
    ],
)
def test_wrong_tails(make_world, ids, words):
    world = make_world(max_arrivals=2)
    built, anchor = partial(world, 2, [1, 4, 6])
    lane = world.inbox[1]
    tails = Tails(hashes={1: tuple(lane[i].hash for i in ids)})
    with pytest.raises(InvalidBlock, match=words):
        world.twin.judge(built.executed.block, anchor, tails)


def test_a_tail_for_a_lane_without_arrivals(case):
    one = case.world.inbox[1][0].hash
    case.refuse(
        "tail stands for a lane", tails=Tails(hashes={**case.built.tails.hashes, 0: (one,)})
    )


def test_only_what_is_finalised_at_the_anchor_is_taken(make_world):
    world = make_world()
    built, _ = partial(world, 4, [2, 4])
    assert built.tails.hashes == {1: ()}


def test_a_lane_that_was_checked_against_an_older_beacon_state(world, kit):
    """The beacon thins checkpoints: what was verified may end where its state has none any more."""
    alice = world.users[0][1].address
    messages = [world.message(alice, 1) for _ in range(6)]
    world.ends[1] = [3, 6]
    anchor = world.anchor()
    lane = InboundLane(src=1)
    lane.extend(messages[:4], 0, kit.positions(messages[:4]))
    assert lane.position.count == 4
    built = world.chain.build(world.env(anchor), {1: lane}, ChosenTransactions([]))
    assert [m.seq for _, m in built.executed.delivered] == [0, 1, 2]
    assert built.tails.hashes == {1: ()}
    world.ends[1] = [6]
    anchor = world.anchor()
    built = world.chain.build(world.env(anchor), {1: lane}, ChosenTransactions([]))
    assert built.executed.delivered == ()


def test_tails_fit_beside_the_block(make_world, monkeypatch):
    """A lane whose proof would be too long waits; the others do not."""
    world = make_world(max_arrivals=4)
    alice = world.users[0][1].address
    for src, count in ((1, 9), (2, 6)):
        for _ in range(count):
            world.message(alice, 1, src=src)
    monkeypatch.setattr(judging, "MAX_TAIL_HASHES", 6)
    built, anchor = world.build()
    assert [m.src for _, m in built.executed.delivered] == [2] * 4
    assert {src: len(ids) for src, ids in built.tails.hashes.items()} == {2: 2}
    assert world.twin.judge(built.executed.block, anchor, built.tails)
    monkeypatch.setattr(judging, "MAX_TAIL_HASHES", 4)
    assert world.build()[0].executed.delivered == ()


# ---------------------------------------------------------------------- choosing transactions


def test_what_cannot_be_included_is_dropped_or_deferred(world, kit):
    alice, bob, carol = world.users[0][1:4]
    poor = kit.user(0, 3, 500)
    txs = [
        poor.tx(world.coinbase, 1),  # no money: told to the pool
        alice.tx(world.coinbase, 1, nonce=1),  # a gap: waits, and what follows it
        alice.tx(world.coinbase, 1, nonce=2),
        bob.tx(world.coinbase, 1, gas=30_000_001),  # never fits
        carol.tx(world.coinbase, 1),
    ]
    built, _ = world.build(*txs)
    assert [tx for _, tx in built.executed.decoded] == txs[-1:]
    assert [tx_hash for tx_hash, _ in built.rejected] == [txs[0].hash, txs[3].hash]
    assert "insufficient funds" in built.rejected[0][1]
    assert "exceeds block gas limit" in built.rejected[1][1]


def test_transactions_that_ask_for_a_whole_block_do_not_keep_others_out(world):
    """Twenty of them, best first, use 21000 gas each: what fits beside the first is taken too."""
    greedy = [world.users[0][0].tx(world.coinbase, 1, gas=30_000_000) for _ in range(20)]
    alice = world.users[0][1]
    small = [alice.tx(world.coinbase, 1) for _ in range(5)]
    chosen = ChosenTransactions(
        draw(ChosenTransactions([*greedy, *small]), gas=60_000_000, count=100)
    )
    env = BlockEnv(coinbase=world.coinbase, timestamp=world.clock, anchor=world.anchor())
    built = world.chain.build(env, {}, chosen)
    assert built.rejected == ()
    assert [tx for _, tx in built.executed.decoded] == [greedy[0], *small]


def test_chosen_ends_at_a_number_and_at_what_surely_fills_a_block(world):
    alice = world.users[0][1]
    txs = [alice.tx(world.coinbase, 1, gas=22_000) for _ in range(10)]
    assert draw(ChosenTransactions(txs), gas=10**9, count=4) == txs[:4]
    assert draw(ChosenTransactions(txs), gas=90_000, count=99) == txs[:5]


def test_a_proposal_stays_well_below_the_size_limit(world, monkeypatch):
    for limit in ("ARRIVAL_BYTES", "BUILD_BYTES"):
        monkeypatch.setattr(judging, limit, 1000)
    alice, bob = world.users[0][1:3]
    for _ in range(30):
        world.message(alice.address, 1)
    built, _ = world.build(bob.tx(world.coinbase, 1))
    assert built.executed.decoded == ()
    assert 0 < len(built.executed.delivered) < 30
    size = len(built.executed.block.encoded)
    assert size < 2000


# ---------------------------------------------------------------------- the codec


def test_block_bytes_that_are_refused(case):
    encoded = case.block.encoded
    for wrong in (b"", encoded[:-1], encoded + b"\0", b"\xc0", b"\xc2\xc0\xc0", b"\x80"):
        with pytest.raises(DecodeError):
            ShardBlock.decode(wrong)
    with pytest.raises(DecodeError, match="exceed"):
        ShardBlock.decode(bytes(MAX_BLOCK_BYTES + 1))


def test_items_that_are_refused(world):
    message = world.message(world.coinbase, 1)
    large = encode_arrival(replace(message, data=bytes(160 * 1024)))
    for wrong in (b"", bytes([ARRIVAL_TYPE]), large, b"\x7e\xc1\x80", b"\x7e\x80"):
        with pytest.raises(DecodeError):
            decode_item(wrong)
    for wrong in (b"\x03\xc0", b"\x05\xc0", b"\x7f\xc0"):
        with pytest.raises(InvalidTransaction):
            decode_item(wrong)
    ops = BeaconOps(moved=((world.coinbase, 2), (world.coinbase, 0)))
    assert decode_item(ops.encoded) == ops
    for kind in MessageKind:
        other = replace(message, kind=kind)
        assert decode_item(encode_arrival(other)) == other
