"""A node that shows others what nobody has decided: blocks, crosslinks, evidence and bodies of its own making.

All faulty nodes pool their keys, which are less than a third of the stake of each committee, though often
more than two thirds of its heads. Nothing of what is made here may ever be believed by an honest node, nor
end one; `simnet/observer.py` and `net.py` see what is believed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from consensus.effects import SendVote
from consensus.evidence import Evidence, make_evidence
from consensus.types import Address, BlockId, Certificate, Height, Round, VoteType
from node.beacon.block import BeaconBlock
from node.beacon.evidence import DoubleSigning, ShardFork
from node.beacon.validators import BEACON_CHAIN
from node.chains.shard_app import decode_value, encode_value
from node.primitives.basics import Hash32, ShardId
from node.primitives.crosslink import Crosslink
from node.primitives.requests import InboxMove, OutboxMove, ShardRequests
from tests.simulation.simnet.forgery import FIRST, Forgers, can_travel
from tests.simulation.simnet.scheme import Packet, key_of, sign
from tests.simulation.simnet.signatures import make_vote

if TYPE_CHECKING:
    from tests.simulation.devnet.chains import BlockHost, DevnetChain
    from tests.simulation.devnet.node import Node

FORGE_EVERY = 0.1
"""Seconds between two forgeries of a node, times the scale."""


class Forger:
    """What a faulty node forges in one life. Each deed is chosen by the dice of the network."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.net = node.net
        self.count = 0
        faulty = [other for other in node.net.nodes if other.faulty]
        self.keys = {Address(other.address): other.key for other in faulty}
        self.deeds: tuple[Callable[[], None], ...] = (
            self.decide_a_block,
            self.decide_a_beacon_block,
            self.change_a_body,
            self.crosslink_a_block,
            self.crosslink_another_shard,
            self.change_a_crosslink,
            self.accuse_of_double_signing,
            self.accuse_of_a_fork,
        )

    def forge(self) -> None:
        """Do one of the deeds, while there are faults."""
        if not self.net.network.healed:
            self.pick("deed", self.deeds)()

    def pick(self, what: str, options: Iterable[Any]) -> Any:
        """One of the options."""
        self.count += 1
        name = f"forged {what} {self.count} of {self.node.index} life {self.node.lives}"
        return self.net.network.dice.choice(name, list(options))

    # ------------------------------------------------------------------ blocks

    def decide_a_block(self) -> None:
        """A block of our shard, decided by us alone."""
        self._decide(self.node.shard_host)

    def decide_a_beacon_block(self) -> None:
        """The same on the beacon."""
        self._decide(self.node.beacon_host)

    def _decide(self, host: BlockHost) -> None:
        height = Height(len(host.chain) + 1)
        block = host.build(height)
        certificate = self._certificate(host.world, height, block.id)
        if certificate is None:
            return
        if self.pick("second lie", (False, False, True)):  # the words of another block
            certificate = replace(certificate, block_id=BlockId(block.parent))
        self._show(host, certificate, block)

    def change_a_body(self) -> None:
        """A decided block with its true certificate and another body."""
        host = self.pick("chain", self.node.hosts)
        if not host.chain:
            return
        block, certificate = self.pick("block", host.chain[-3:])
        raw = self._another_body(host, block.raw)
        if raw is not None:
            self._show(host, certificate, replace(block, raw=raw))

    def _another_body(self, host: BlockHost, raw: bytes) -> bytes | None:
        """Under the same header."""
        if host is self.node.beacon_host:
            block = BeaconBlock.decode(raw)
            others = [b for b, _ in host.chain if b.raw != raw]
            body = BeaconBlock.decode(self.pick("body", others).raw).body if others else None
            if body is None or body == block.body:
                return None
            return replace(block, body=body).encoded
        shard_block, tails = decode_value(raw)
        items = shard_block.items
        if items and self.pick("item", (True, False)):
            return encode_value(replace(shard_block, items=items[1:]), tails)
        return encode_value(replace(shard_block, items=(*items, *items[:1], b"\x7d\xc0")), tails)

    def _show(self, host: BlockHost, certificate: Certificate, block: object) -> None:
        """To everybody who follows the chain."""
        if not can_travel(certificate):
            return
        # not `world.packet`: that keeps one packet for each message, and the message may be a true one
        packet = Packet(host.world.context, certificate, block)  # type: ignore[arg-type]
        self.net.stats["forged blocks"] += 1
        for index in host.world.indexes:
            if index != self.node.index:
                host.world.send(self.node.index, index, packet)

    def _certificate(
        self, chain: DevnetChain, height: Height, block: BlockId, round: Round = FIRST
    ) -> Certificate | None:
        """One that less than a quorum can make, of a chain whose committee at that height is known."""
        if (members := chain.set_of(height)) is None:
            return None
        forgers = Forgers(
            context=chain.context,
            validators=members,
            keys=frozenset(a for a in self.keys if a in members),
            sign=lambda who, words: sign(key_of(who), words),
            real=[c for host in self.node.hosts for _, c in host.chain[-2:]],
        )
        _, certificate = self.pick("certificate", forgers.forged(height, block, round))
        return certificate if can_travel(certificate) else None

    # ------------------------------------------------------------------ crosslinks

    def crosslink_a_block(self) -> None:
        """A block of ours that our shard has not decided, for the beacon."""
        host = self.node.shard_host
        height = len(host.chain) + 1
        block = decode_value(host.build(Height(height)).raw)[0]
        self._crosslink(self.node.home, replace(block.header), ShardRequests())

    def crosslink_another_shard(self) -> None:
        """A block that another shard never made, with messages, after its tip."""
        shard = self.pick("shard", self.net.ids)
        state = self.node.beacon.ledger.state
        tip = state.tip(shard)
        other = ShardId((shard + 1) % len(self.net.ids))
        lane, back = state.lane(shard, other), state.lane(other, shard)
        head = Hash32(bytes([self.count % 256]) * 32)
        requests = self.pick(
            "requests",
            (
                ShardRequests(
                    outbox=(
                        OutboxMove(
                            dst=other,
                            count=lane.last + 1,
                            head=head,
                            gas=0,
                            wei=lane.sent_wei,
                            asked=lane.last + 1,
                        ),
                    )
                ),
                ShardRequests(
                    inbox=(
                        InboxMove(
                            src=other,
                            count=back.last + 1,
                            gas=0,
                            wei=back.consumed_wei,
                            asked=back.consumed_asked,
                        ),
                    )
                ),
                ShardRequests(),
            ),
        )
        header = replace(
            tip.header,
            number=tip.height + 1,
            parent_hash=tip.hash,
            parent_beacon_block_root=self.node.beacon.ledger.head.hash,
            requests_hash=requests.hash,
        )
        self._crosslink(shard, header, requests)

    def _crosslink(self, shard: ShardId, header: Any, requests: ShardRequests) -> None:
        chain = self.net.shards[shard]
        block = BlockId(header.hash)
        certificate = self._certificate(chain, Height(header.number), block)
        if certificate is not None:
            self._tell(
                Crosslink(shard=shard, header=header, requests=requests, certificate=certificate)
            )

    def change_a_crosslink(self) -> None:
        """A real one of our shard that says something else than was decided."""
        shard, height = self.node.home, self.node.shard.head_height()
        if not height:
            return
        real = self.node.publisher._crosslink(
            self.pick("height", range(max(1, height - 3), height + 1))
        )
        other = ShardId((shard + 1) % len(self.net.ids))
        move = OutboxMove(dst=other, count=10**6, head=Hash32(b"\1" * 32), gas=0, wei=0, asked=0)
        self._tell(
            self.pick(
                "change",
                (
                    replace(real, shard=other),
                    replace(real, requests=ShardRequests(outbox=(move,))),
                    replace(real, header=replace(real.header, state_root=Hash32(b"\2" * 32))),
                    replace(real, header=replace(real.header, number=real.header.number + 1)),
                ),
            )
        )

    def _tell(self, crosslink: Crosslink) -> None:
        self.net.stats["forged crosslinks"] += 1
        self.node._to_beacon("forged crosslink", self.node._crosslink_at, crosslink.encoded)

    # ------------------------------------------------------------------ evidence

    def accuse_of_double_signing(self) -> None:
        """Somebody who did not: with signatures of ours, of its own for another place, or of nobody."""
        chain = self.pick("accused on", (self.net.beacon, *self.net.shards))
        victim = self.pick("victim", [n for n in self.net.nodes if not n.faulty])
        host = chain.hosts.get(victim.index)
        if host is None:
            return
        height = Height(max(1, len(host.chain)))
        ours = self.pick("forging key", list(self.keys.values()))
        pair = []
        for block in (bytes([1]) * 32, bytes([2]) * 32):
            asked = SendVote(
                type=VoteType.PRECOMMIT, height=height, round=Round(0), block_id=BlockId(block)
            )
            forged = make_vote(chain.context, ours, asked)
            pair.append(replace(forged, validator=Address(victim.address)))
        real = self._real_precommit(host, Address(victim.address))
        if real is not None and self.pick("half true", (True, False)):
            pair = [real, replace(real, block_id=BlockId(b"\3" * 32))]
            if self.pick("of another chain", (True, False)):
                chain = self.pick("wrong chain", (self.net.beacon, *self.net.shards))
        self._accuse(DoubleSigning(chain=self._number(chain), evidence=self._evidence(pair)))

    def _evidence(self, pair: list[Any]) -> Evidence:
        return make_evidence(*pair)

    def _real_precommit(self, host: BlockHost, who: Address) -> Any:
        """One that the victim made, out of a certificate."""
        for _, certificate in reversed(host.chain[-3:]):
            members = host.world.set_of(certificate.height)
            index = members.index_of(who) if members is not None else None
            if index is not None and certificate.signers >> index & 1:
                place = (certificate.signers & ((1 << index) - 1)).bit_count()
                asked = SendVote(
                    type=VoteType.PRECOMMIT,
                    height=certificate.height,
                    round=certificate.round,
                    block_id=certificate.block_id,
                )
                made = make_vote(host.world.context, self.node.key, asked)
                return replace(made, validator=who, signature=certificate.signatures[place])
        return None

    def accuse_of_a_fork(self) -> None:
        """A shard that did not fork: a real certificate, and one that we make; or two that we make."""
        shard = self.pick("forked shard", self.net.ids)
        chain = self.net.shards[shard]
        heights = sorted(chain.observer.blocks)
        if not heights:
            return
        height = Height(self.pick("forked height", heights[-3:]))
        host = next((h for h in chain.hosts.values() if len(h.chain) >= height), None)
        rival = BlockId(b"\4" * 32)
        second = self._certificate(
            chain, height, rival, self.pick("forked round", map(Round, (0, 1)))
        )
        if host is None or second is None:
            return
        first = host.chain[height - 1][1]
        if self.pick("true half", (True, False)):
            made = self._certificate(chain, height, BlockId(b"\5" * 32))
            first = first if made is None else made
        one, other = sorted((first, second), key=lambda c: (c.round, c.block_id))
        if one.height == other.height and one.block_id != other.block_id:
            self._accuse(ShardFork(shard=shard, first=one, second=other))

    def _number(self, chain: DevnetChain) -> int:
        if chain is self.net.beacon:
            return BEACON_CHAIN
        return self.net.shards.index(chain)  # type: ignore[arg-type]

    def _accuse(self, item: DoubleSigning | ShardFork) -> None:
        self.net.stats["forged evidence"] += 1
        self.node._to_beacon("forged evidence", self.node._evidence_at, item.encoded)
