"""What happened between shards, read from the shards' chains alone: every message is in a log of the shard
that sent it, and an item of the shard that delivered it."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from node.cluster.client.client import call_many
from node.primitives.message import Message, MessageKind
from node.primitives.messenger import decode_sent, is_sent, sent_topics
from node.testing import Network
from tests.cluster.support.client import ARRIVAL, call

Lane = tuple[int, int]
"""(source, destination)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How a message fared, and where; `gas_used` in units."""

    shard: int
    height: int
    ok: bool
    gas_used: int


@dataclass(slots=True)
class History:
    """Messages by lane in the order of either end; what users' transactions came to, by their hashes."""

    sent: dict[Lane, list[Message]] = field(default_factory=lambda: defaultdict(list))
    delivered: dict[Lane, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    outcomes: dict[bytes, Delivery] = field(default_factory=dict)
    included: Counter[str] = field(default_factory=Counter)
    reverted: set[str] = field(default_factory=set)
    costs: Counter[str] = field(default_factory=Counter)
    """Wei paid for gas, on all shards together."""
    logs: dict[int, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    """Of contracts, by shard, in the order of the chain."""

    @property
    def messages(self) -> list[Message]:
        return [message for lane in self.sent.values() for message in lane]

    @classmethod
    def read(cls, network: Network) -> "History":
        """From the genesis on. Nothing may be under way."""
        history = cls()
        arrivals = {shard: history._read_shard(network, shard) for shard in network.shard_ids}
        by_id = {message.id: message for message in history.messages}
        for shard, done in ((s, d) for s, receipts in arrivals.items() for d in receipts):
            message = by_id[bytes.fromhex(done["transactionHash"][2:])]
            assert message.dst == shard
            assert message.id not in history.outcomes, f"{message} was delivered twice"
            history.delivered[message.src, shard].append(message.id)
            delivery = Delivery(
                shard=shard,
                height=int(done["blockNumber"], 16),
                ok=done["status"] == "0x1",
                gas_used=int(done["gasUsed"], 16),
            )
            history.outcomes[message.id] = delivery
            origin = "0x" + message.origin_tx.hex()
            history.costs[origin] += delivery.gas_used * message.gas_price
        return history

    def _read_shard(self, network: Network, shard: int) -> list[dict[str, Any]]:
        """Take in what users and contracts did there; the receipts of its arrivals."""
        endpoint = network.shard(shard).rpc
        heights = range(1, int(call(endpoint, "eth_blockNumber"), 16) + 1)
        arrivals = []
        for block in call_many(endpoint, [("eth_getBlockReceipts", [hex(n)]) for n in heights]):
            for done in block:
                kind = int(done["type"], 16)
                if kind == ARRIVAL:
                    arrivals.append(done)
                elif kind < ARRIVAL:
                    self._read_transaction(done)
                self._read_logs(shard, done["logs"])
        return arrivals

    def _read_transaction(self, done: dict[str, Any]) -> None:
        name = done["transactionHash"]
        self.included[name] += 1
        self.costs[name] += int(done["gasUsed"], 16) * int(done["effectiveGasPrice"], 16)
        if done["status"] != "0x1":
            self.reverted.add(name)

    def _read_logs(self, shard: int, logs: list[dict[str, Any]]) -> None:
        for log in logs:
            topics = tuple(bytes.fromhex(topic[2:]) for topic in log["topics"])
            if is_sent(bytes.fromhex(log["address"][2:]), topics):
                message = decode_sent(bytes.fromhex(log["data"][2:]))
                assert message.src == shard
                assert sent_topics(message) == topics
                self.sent[shard, message.dst].append(message)
            else:
                self.logs[shard].append(log)

    # ------------------------------------------------------------------ what must hold of any history

    def check(self) -> None:
        """Each message was delivered once, in the order of its lane, and each call that asked for an answer
        has one."""
        assert set(self.delivered) <= set(self.sent)
        for lane, sent in self.sent.items():
            assert [message.seq for message in sent] == list(range(len(sent))), lane
            assert [message.id for message in sent] == self.delivered[lane], lane
        self._check_answers()

    def _check_answers(self) -> None:
        asked = {
            message.id: message
            for message in self.messages
            if message.kind is MessageKind.CALL and message.callback and not message.depth
        }
        replies = [message for message in self.messages if message.kind is MessageKind.REPLY]
        assert Counter(reply.in_reply_to for reply in replies) == Counter(list(asked))
        for reply in replies:
            request = asked[reply.in_reply_to]
            ok = self.outcomes[request.id].ok
            assert (reply.sender, reply.to) == (request.to, request.sender)
            assert (reply.gas, reply.value) == (request.reply_gas, 0 if ok else request.value)

    def summary(self) -> str:
        """How many of which kind, with which outcome."""
        counts = Counter(
            f"{message.kind.name} {'ok' if self.outcomes[message.id].ok else 'failed'}"
            for message in self.messages
        )
        lanes = [len(sent) for sent in self.sent.values()]
        return (
            f"{sum(lanes)} messages on {len(lanes)} lanes of {min(lanes)} to {max(lanes)}: "
            + ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))
        )
