"""The chains of the network, and their hosts: engines whose values are real blocks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Coroutine
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from consensus import (
    BlockId,
    Certificate,
    Decided,
    Evidence,
    Height,
    Proposal,
    ProposalReceived,
    StartHeight,
)
from consensus.types import NO_ROUND, ChainContext, ValidatorSet
from node.beacon.block import BeaconBlock
from node.chains.shard_app import decode_value, encode_value
from node.engine.application import Application, NotReady, judge
from node.primitives.basics import Hash32
from node.primitives.errors import DecodeError, InvalidBlock
from tests.simulation.simnet.byzantine import ByzantineHost
from tests.simulation.simnet.chain import Chain
from tests.simulation.simnet.disk import Disk
from tests.simulation.simnet.host import Host
from tests.simulation.simnet.network import Network
from tests.simulation.simnet.observer import Violation
from tests.simulation.simnet.scenario import Behaviour

if TYPE_CHECKING:
    from tests.simulation.devnet.node import Node

T = TypeVar("T")

INTERVAL = 0.3
"""Seconds from a decision to the next height, if there is work, times the scale."""
HEARTBEAT = 3.0
"""The same without work."""
RETRY = 0.1
"""Seconds after which a block is looked at again whose anchor is not here, times the scale."""
RETRIES = 4
"""How often a proposal is, before it gets a prevote for nil."""


def drive(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that has nothing to wait for."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    coroutine.close()
    raise AssertionError("it waits for something, and there is no event loop")


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A proposed block: what ``simnet.scheme.Block`` is there, with its bytes.

    ``anchor`` is the beacon block without which it cannot be judged.
    """

    height: int
    parent: BlockId
    id: BlockId
    good: bool
    anchor: Hash32 | None = None
    raw: bytes = field(repr=False)


class DevnetChain(Chain):
    """The beacon, or a shard; ``first`` is the id of its genesis block."""

    def __init__(
        self, network: Network, context: ChainContext, first: BlockId, audience: frozenset[int]
    ) -> None:
        super().__init__(network, context, context.tag.decode() + " ")
        self.first = first
        self._audience = sorted(audience)
        self._sets: dict[int, ValidatorSet] = {}

    @property
    def audience(self) -> Collection[int]:
        """Those who may have a seat; decided blocks are pushed to the others."""
        return self._audience

    @property
    def keys(self) -> list[int]:
        """Of those who may have a seat."""
        return [self.hosts[index].key for index in self._audience]

    def validators(self, height: int) -> ValidatorSet:
        """The set of a height that some node has begun."""
        return self._sets[height]

    def set_of(self, height: int) -> ValidatorSet | None:
        """The same, None if nobody has begun it."""
        return self._sets.get(height)

    def start_height(self, height: Height, key: int) -> StartHeight:
        """Hosts have their own."""
        raise NotImplementedError

    def enter(self, height: int, members: ValidatorSet) -> None:
        """A node begins a height with this set: all have to agree on it."""
        if self._sets.setdefault(height, members) != members:
            raise Violation("committee", f"{self.name}two committees of height {height}")

    @abstractmethod
    def app(self, node: Node) -> Application:
        """What a node makes and judges blocks with."""

    @abstractmethod
    def value(self, raw: bytes, *, good: bool = True) -> Value:
        """A block from its bytes."""

    @abstractmethod
    def spoil(self, raw: bytes) -> bytes:
        """Another block, with a wrong state root."""


class BeaconNetChain(DevnetChain):
    """The beacon chain, which all nodes follow."""

    def app(self, node: Node) -> Application:
        """See :class:`DevnetChain`."""
        return node.beacon

    def value(self, raw: bytes, *, good: bool = True) -> Value:
        """See :class:`DevnetChain`."""
        header = BeaconBlock.decode(raw).header
        id, parent = BlockId(header.hash), BlockId(header.parent)
        return Value(height=header.height, parent=parent, id=id, good=good, raw=raw)

    def spoil(self, raw: bytes) -> bytes:
        """See :class:`DevnetChain`."""
        block = BeaconBlock.decode(raw)
        return replace(block, header=replace(block.header, state_root=Hash32(b"\1" * 32))).encoded


class ShardNetChain(DevnetChain):
    """A shard's chain, on the nodes of the shard."""

    def app(self, node: Node) -> Application:
        """See :class:`DevnetChain`."""
        return node.shard

    def value(self, raw: bytes, *, good: bool = True) -> Value:
        """See :class:`DevnetChain`."""
        header = decode_value(raw)[0].header
        id, parent = BlockId(header.hash), BlockId(header.parent_hash)
        anchor = header.parent_beacon_block_root
        return Value(height=header.number, parent=parent, id=id, good=good, anchor=anchor, raw=raw)

    def spoil(self, raw: bytes) -> bytes:
        """See :class:`DevnetChain`."""
        block, tails = decode_value(raw)
        bad = replace(block.header, state_root=Hash32(b"\1" * 32))
        return encode_value(replace(block, header=bad), tails)


class BlockHost(Host):
    """The host of one chain at a node, which lives and dies with the node."""

    world: DevnetChain

    def __init__(self, node: Node, world: DevnetChain, disk: Disk) -> None:
        super().__init__(world, node.index, node.key, disk)
        self.node = node
        self.valid: set[BlockId] = set()
        self.has_seat = False
        self.decided_at = 0.0

    @property
    def app(self) -> Application:
        """Of this life."""
        return self.world.app(self.node)

    # ------------------------------------------------------------------ life

    def boot(self) -> None:
        """The whole node starts."""
        self.node.boot()

    def die(self) -> None:
        """The whole node dies."""
        self.node.die()

    def start_process(self) -> None:
        """Our part of it."""
        self.valid.clear()
        self._between_heights()
        super().boot()

    def end_process(self) -> None:
        """Our part of it."""
        super().die()

    def wake(self) -> None:
        """There may be work."""
        self.world.at(0.0, self.in_this_life(lambda: None))

    def _between_heights(self) -> None:
        self.has_seat = self.address in self.app.validators()
        self.decided_at = self.world.now
        for pause in (INTERVAL / 2, INTERVAL, HEARTBEAT):
            self.world.at(pause * self.scale, self.in_this_life(lambda: None))

    # ------------------------------------------------------------------ heights

    def tip(self) -> BlockId:
        """The id of the last decided block."""
        return self.chain[-1][0].id if self.chain else self.world.first

    def may_start(self) -> bool:
        """As a node does it: at once if others have begun, soon if there is work, or in the end.

        Who has no seat begins at once: it only listens."""
        height, world = len(self.chain), self.world
        if height < (self.engine.height or 0):
            return False
        if not self.has_seat:
            return True
        passed = (world.now - self.decided_at) / self.scale + 1e-9
        if any(packet.message.height == height + 1 for _, packet in self.early):
            return passed >= INTERVAL / 2
        return passed >= HEARTBEAT or (passed >= INTERVAL and self.app.has_work())

    def start_input(self, height: Height) -> StartHeight:
        """With the committee that our chain says.

        A log is also shortened at a height that others have decided and we have synced meanwhile.
        """
        if height <= len(self.chain):
            members = self.world.validators(height)
        else:
            members = self.app.validators()
            self.world.enter(height, members)
        me = self.address if self.address in members else None
        return StartHeight(height=height, validators=members, me=me)

    # ------------------------------------------------------------------ blocks

    def build(self, height: Height, *, good: bool = True) -> Any:
        """A block on our head, durable. A faulty node builds another one each time."""
        self.builds += 1
        self.node.clock_ahead = self.builds % 5 if self.byzantine else 0
        _, raw = drive(self.app.build())
        self.node.clock_ahead = 0
        value = self.world.value(raw if good else self.world.spoil(raw), good=good)
        self.blocks[value.id] = value  # type: ignore[assignment]
        if good:
            self.valid.add(value.id)
        return value

    def is_ready(self, value: Value) -> bool:
        """Whether the beacon block that it is anchored to is here."""
        known = self.node.beacon.ledger.height_of
        return value.anchor is None or known(value.anchor) is not None

    def judge(self, block: Any, *, decided: bool = False) -> bool:
        """Whether a block is valid."""
        app = self.app
        if block.id in self.valid and self.blocks.get(block.id) == block:
            return True
        try:
            assert app.identify(block.raw) == block.id
            valid = drive(judge(app, block.raw, decided=decided)) == block.id
        except (InvalidBlock, DecodeError):
            return False
        self.valid.add(block.id)
        return valid

    def shown(self, certificate: Certificate, block: Any) -> None:
        """A decided block: kept only if it is what its certificate names, to the last byte, and valid.

        One whose anchor is not here yet is asked for again.
        """
        if block.id not in self.blocks:
            if not self.is_ready(block):
                return
            if not self.judge(block, decided=True):
                self.node.net.stats["bodies refused"] += 1
                return
        super().shown(certificate, block)

    def proposed(self, proposal: Proposal, block: Any, tries: int = RETRIES) -> None:
        """Judge a proposal, or wait a little for its anchor."""
        if proposal.height != self.engine.height:
            return
        if not self.is_ready(block) and tries:
            again = self.in_this_life(lambda: self.proposed(proposal, block, tries - 1))
            self.world.at(RETRY * self.scale, again)
            return
        valid = self.is_ready(block) and self.judge(block)
        if valid and proposal.pol_round == NO_ROUND:
            objection = self.app.objection(block.id)
            if objection is not None:
                self.node.net.stats["objections"] += 1
                valid = False
        self.step(ProposalReceived(proposal=proposal, valid=valid))

    # ------------------------------------------------------------------ decisions

    def decide(self, decided: Decided) -> None:
        """Commit a decision, once its anchor is here."""
        if decided.height <= len(self.chain):
            return
        if not self.is_ready(self.blocks[decided.block_id]):  # type: ignore[arg-type]
            again = self.in_this_life(lambda: self.decide(decided))
            self.world.at(RETRY * self.scale, again)
            return
        super().decide(decided)
        self._between_heights()

    def store(self, decided: Decided, block: Any) -> None:
        """Execute and commit it, and tell those who have no seat if it was ours."""
        deciders = self.world.validators(decided.height)
        try:
            drive(self.app.commit(block.id, block.raw, decided.certificate))
        except NotReady:
            raise
        except (InvalidBlock, DecodeError) as error:
            name = f"{self.world.name}{decided.height}"
            raise Violation("diverged", f"{name} was decided and is not valid: {error}") from error
        if deciders.proposer(decided.height, decided.round).address == self.address:
            packet = self.world.packet(decided.certificate, block)
            for index in self.world.indexes:
                if index not in self.world.audience:
                    self.world.send(self.index, index, packet)

    def found(self, evidence: Evidence) -> None:
        """A contradiction: it is for the beacon."""
        super().found(evidence)
        self.node.accuse(self.app.chain, evidence)


class FaultyBlockHost(ByzantineHost, BlockHost):
    """That of a node that deviates."""

    def __init__(
        self, node: Node, world: DevnetChain, disk: Disk, behaviours: frozenset[Behaviour]
    ) -> None:
        BlockHost.__init__(self, node, world, disk)
        self.deviate(behaviours)

    def found(self, evidence: Evidence) -> None:
        """It keeps it to itself."""
