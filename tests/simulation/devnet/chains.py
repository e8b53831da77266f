"""The chains of the network, and their hosts: engines whose values are real blocks."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Collection, Coroutine
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any, Protocol, TypeVar

from consensus.evidence import Evidence
from consensus.types import BlockId, Certificate, ChainContext, Height, ValidatorSet
from node.beacon.block import BeaconBlock, BeaconHeader
from node.chains.beacon_app import BeaconService
from node.chains.shard_app import ShardService, decode_value, encode_value
from node.engine.application import Application, NotReady, judge
from node.engine.effects import Judge
from node.engine.work_queue import Interrupted
from node.primitives.basics import Hash32
from node.primitives.errors import DecodeError, InvalidBlock
from node.primitives.header import Header
from tests.simulation.simnet.byzantine import ByzantineHost
from tests.simulation.simnet.chain import Chain
from tests.simulation.simnet.disk import Disk
from tests.simulation.simnet.host import Host
from tests.simulation.simnet.network import Network
from tests.simulation.simnet.observer import Violation
from tests.simulation.simnet.scenario import Behaviour

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


class Process(Protocol):
    """The node that a host is part of (see ``node.Node``), as the host sees it."""

    index: int
    key: int
    clock_ahead: int
    beacon: BeaconService
    shard: ShardService

    @property
    def stats(self) -> Counter[str]: ...

    def boot(self) -> None: ...

    def die(self) -> None: ...

    def accuse(self, chain: int, evidence: Evidence) -> None: ...


class DevnetChain(Chain["BlockHost"]):
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

    def enter(self, height: int, members: ValidatorSet) -> None:
        """A node begins a height with this set: all have to agree on it."""
        if self._sets.setdefault(height, members) != members:
            raise Violation("committee", f"{self.name}two committees of height {height}")

    @abstractmethod
    def app(self, node: Process) -> Application:
        """What a node makes and judges blocks with."""

    @abstractmethod
    def value(self, raw: bytes, *, good: bool = True) -> Value:
        """A block from its bytes."""

    @abstractmethod
    def spoil(self, raw: bytes) -> bytes:
        """Another block, with a wrong state root."""


@lru_cache(256)
def _beacon_header(raw: bytes) -> BeaconHeader:
    return BeaconBlock.decode(raw).header


@lru_cache(256)
def _shard_header(raw: bytes) -> Header:
    return decode_value(raw)[0].header


class BeaconNetChain(DevnetChain):
    """The beacon chain, which all nodes follow."""

    def app(self, node: Process) -> Application:
        """See :class:`DevnetChain`."""
        return node.beacon

    def value(self, raw: bytes, *, good: bool = True) -> Value:
        """See :class:`DevnetChain`."""
        header = _beacon_header(raw)
        id, parent = BlockId(header.hash), BlockId(header.parent)
        return Value(height=header.height, parent=parent, id=id, good=good, raw=raw)

    def spoil(self, raw: bytes) -> bytes:
        """See :class:`DevnetChain`."""
        block = BeaconBlock.decode(raw)
        return replace(block, header=replace(block.header, state_root=Hash32(b"\1" * 32))).encoded


class ShardNetChain(DevnetChain):
    """A shard's chain, on the nodes of the shard."""

    def app(self, node: Process) -> Application:
        """See :class:`DevnetChain`."""
        return node.shard

    def value(self, raw: bytes, *, good: bool = True) -> Value:
        """See :class:`DevnetChain`."""
        header = _shard_header(raw)
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

    def __init__(self, node: Process, world: DevnetChain, disk: Disk) -> None:
        super().__init__(world, node.index, node.key, disk)
        self.node = node
        self.valid: dict[BlockId, bytes] = {}
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

    def members(self) -> ValidatorSet:
        """The committee that our chain says."""
        return self.app.validators()

    def may_start(self) -> bool:
        """As a node does it: at once if others have begun, soon if there is work, or in the end.

        Who has no seat begins at once: it only listens."""
        height = len(self.chain) + 1
        if self.has_seat:
            passed = (self.world.now - self.decided_at) / self.scale + 1e-9
            if self.early.has(height):
                due = passed >= INTERVAL / 2
            else:
                due = passed >= HEARTBEAT or (passed >= INTERVAL and self.app.has_work())
            if not due:
                return False
        self.world.enter(height, self.members())
        return True

    # ------------------------------------------------------------------ blocks

    def read(self, value: bytes) -> Any:
        """The block with this value. Raises DecodeError."""
        return self.world.value(value)

    def identify(self, value: bytes) -> BlockId:
        """See `Application`."""
        return self.app.identify(value)

    def objection(self, block_id: BlockId) -> str | None:
        """See `Application`."""
        objection = self.app.objection(block_id)
        self.node.stats["objections"] += objection is not None
        return objection

    def build(self, height: Height, *, good: bool = True) -> Any:
        """A block on our head. A faulty node builds another one each time."""
        self.builds += 1
        self.node.clock_ahead = self.builds % 5 if self.byzantine else 0
        _, raw = drive(self.app.build())
        self.node.clock_ahead = 0
        value = self.world.value(raw if good else self.world.spoil(raw), good=good)
        if good:
            self.valid[value.id] = value.raw
        return value

    def is_ready(self, value: Value) -> bool:
        """Whether the beacon block that it is anchored to is here."""
        known = self.node.beacon.ledger.height_of
        return value.anchor is None or known(value.anchor) is not None

    def judge(self, block: Any, *, decided: bool = False) -> bool:
        """Whether a block is valid."""
        app = self.app
        if self.valid.get(block.id) == block.raw:
            return True
        try:
            assert app.identify(block.raw) == block.id
            valid = drive(judge(app, block.raw, decided=decided)) == block.id
        except (InvalidBlock, DecodeError):
            return False
        self.valid[block.id] = block.raw
        return valid

    def judge_soon(self, job: Judge, tries: int = RETRIES) -> None:
        """Judge a proposal, or wait a little for its anchor."""
        try:
            block = self.read(job.message.value)
        except DecodeError:
            self.execute(job, 0.0, lambda: self.verdict(job, valid=False))
            return
        if self.is_ready(block):
            self.execute(
                job,
                self.execution(job.message.proposal.block_id.hex()),
                lambda: self.verdict(job, valid=self.judge(block)),
            )
        elif tries:
            self.job = job
            again = partial(self.judge_again, job, tries - 1)
            self.world.at(RETRY * self.scale, self.in_this_life(again))
        else:
            self.execute(job, 0.0, lambda: self.verdict(job, valid=False))

    def judge_again(self, job: Judge, tries: int) -> None:
        """The anchor may be here now."""
        if self.job is job:
            self.judge_soon(job, tries)

    def accepts(self, block: Any) -> bool:
        """Whether a decided block is what its certificate names, to the last byte, and valid.

        One whose anchor is not here yet is asked for again.
        """
        if not self.is_ready(block):
            return False
        if self.judge(block, decided=True):
            return True
        self.node.stats["bodies refused"] += 1
        return False

    # ------------------------------------------------------------------ decisions

    def decide(self, certificate: Certificate, block: Any) -> None:
        """Commit a decision, once its anchor is here. What is being executed is given up for that."""
        if certificate.height <= len(self.chain):
            return
        if not self.is_ready(block):
            again = self.in_this_life(lambda: self.decide(certificate, block))
            self.world.at(RETRY * self.scale, again)
            if (job := self.job) is not None:
                self.job = None
                self.feed(self.driver.executed(Interrupted(job=job), self.clock))
            return
        self.world.enter(certificate.height, self.members())
        super().decide(certificate, block)
        self._between_heights()

    def store(self, certificate: Certificate, block: Any) -> None:
        """Execute and commit it, and tell those who have no seat if it was ours."""
        deciders = self.members()
        try:
            drive(self.app.commit(block.id, block.raw, certificate))
        except NotReady:
            raise
        except (InvalidBlock, DecodeError) as error:
            name = f"{self.world.name}{certificate.height}"
            raise Violation("diverged", f"{name} was decided and is not valid: {error}") from error
        if deciders.proposer(certificate.height, certificate.round).address == self.address:
            packet = self.world.packet(certificate, block)
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
        self, node: Process, world: DevnetChain, disk: Disk, behaviours: frozenset[Behaviour]
    ) -> None:
        BlockHost.__init__(self, node, world, disk)
        self.deviate(behaviours)

    def found(self, evidence: Evidence) -> None:
        """It keeps it to itself."""
