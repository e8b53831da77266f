"""What holds for the other shards of a network in which the committee of one lies (`corrupt.py`).

Whatever the corrupt shard decides:

liveness      the honest shards and the beacon go on: in the end each of their blocks is crosslinked, what they
              sent to each other has arrived, and they have nothing left to do
owner         balances of accounts on honest shards change only by their own transactions and by messages that
              the rules allow: the ledger of `shards/support/owners.py` is kept for each honest shard
exactly once  messages of a lane into an honest shard are delivered in order, without a gap, each once; those
              of another honest shard as they were sent
prefix        an inbox of an honest shard is the chain of what was delivered; the beacon's checkpoints of a lane
              between honest shards are positions that the source had
supply        no shard holds less than nothing by the beacon's books; all that is held, under way and burned
              adds up to what there was; an honest shard's accounts have what the books say, to the wei
room          what an honest shard has under way to another because the corrupt one had it send that there has a
              quarter of the lane's gas at most, or is one message; and it counts for no window
home          nobody's account gets another home: what lives on an honest shard lives there for the beacon
audit         where accounts have other wei than the books say is the corrupt shard, nowhere else
"""

from collections import Counter
from collections.abc import Callable, Collection

from node.beacon.state import BeaconState
from node.primitives.basics import Address, ShardId
from node.primitives.genesis import Params
from node.primitives.message import LanePosition, Message, MessageKind
from node.primitives.messenger import is_everywhere
from node.shard import messenger
from node.shard.chain import ShardChain
from node.shard.room import SHARE
from node.shard.run import ExecutedBlock
from tests.simulation.shards.support.books import wei_of

ChainOf = Callable[[ShardId], ShardChain]


class HonestBooks:
    """The books of the honest shards; `total` is the wei of the genesis, `params` its rules."""

    def __init__(
        self, shards: Collection[ShardId], corrupt: ShardId, total: int, params: Params
    ) -> None:
        self.shards = list(shards)
        self.honest = [shard for shard in shards if shard != corrupt]
        self.corrupt = corrupt
        self.total = total
        self.params = params
        self.stats: Counter[str] = Counter()
        lanes = [(src, dst) for src in shards for dst in shards if src != dst]
        self.sent: dict[tuple[int, int], list[Message]] = {lane: [] for lane in lanes}
        self.heads: dict[tuple[int, int], list[LanePosition]] = {
            lane: [LanePosition()] for lane in lanes
        }
        self.delivered: dict[tuple[int, int], list[Message]] = {lane: [] for lane in lanes}
        self.passed: dict[tuple[int, int], list[int]] = {lane: [] for lane in lanes}
        "Of each message that was sent, the gas that is there by the doing of the corrupt shard."

    @property
    def under_way(self) -> int:
        """Messages between honest shards that have not arrived."""
        return sum(
            len(self.sent[src, dst]) - len(self.delivered[src, dst])
            for src in self.honest
            for dst in self.honest
            if src != dst
        )

    def note(self, chain: ShardChain, executed: ExecutedBlock) -> None:
        """A block of an honest shard, once, in the order of heights."""
        here = chain.shard
        self.stats["blocks"] += 1
        self.stats["transactions"] += len(executed.decoded)
        for _, message in executed.delivered:
            self._arrived(here, message)
        causes = dict(executed.delivered)
        for sent in executed.sent:
            message = sent.message
            self._passed_on(causes.get(sent.index), message)
            row, heads = (kept[here, message.dst] for kept in (self.sent, self.heads))
            assert message.seq == len(row), f"lane: {here}->{message.dst} has a gap"
            row.append(message)
            heads.append(heads[-1].advance(message))
        state = chain.state(executed.header)
        for other in self.shards:
            if other == here:
                continue
            outbox, inbox = messenger.outbox(state, other), messenger.inbox(state, other)
            assert outbox == self.heads[here, other][-1], f"outbox: {here}->{other}"
            rows = self.delivered[other, here]
            assert inbox.count == len(rows), f"prefix: {other}->{here} is at {inbox.count}"
            head = LanePosition()
            for message in rows:
                head = head.advance(message)
            assert inbox.head == head.head, f"prefix: {other}->{here} is another chain"

    def _passed_on(self, cause: Message | None, message: Message) -> None:
        """What an arrival made a shard send: a contract's `send` is a CALL that nobody has sent on."""
        by_contract = message.kind is MessageKind.CALL and not message.depth
        follows = cause is not None and not by_contract
        assert not (follows and message.is_asked), "room: what follows from an arrival asks for it"
        lies = follows and cause is not None and cause.src == self.corrupt
        self.passed[message.src, message.dst].append(message.all_gas if lies else 0)
        self.stats["passed on for the liar"] += lies and message.dst != self.corrupt

    def _arrived(self, here: ShardId, message: Message) -> None:
        lane = (message.src, here)
        rows = self.delivered[lane]
        name = f"{message.src}->{here} #{message.seq}"
        assert message.dst == here, f"exactly once: {name} is for {message.dst}"
        assert message.seq == len(rows), f"exactly once: {name} came where {len(rows)} was due"
        if message.src == self.corrupt:
            self.stats["corrupt messages"] += 1
        else:
            assert message == self.sent[lane][message.seq], f"exactly once: {name} was changed"
        rows.append(message)

    def check(self, beacon: BeaconState, chain_of: ChainOf) -> None:
        """At every block of the beacon; `chain_of` gives a chain that holds the state of the tip."""
        books = burned = issued = under_way = 0
        for shard in self.shards:
            supply = beacon.supply(shard)
            assert supply.wei >= 0, f"supply: shard {shard} holds {supply.wei} wei"
            books += supply.wei
            burned += supply.counters.burned
            issued += supply.counters.issued
            for other in self.shards:
                if other != shard:
                    lane = beacon.lane(shard, other)
                    assert lane.consumed <= lane.last, f"prefix: {shard}->{other}"
                    assert lane.consumed_wei <= lane.sent_wei, f"supply: {shard}->{other}"
                    under_way += lane.sent_wei - lane.consumed_wei
        off = books + under_way + burned - issued - self.total
        assert not off, f"supply: the books of the network are off by {off} wei"
        for shard in self.honest:
            self._check_shard(beacon, chain_of(shard))

    def _check_shard(self, beacon: BeaconState, chain: ShardChain) -> None:
        shard = chain.shard
        header = beacon.tip(shard).header
        off = difference(beacon, chain)
        assert not off, f"supply: shard {shard} has {off} wei other than the books say"
        state = chain.state(header)
        for other in self.honest:
            if other == shard:
                continue
            lane, heads = beacon.lane(shard, other), self.heads[shard, other]
            assert lane.last == messenger.outbox(state, other).count, (
                f"checkpoint: {shard}->{other}"
            )
            under_way = self.passed[shard, other][lane.consumed : lane.last]
            most = max(self.params.lane_gas_window // SHARE, 0, *under_way)
            assert sum(under_way) <= most, (
                f"room: {sum(under_way)} gas from the liar on {shard}->{other}"
            )
            for point in lane.checkpoints:
                assert point == heads[point.count], f"prefix: checkpoint of {shard}->{other}"

    def check_homes(
        self, beacon: BeaconState, chain_of: ChainOf, accounts: Collection[Address]
    ) -> None:
        """Accounts that live on an honest shard have no other home."""
        for shard in self.honest:
            state = chain_of(shard).state(beacon.tip(shard).header)
            for account in accounts:
                if not is_everywhere(account) and state.has_code_or_nonce(account):
                    home = beacon.home(account)
                    assert home == shard, (
                        f"home: 0x{account.hex()} is on {shard}, and told on {home}"
                    )

    def close(self, beacon: BeaconState, chain_of: ChainOf) -> None:
        """In the end: what honest shards sent each other has arrived, and the audit names the liar."""
        assert not self.under_way, f"delivery: {self.under_way} messages never arrived"
        for src in self.honest:
            for dst in self.honest:
                if src != dst:
                    lane = beacon.lane(src, dst)
                    row = self.sent[src, dst]
                    assert (lane.consumed, lane.checkpoints) == (len(row), ()), (
                        f"lane: {src}->{dst}"
                    )
        missing = difference(beacon, chain_of(self.corrupt))
        self.stats["audits that name the liar"] += missing != 0
        self.stats["crosslinked lies"] += beacon.tip(self.corrupt).height


def difference(beacon: BeaconState, chain: ShardChain) -> int:
    """What the audit says of a shard: wei that its accounts have more than the books say."""
    header = beacon.tip(chain.shard).header
    state = chain.state(header)
    balances = wei_of(chain, header) - messenger.burned(state) + messenger.issued(state)
    return balances - beacon.supply(chain.shard).wei
