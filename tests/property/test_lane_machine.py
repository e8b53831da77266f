"""Lanes between whole shards in any order of steps, against a model that is lists and a window.

Steps: users send, beyond the window and into the reserved room; contracts are born away from their range, so
that what is under way to them is sent on; blocks are crosslinked, many or few at a time; lanes are pulled
up to anywhere; blocks deliver what they can on an old anchor or a new one; nodes start again. Checkpoints
are thinned from the fourth on. The books (`simulation/shards/support/books.py`) hold every message
against every other place where it is named; the model says how many there must be.
"""

from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from node.beacon import crosslinks
from node.primitives import rlp
from node.primitives.basics import Address, ShardId
from node.primitives.births import contract_address
from node.primitives.genesis import Params
from node.primitives.keys import SigningKey
from node.primitives.message import MessageKind
from node.primitives.transaction import Transaction, decode_transaction
from node.shard import anchor_view, delivery, messenger, room
from node.shard.crossing import departure_gas
from node.shard.judge import BuiltBlock
from node.shard.room import lane_full
from node.shard.withheld import DueLane, withheld
from tests.simulation.shards.support.network import Net
from tests.simulation.shards.support.replicas import Replicas
from tests.simulation.shards.support.traffic import CHAIN_ID, PAYER, STORE, initcode, word
from tests.support.effort import examples

GWEI = 10**9
CHECKPOINTS, GAP = 4, 5
"""Instead of 256 and 8000."""
SHARDS = st.integers(0, 2).map(ShardId)


@pytest.fixture(autouse=True, scope="module")
def short_lanes() -> Iterator[None]:
    """Around all machines: one that ends in a failure must leave nothing behind for other tests."""
    with (
        patch.object(crosslinks, "MAX_CHECKPOINTS", CHECKPOINTS),
        patch.object(crosslinks, "MAX_GAP", GAP),
    ):
        yield


class LaneMachine(RuleBasedStateMachine):
    """Three shards. `room` rules are the model's; `net` is real."""

    @initialize(
        window=st.integers(1, 4),
        gas_window=st.sampled_from([600_000, 650_000, 10**9]),
        max_arrivals=st.sampled_from([0, 1, 2, 5]),
    )
    def begin(self, window: int, gas_window: int, max_arrivals: int) -> None:
        self.params = Params(
            gas_limit=600_000,
            message_gas_limit=300_000,
            base_fee=7,
            max_arrivals=max_arrivals,
            lane_window=window,
            lane_gas_window=gas_window,
        )
        self.net = net = Net(0, count=3, params=self.params)
        self.payers: dict[ShardId, Address] = {}
        self.unborn: list[tuple[ShardId, Address]] = []
        for here in net.shards:  # a contract on each, which everybody knows, and two to come
            creator = here.users[0]
            self.payers[here.shard] = contract_address(creator.address, 0)
            self.block(here, net.anchor(here, newest=True).height, self.create(here, PAYER))
            self.unborn += [
                (here.shard, contract_address(creator.address, nonce)) for nonce in (1, 2)
            ]
        net.crosslink(dict.fromkeys(net.ids, 1))
        for here in net.shards:
            self.block(here, net.beacon.head.height)

    def teardown(self) -> None:
        """Whatever was done, everything arrives."""
        if hasattr(self, "net"):
            self.net.drain()

    # ------------------------------------------------------------------ transactions

    def tx(self, key: SigningKey, to: bytes, value: int, data: bytes, gas: int) -> Transaction:
        nonce = self.net.nonce_of(key.address)
        numbers = (CHAIN_ID, nonce, 1, 100 * GWEI, gas)
        fields: list[rlp.Item] = [
            *map(rlp.int_to_bytes, numbers), to, rlp.int_to_bytes(value), data, [],
        ]  # fmt: skip
        return decode_transaction(b"\x02" + rlp.encode(self.net.traffic.sign(key, b"\x02", fields)))

    def create(self, here: Replicas, runtime: bytes) -> Transaction:
        return self.tx(here.users[0], b"", 0, initcode(runtime), 200_000)

    # ------------------------------------------------------------------ blocks, and the model of one

    def block(self, here: Replicas, anchor_height: int, *txs: Transaction) -> BuiltBlock:
        """A block, whose arrivals are as many as the model says."""
        net = self.net
        anchor = net.anchor_at(here, max(anchor_height, here.anchor_height))
        held = {src: lane.from_seq(self.inbox(here, src)) for src, lane in here.lanes.items()}
        before = {src: self.inbox(here, src) for src in held}
        ends = {src: anchor.state.lane(src, here.shard) for src in held}
        available = {}
        for src, rows in held.items():  # up to a checkpoint that the anchor knows
            counts = [c.count - before[src] for c in ends[src].checkpoints]
            available[src] = max([c for c in counts if 0 < c <= len(rows)], default=0)
        built = net.extend(here, anchor, txs)
        arrived = len(built.executed.delivered)
        assert arrived == min(max(1, self.params.max_arrivals), sum(available.values()))
        due = [
            DueLane(src=s, messages=rows, checkpoints=ends[s].checkpoints, due=ends[s].last)
            for s, rows in held.items()
        ]
        assert withheld(built.executed, built.tails, due) is None
        return built

    def inbox(self, here: Replicas, src: ShardId) -> int:
        return messenger.inbox(here.chain.state(), src).count

    def attempt(
        self, here: Replicas, height: int, tx: Transaction, dst: ShardId, gas: int, windows: int
    ) -> None:
        """A block with one transaction, which sends to `dst` if the model has room. If not, a departure waits
        (one window), and what has run fails (two windows)."""
        net = self.net
        anchor = net.anchor_at(here, max(height, here.anchor_height))
        lane = anchor.state.lane(here.shard, dst)
        earlier = len(net.books.sent[here.shard, dst])
        built = self.block(here, height, tx)
        executed = built.executed
        index = executed.decoded[0][0] if executed.decoded else len(executed.block.items)
        by_arrivals = [s for s in executed.sent if s.message.dst == dst and s.index < index]
        position = net.books.heads[here.shard, dst][earlier + len(by_arrivals)]
        has_room = position.asked - lane.consumed_asked < windows * self.params.lane_window
        if windows == 1:
            waiting = position.gas - lane.consumed_gas
            has_room = has_room and waiting + gas <= self.params.lane_gas_window
            # of one sender a quarter, and one in any case; what is being consumed counts a little longer
            mine = [
                m
                for m in net.books.sent[here.shard, dst][lane.consumed : earlier]
                if m.refund_to == tx.sender and m.kind is MessageKind.CALL and not m.depth
            ]
            if mine and not executed.decoded:
                has_room = False
            elif mine:
                assert len(mine) + 1 <= self.params.lane_window // 4
                assert sum(m.all_gas for m in mine) + gas <= self.params.lane_gas_window // 4
            assert [tx_hash for tx_hash, _ in built.deferred] == ([] if has_room else [tx.hash])
        else:
            assert built.deferred == ()
            assert executed.receipts[index].status == has_room, (position, lane)
            assert any(s.index == index for s in executed.sent) == has_room
            has_room = True  # for the block
        assert bool(executed.decoded) == has_room, (position, lane, built.rejected)
        assert built.rejected == ()

    def lag(self, here: Replicas, back: int) -> int:
        """A beacon height some blocks back, at or after the shard's last anchor."""
        return max(here.anchor_height, self.net.beacon.head.height - back)

    # ------------------------------------------------------------------ steps

    @rule(
        src=SHARDS,
        other=st.integers(1, 2),
        user=st.integers(1, 2),
        gas=st.sampled_from([0, 100_000]),
        back=st.integers(0, 3),
    )
    def send(self, src: ShardId, other: int, user: int, gas: int, back: int) -> None:
        """A user pays a user of another shard."""
        here, dst = self.net.shards[src], ShardId((src + other) % 3)
        to = self.net.shards[dst].users[1].address
        tx = self.tx(here.users[user], to, 5, b"", 21_000 + gas)
        self.attempt(here, self.lag(here, back), tx, dst, gas, windows=1)

    @rule(src=SHARDS, other=st.integers(1, 2), back=st.integers(0, 3))
    def pay_beyond(self, src: ShardId, other: int, back: int) -> None:
        """A contract here pays an account there: what the sweep sends has room of its own."""
        here, dst = self.net.shards[src], ShardId((src + other) % 3)
        to = self.net.shards[dst].users[2].address
        tx = self.tx(here.users[2], self.payers[src], 9, word(to) + word(9), 200_000)
        self.attempt(here, self.lag(here, back), tx, dst, 0, windows=2)

    @precondition(lambda self: self.unborn)
    @rule(src=SHARDS, back=st.integers(0, 3), data=st.data())
    def send_to_the_unborn(self, src: ShardId, back: int, data: st.DataObject) -> None:
        """To where a contract will be, as the directory of the anchor has it: maybe it is sent on."""
        here = self.net.shards[src]
        _, to = data.draw(st.sampled_from(self.unborn))
        height = self.lag(here, back)
        dst = self.net.beacon.state_at(height).home(to)
        if dst == src or here.chain.state().has_code_or_nonce(to):
            return
        tx = self.tx(here.users[1], to, 3, word(1), 121_000)
        self.attempt(here, height, tx, dst, tx.gas - departure_gas(tx), windows=1)

    @precondition(lambda self: self.unborn)
    @rule(back=st.integers(0, 3), data=st.data())
    def birth(self, back: int, data: st.DataObject) -> None:
        """The next contract of a shard is born."""
        shard = data.draw(st.sampled_from([shard for shard, _ in self.unborn]))
        here = self.net.shards[shard]
        built = self.block(here, self.lag(here, back), self.create(here, STORE))
        if not built.executed.decoded:
            return  # what was paid there before the birth finds no room to be swept
        address = next(to for home, to in self.unborn if home == shard)
        self.unborn.remove((shard, address))
        assert [birth.address for birth in built.executed.requests.births] == [address]

    @rule(shard=SHARDS, back=st.integers(0, 3))
    def deliver(self, shard: ShardId, back: int) -> None:
        """A block without transactions."""
        here = self.net.shards[shard]
        self.block(here, self.lag(here, back))

    @rule(takes=st.tuples(*[st.integers(0, 3)] * 3))
    def crosslink(self, takes: tuple[int, int, int]) -> None:
        """A beacon block with some blocks of some shards."""
        net = self.net
        net.crosslink({s: min(takes[s], net.waiting(s)) for s in net.ids})

    @rule(dst=SHARDS, other=st.integers(1, 2), count=st.integers(0, 9))
    def pull(self, dst: ShardId, other: int, count: int) -> None:
        """A page of a lane, which ends anywhere: what does not lead to a checkpoint is not taken."""
        net, src = self.net, ShardId((dst + other) % 3)
        here = net.shards[dst]
        start, due = here.lanes[src].position.count, len(net.due(here, src))
        ends = [c.count for c in net.beacon.state.lane(src, dst).checkpoints]
        reached = [end for end in ends if start < end <= start + min(count, due)]
        assert net.fetch(here, src, count) == (max(reached) - start if reached else 0)

    @rule(shard=SHARDS, which=st.integers(0, 1))
    def restart(self, shard: ShardId, which: int) -> None:
        """A replica starts again from its disk; what the builder had pulled is gone."""
        self.net.start_again(self.net.shards[shard], which)

    # ------------------------------------------------------------------ always

    @invariant()
    def lanes_are_as_the_model_has_them(self) -> None:
        if not hasattr(self, "net"):
            return
        net = self.net
        for (src, dst), row in net.books.sent.items():
            lane = net.beacon.state.lane(ShardId(src), ShardId(dst))
            delivered = self.inbox(net.shards[dst], ShardId(src))
            assert lane.consumed <= delivered <= lane.last <= len(row)
            counts = [lane.consumed, *(c.count for c in lane.checkpoints)]
            assert counts == sorted(set(counts))
            assert len(lane.checkpoints) <= CHECKPOINTS + 2 * (lane.last - lane.consumed) // GAP
            for checkpoint in lane.checkpoints:
                assert checkpoint == net.books.heads[src, dst][checkpoint.count]


TestLanes = LaneMachine.TestCase
TestLanes.settings = settings(max_examples=examples(12), stateful_step_count=30)


def roomy(params: Params, *args: Any, **windows: int) -> str | None:
    """One message more than the window."""
    larger = msgspec.structs.replace(params, lane_window=params.lane_window + 1)
    return lane_full(larger, *args, **windows)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("owner", "name", "mistake"),
    [
        (room, "lane_full", roomy),
        (anchor_view, "CREDIT_WINDOWS", 1),
        (crosslinks, "thinned", lambda consumed, checkpoints: checkpoints[:-1]),
        (delivery, "_forward", lambda frame, message, logs: (True, 0)),
    ],
)
def test_the_machine_finds_a_mistake(owner: Any, name: str, mistake: Any) -> None:
    quick = settings(
        max_examples=60, stateful_step_count=40, database=None,
        phases=[Phase.generate],
    )  # fmt: skip
    with patch.object(owner, name, mistake), pytest.raises(AssertionError):
        run_state_machine_as_test(LaneMachine, settings=quick)
