"""The books of a simulated network: every message and every wei, from block to block.

Each method asserts what must hold and names it. Who drives the chains does not matter.
"""

from collections import Counter
from collections.abc import Callable

from node.beacon.state import BeaconState
from node.execution.state.state import State
from node.execution.trie.trie_proof import iterate
from node.primitives import rlp
from node.primitives.basics import ShardId
from node.primitives.header import Header
from node.primitives.message import LanePosition, Message, MessageKind
from node.primitives.transaction import ImpersonatedTransaction
from node.shard import messenger
from node.shard.chain import ShardChain
from node.shard.run import ExecutedBlock

Lane = tuple[int, int]
"""Source and destination."""


def is_onward(came: Message, sent: Message) -> bool:
    """Whether `sent` is what arrived as `came`, sent on."""
    same = ("kind", "sender", "to", "value", "gas", "data", "callback", "origin_tx")
    if any(getattr(came, name) != getattr(sent, name) for name in same):
        return False
    if came.kind is MessageKind.CALL:
        return sent.in_reply_to == came.first_id and sent.depth == came.depth + 1
    return sent.in_reply_to == came.in_reply_to


def wei_of(chain: ShardChain, header: Header) -> int:
    """All balances, and what was burned, without what development operations issued."""
    state = chain.state(header)
    total = messenger.burned(state) - messenger.issued(state)
    for _, account in iterate(chain.read_node, header.state_root):
        total += int.from_bytes(rlp.decode_list(account)[1], "big")
    return total


class Books:
    """`supply` is the wei that the genesis gives to each shard; `stats` counts what happened."""

    def __init__(self, shards: list[ShardId], supply: int) -> None:
        self.shards = shards
        self.total = supply * len(shards)
        self.stats: Counter[str] = Counter()
        self.sent: dict[Lane, list[Message]] = {
            (src, dst): [] for src in shards for dst in shards if src != dst
        }
        self.heads: dict[Lane, list[LanePosition]] = {lane: [LanePosition()] for lane in self.sent}
        self.delivered: Counter[tuple[int, int, int]] = Counter()
        self.calls: dict[bytes, Message] = {}  # by the id under which they were sent first
        self.concluded: Counter[bytes] = Counter()
        self.answered: Counter[bytes] = Counter()
        self._supply = dict.fromkeys(shards, supply)  # of the genesis, brought and taken away since
        self._wei: dict[bytes, int] = {}  # by block hash

    @property
    def under_way(self) -> int:
        """Messages that were sent and not delivered."""
        return sum(map(len, self.sent.values())) - len(self.delivered)

    # ------------------------------------------------------------------ at every block of a shard

    def note(self, chain: ShardChain, executed: ExecutedBlock) -> None:
        """A block, once, in the order of heights; `chain` holds the state after it."""
        self._note_messages(executed)
        header = executed.header
        self._supply[chain.shard] += sum(m.in_flight_wei for _, m in executed.delivered)
        self._supply[chain.shard] -= sum(s.message.in_flight_wei for s in executed.sent)
        self._wei[header.hash] = found = wei_of(chain, header)
        off = found - self._supply[chain.shard]
        assert not off, f"audit: block {header.number} of shard {chain.shard} is off by {off} wei"
        self._check_cursors(chain.shard, chain.state(header))

    def _check_cursors(self, here: ShardId, state: State) -> None:
        for other in self.shards:
            if other == here:
                continue
            outbox, inbox = messenger.outbox(state, other), messenger.inbox(state, other)
            out, back = self.heads[here, other], self.heads[other, here]
            assert outbox == out[-1], f"outbox: {here}->{other} is at {outbox.count}"
            assert inbox.count < len(back), f"prefix: {other}->{here} is at {inbox.count}"
            assert inbox == back[inbox.count], f"prefix: {other}->{here} is another chain"
            assert inbox.count == 0 or self.delivered[other, here, inbox.count - 1], (
                f"prefix: {other}->{here} is at {inbox.count}, past what was delivered"
            )

    def _note_messages(self, executed: ExecutedBlock) -> None:
        """Lanes have no gaps, and nothing is delivered twice, out of turn or changed."""
        self.stats["blocks"] += 1
        self.stats["transactions"] += len(executed.decoded)
        self.stats["operations"] += len(executed.operations)
        self.stats["impersonated"] += sum(
            isinstance(tx, ImpersonatedTransaction) for _, tx in executed.decoded
        )
        self.stats["births"] += len(executed.requests.births)
        self.stats["failed"] += sum(1 for r in executed.receipts if not r.status)
        self.stats["moves"] += any(raw[0] == 0x7E for raw in executed.block.items)
        delivered = dict(executed.delivered)
        onward = set()  # places in the block of what was sent on
        for sent in executed.sent:
            message = sent.message
            assert message.src != message.dst
            row, heads = (kept[message.src, message.dst] for kept in (self.sent, self.heads))
            assert message.seq == len(row), f"lane: {message.src}->{message.dst} has a gap"
            row.append(message)
            heads.append(heads[-1].advance(message))
            came = delivered.get(sent.index)
            if came is not None and is_onward(came, message):
                onward.add(sent.index)
            elif message.kind is MessageKind.CALL:
                assert message.first_id == message.id
                self.calls[message.id] = message
            elif message.kind is MessageKind.REPLY:
                assert came is not None
                assert came.first_id == message.in_reply_to
                assert self.calls[message.in_reply_to].sender == message.to
                self.stats["replies"] += 1
        for index, message in executed.delivered:
            self._note_delivery(executed, index, message, onward=index in onward)

    def _note_delivery(
        self, executed: ExecutedBlock, index: int, message: Message, *, onward: bool
    ) -> None:
        lane, seq = (message.src, message.dst), message.seq
        name = f"{message.src}->{message.dst} #{seq}"
        assert seq < len(self.sent[lane]), f"exactly once: {name} was never sent"
        assert self.sent[lane][seq] == message, f"exactly once: {name} was changed on its way"
        self.delivered[*lane, seq] += 1
        assert self.delivered[*lane, seq] == 1, f"exactly once: {name} was delivered twice"
        assert not seq or self.delivered[*lane, seq - 1], f"order: {name} came out of turn"
        if onward:
            self.stats["forwarded"] += 1
        elif message.kind is MessageKind.CALL:
            self.stats["calls"] += 1
            self.concluded[message.first_id] += 1
            answers = [s for s in executed.sent if s.message.in_reply_to == message.first_id]
            assert len(answers) <= bool(message.callback), f"replies: {len(answers)} to {name}"
            if message.callback and not answers:  # its sender lived there
                self.stats["answered at once"] += 1
                self.answered[message.first_id] += 1
                self.stats["replies"] += 1
        elif message.kind is MessageKind.REPLY:
            self.answered[message.in_reply_to] += 1
        else:
            self.stats["credits"] += 1

    # ------------------------------------------------------------------ at every block of the beacon

    def check(self, beacon: BeaconState, chain_of: Callable[[ShardId], ShardChain]) -> None:
        """No wei is lost or made at the beacon's tips, and inboxes are prefixes of outboxes.

        `chain_of` gives a chain of each shard that holds the state of its tip.
        """
        total = 0
        for here in self.shards:
            header, chain = beacon.tip(here).header, chain_of(here)
            state = chain.state(header)
            wei = self._wei.get(header.hash)
            total += wei_of(chain, header) if wei is None else wei
            for other in self.shards:
                if other == here:
                    continue
                outbox, inbox = messenger.outbox(state, other), messenger.inbox(state, other)
                lane = beacon.lane(here, other)
                name = f"{here}->{other}"
                assert outbox == self.heads[here, other][outbox.count], f"outbox: {name}"
                assert lane.last == outbox.count, f"checkpoint: {name} is not known to its end"
                assert lane.consumed <= outbox.count, f"prefix: {name}"
                assert inbox == self.heads[other, here][inbox.count], f"prefix: {other}->{here}"
                assert beacon.lane(other, here).consumed == inbox.count, (
                    f"consumed: {other}->{here}"
                )
                row = self.sent[here, other]
                total += sum(m.in_flight_wei for m in row[lane.consumed : outbox.count])
        assert total == self.total, f"audit: the network is off by {total - self.total} wei"

    # ------------------------------------------------------------------ when nothing is under way

    def close(self, beacon: BeaconState) -> None:
        """Every call was concluded once, and answered if it wanted to be; no lane keeps anything."""
        assert not self.under_way, f"delivery: {self.under_way} messages never arrived"
        assert self.concluded == Counter(list(self.calls)), "exactly once: calls and conclusions"
        wanted = {key for key, call in self.calls.items() if call.callback}
        assert set(self.answered) <= wanted, "replies: somebody was answered who had not asked"
        assert set(self.answered.values()) <= {1}, "replies: somebody was answered twice"
        assert sum(self.answered.values()) == self.stats["replies"], "replies: some never came"
        for (src, dst), row in self.sent.items():
            lane = beacon.lane(ShardId(src), ShardId(dst))
            assert (lane.consumed, lane.checkpoints) == (len(row), ()), f"lane: {src}->{dst}"

    def check_indexes(self, chain_of: Callable[[ShardId], ShardChain]) -> None:
        """What the chains' indexes say of every message."""
        for (src, dst), row in self.sent.items():
            source, target = chain_of(ShardId(src)), chain_of(ShardId(dst))
            assert list(source.sent_range(ShardId(dst), 0, len(row) + 1)) == [
                m.encoded for m in row
            ]
            for message in row:
                place = target.delivered(ShardId(src), message.seq)
                assert place is not None
                block = target.block(place[0])
                assert block is not None
                assert block.items[place[1]][1:] == message.encoded
                assert target.find_message(message.id) == (src, dst, message.seq)
