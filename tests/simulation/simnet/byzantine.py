"""Faulty participants: honest nodes that deviate in one or more ways.

Each way is a :class:`Deviation`, which changes what is about to be sent or acts on what is heard: it stands
between the node and the network. The node's own driver goes on with what it would have sent honestly, so that
it stays in the middle of things.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from consensus.effects import SendProposal, SendVote
from consensus.types import BlockId, Certificate, Height, Proposal, Round, Vote, VoteType
from node.wire import ProposalMessage
from tests.simulation.simnet.disk import Disk
from tests.simulation.simnet.host import Died, Host
from tests.simulation.simnet.scenario import Behaviour
from tests.simulation.simnet.scheme import Block, Packet, address, sign
from tests.simulation.simnet.signatures import (
    CarelessSigner,
    Place,
    WatchedSigner,
    make_proposal,
    make_vote,
)

if TYPE_CHECKING:
    from tests.simulation.simnet.chain import Chain

REPLAYED = 64
"""Old packets that a replayer keeps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One of the messages that a faulty node makes of an effect, and for whom. None is everybody."""

    block_id: BlockId | None
    to: frozenset[int] | None
    round: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposing:
    """The same for a proposal. The first of several is also what is said again later."""

    effect: SendProposal
    block: Block
    to: frozenset[int] | None


class ByzantineHost(Host):
    """A faulty participant. Its key may sign anything, unless all it does is lose its log."""

    byzantine = True

    def __init__(
        self, world: Chain[Any], index: int, key: int, disk: Disk, behaviours: frozenset[Behaviour]
    ) -> None:
        super().__init__(world, index, key, disk)
        self.deviate(behaviours)

    def deviate(self, behaviours: frozenset[Behaviour]) -> None:
        """Take on these ways."""
        self.obeys_record = behaviours == {Behaviour.LOSES_LOG}
        ordered = [behaviour for behaviour in Behaviour if behaviour in behaviours]
        self.deviations = [DEVIATIONS[behaviour](self) for behaviour in ordered]
        self.counter = 0

    def draw(self, what: str) -> float:
        """A number in [0, 1) for the next decision of this node."""
        self.counter += 1
        return self.world.dice.unit(f"{what} of {self.index}, number {self.counter}")

    def some(self, what: str) -> frozenset[int]:
        """About half of the nodes."""
        self.counter += 1
        name = f"{what} of {self.index}, number {self.counter}"
        mask = int(self.world.dice.unit(name) * 2**30)
        return frozenset(i for i in self.world.indexes if mask >> i & 1)

    # What an honest node is held to is not asserted here.

    def watch(self) -> None:
        """Faulty nodes may be in any state."""

    def check_recorded(self, signed: Vote | Proposal) -> None:
        """Faulty nodes may record anything."""

    def note_decision(self, certificate: Certificate, block: Block) -> None:
        """Faulty nodes may decide anything."""

    def note_signature(
        self, place: Place, content: object, lock: tuple[int, int] | None = None
    ) -> None:
        """Only a node that keeps its last-signed record is held to it."""
        if self.obeys_record:
            self.world.observer.signs(self.key, place, content)

    def make_signer(self) -> WatchedSigner:
        """One that signs everything, unless the record is obeyed."""
        if self.obeys_record:
            return super().make_signer()
        return CarelessSigner(self.key, self.world.context, self.disk, self.signed)

    def before_life(self) -> None:
        """Start with what the deviations leave of the disk."""
        self.said: set[Vote] = set()
        self.proposed: dict[Proposal, Packet] = {}
        for deviation in self.deviations:
            deviation.boots()

    def handle(self, sender: int, packet: Packet) -> None:
        """Let the deviations hear it, too."""
        if any(deviation.is_deaf_to(sender) for deviation in self.deviations):
            return
        for deviation in self.deviations:
            deviation.hears(packet)
        super().handle(sender, packet)

    def send(self, message: ProposalMessage | Vote) -> None:
        """Send what the deviations make of a message of ours; what is said again is said as it is."""
        self.note_sent(message)
        if isinstance(message, Vote):
            if message.validator != self.address or message in self.said:
                self.broadcast(self.packet(message))
            else:
                self.said.add(message)
                self._say(message)
        elif message.proposal.proposer != self.address:
            self.broadcast(self.packet(message))
        elif message.proposal in self.proposed:
            self.broadcast(self.proposed[message.proposal])
        else:
            self._propose(message)

    def _say(self, vote: Vote) -> None:
        effect = SendVote(
            type=vote.type, height=vote.height, round=vote.round, block_id=vote.block_id
        )
        plan = [Outgoing(block_id=vote.block_id, to=None, round=vote.round, height=vote.height)]
        for deviation in self.deviations:
            plan = deviation.votes(effect, plan)
        for out in plan:
            self.say(vote.type, out)

    def say(self, type: VoteType, out: Outgoing) -> None:
        """Sign and send a vote, whatever was signed before."""
        asked = SendVote(
            type=type, height=Height(out.height), round=Round(out.round), block_id=out.block_id
        )
        self.broadcast(self.world.packet(make_vote(self.world.context, self.key, asked)), out.to)

    def _propose(self, message: ProposalMessage) -> None:
        said, block = message.proposal, self.read(message.value)
        effect = SendProposal(
            height=said.height, round=said.round, block_id=said.block_id, pol_round=said.pol_round
        )
        plan = [Proposing(effect=effect, block=block, to=None)]
        for deviation in self.deviations:
            plan = deviation.proposals(plan[0], plan)
        for number, out in enumerate(plan):
            proposal = make_proposal(self.world.context, self.key, out.effect)
            packet = self.world.packet(proposal, out.block)
            if number == 0:
                self.proposed[said] = packet
            self.broadcast(packet, out.to)


class Deviation:
    """A way to be faulty; this base deviates in nothing."""

    def __init__(self, host: ByzantineHost) -> None:
        self.host = host

    def votes(self, effect: SendVote, plan: list[Outgoing]) -> list[Outgoing]:
        """What is sent instead of the plan for a vote."""
        return plan

    def proposals(self, honest: Proposing, plan: list[Proposing]) -> list[Proposing]:
        """What is sent instead of the plan for a proposal."""
        return plan

    def hears(self, packet: Packet) -> None:
        """A packet comes in."""

    def is_deaf_to(self, sender: int) -> bool:
        """Whether packets of a sender are not heard."""
        return False

    def boots(self) -> None:
        """The process starts, before it reads its log."""


class EquivocatingProposer(Deviation):
    """One block for about half of the nodes, another for about half."""

    def proposals(self, honest: Proposing, plan: list[Proposing]) -> list[Proposing]:
        """See :class:`Deviation`."""
        other = self.host.build(honest.effect.height)
        some = self.host.some("dupes")
        rest = frozenset(self.host.world.indexes) - some
        effect = replace(honest.effect, block_id=other.id, pol_round=-1)
        return [replace(honest, to=some), Proposing(effect=effect, block=other, to=rest)]


class DoubleVoter(Deviation):
    """The honest vote for some, another for others; they overlap."""

    def __init__(self, host: ByzantineHost) -> None:
        super().__init__(host)
        self.seen: dict[tuple[int, int], list[BlockId]] = {}

    def hears(self, packet: Packet) -> None:
        """Remember what could be voted for."""
        if isinstance(packet.message, Proposal):
            place = (packet.message.height, packet.message.round)
            self.seen.setdefault(place, []).append(packet.message.block_id)

    def votes(self, effect: SendVote, plan: list[Outgoing]) -> list[Outgoing]:
        """See :class:`Deviation`."""
        host = self.host
        known: list[BlockId | None] = [None]
        known += self.seen.get((effect.height, effect.round), [])
        others = [block_id for block_id in known if block_id != effect.block_id]
        honest = replace(plan[0], to=host.some("told the truth"))
        if not others:
            return [honest]
        lie = others[int(host.draw("lie") * len(others))]
        return [honest, replace(plan[0], block_id=lie, to=host.some("told a lie"))]


class Echo(Deviation):
    """Every vote it hears of, it casts as well, for some nodes."""

    def __init__(self, host: ByzantineHost) -> None:
        super().__init__(host)
        self.echoed: set[tuple[VoteType, int, int, BlockId | None]] = set()

    def hears(self, packet: Packet) -> None:
        """See :class:`Deviation`."""
        heard, host = packet.message, self.host
        if not isinstance(heard, Vote) or heard.height != host.engine.height:
            return
        subject = (heard.type, heard.height, heard.round, heard.block_id)
        if subject not in self.echoed:
            self.echoed.add(subject)
            out = Outgoing(
                block_id=heard.block_id,
                to=host.some("hearers of the echo"),
                round=heard.round,
                height=heard.height,
            )
            host.say(heard.type, out)


class Twin(Deviation):
    """One of two nodes with a key, each of them honest, that hear different parts of the network."""

    def is_deaf_to(self, sender: int) -> bool:
        """See :class:`Deviation`."""
        return self.host.world.dice.unit(f"twin {self.host.index} hears {sender}") < 0.3


class Withholder(Deviation):
    """Most of its votes stay at home."""

    def votes(self, effect: SendVote, plan: list[Outgoing]) -> list[Outgoing]:
        """See :class:`Deviation`."""
        if self.host.draw("withheld") < 0.6:
            return []
        return [replace(out, to=self.host.some("the favoured")) for out in plan]


class NilVoter(Deviation):
    """Votes for nothing."""

    def votes(self, effect: SendVote, plan: list[Outgoing]) -> list[Outgoing]:
        """See :class:`Deviation`."""
        return [replace(out, block_id=None) for out in plan]


class Spammer(Deviation):
    """Votes for rounds and heights that are over or far off, and votes with forged signatures."""

    def votes(self, effect: SendVote, plan: list[Outgoing]) -> list[Outgoing]:
        """See :class:`Deviation`."""
        host = self.host
        base = Outgoing(block_id=effect.block_id, to=None, round=effect.round, height=effect.height)
        spread = int(host.draw("spread") * 8)
        spam = [
            replace(base, round=max(0, effect.round - spread)),
            replace(base, round=effect.round + 1 + spread),
            replace(base, round=2**31 - 1 - spread),
            replace(base, height=effect.height + 1 + spread),
            replace(base, height=max(1, effect.height - 1)),
        ]
        keys = host.world.keys
        victim = keys[int(host.draw("victim") * len(keys))]
        forged = Vote(
            type=effect.type,
            height=effect.height,
            round=effect.round,
            block_id=None,
            validator=address(victim),
            signature=sign(host.key, b"forged"),
        )
        if victim != host.key:
            host.broadcast(host.world.packet(forged))
        return plan + spam


class InvalidProposer(Deviation):
    """Proposes what nobody must accept, and prevotes and precommits it."""

    bad: BlockId | None = None

    def proposals(self, honest: Proposing, plan: list[Proposing]) -> list[Proposing]:
        """See :class:`Deviation`."""
        block = self.host.build(honest.effect.height, good=False)
        self.bad = block.id
        effect = replace(honest.effect, block_id=block.id, pol_round=-1)
        return [Proposing(effect=effect, block=block, to=None)]

    def votes(self, effect: SendVote, plan: list[Outgoing]) -> list[Outgoing]:
        """See :class:`Deviation`."""
        return plan if self.bad is None else [replace(out, block_id=self.bad) for out in plan]


class Replayer(Deviation):
    """Sends again what anybody sent some time ago."""

    def __init__(self, host: ByzantineHost) -> None:
        super().__init__(host)
        self.kept: deque[Packet] = deque(maxlen=REPLAYED)

    def hears(self, packet: Packet) -> None:
        """Remember it."""
        self.kept.append(packet)

    def votes(self, effect: SendVote, plan: list[Outgoing]) -> list[Outgoing]:
        """See :class:`Deviation`."""
        for _ in range(3):
            if self.kept:
                old = self.kept[int(self.host.draw("replayed") * len(self.kept))]
                self.host.broadcast(old, self.host.some("hearers of old news"))
        return plan


class Amnesiac(Deviation):
    """Dies often, and comes back knowing nothing."""

    def boots(self) -> None:
        """See :class:`Deviation`."""
        self.host.disk.wipe()

    def votes(self, effect: SendVote, plan: list[Outgoing]) -> list[Outgoing]:
        """See :class:`Deviation`."""
        host = self.host
        if host.world.now < host.world.scenario.heal_at and host.draw("stroke") < 0.1:
            raise Died
        return plan


class LosesLog(Deviation):
    """Its log is lost at every restart; its last-signed record keeps it honest."""

    def boots(self) -> None:
        """See :class:`Deviation`."""
        self.host.disk.lose_log()

    def votes(self, effect: SendVote, plan: list[Outgoing]) -> list[Outgoing]:
        """See :class:`Deviation`."""
        host = self.host
        if host.world.now < host.world.scenario.heal_at and host.draw("stroke") < 0.1:
            raise Died
        return plan


class Latecomer(Deviation):
    """Votes honestly, and for something else when the others have probably decided."""

    def votes(self, effect: SendVote, plan: list[Outgoing]) -> list[Outgoing]:
        """See :class:`Deviation`."""
        host = self.host
        other = host.build(effect.height).id if effect.block_id is None else None
        out = Outgoing(block_id=other, to=None, round=effect.round, height=effect.height)
        pause = (0.5 + 2.0 * host.draw("late")) * host.scale
        host.world.at(pause, host.in_this_life(lambda: host.say(effect.type, out)))
        return plan


DEVIATIONS: dict[Behaviour, Callable[[ByzantineHost], Deviation]] = {
    Behaviour.EQUIVOCATING_PROPOSER: EquivocatingProposer,
    Behaviour.DOUBLE_VOTER: DoubleVoter,
    Behaviour.ECHO: Echo,
    Behaviour.TWIN: Twin,
    Behaviour.WITHHOLDER: Withholder,
    Behaviour.NIL_VOTER: NilVoter,
    Behaviour.SPAMMER: Spammer,
    Behaviour.INVALID_PROPOSER: InvalidProposer,
    Behaviour.REPLAYER: Replayer,
    Behaviour.AMNESIAC: Amnesiac,
    Behaviour.LOSES_LOG: LosesLog,
    Behaviour.LATECOMER: Latecomer,
}
