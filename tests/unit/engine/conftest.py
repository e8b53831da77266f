"""A network of consensus hosts in memory: virtual time, real journals and last-signed records.

Everything is drawn from one seed. Messages travel in their wire form and can be late, lost, or held up by
a partition; a node can die at any point where something becomes durable or leaves it, and its disk forgets
what was not synced. What must never happen is asserted where it would happen.
"""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from consensus.params import TimeoutParams
from consensus.types import (
    Address,
    BlockId,
    Certificate,
    ChainContext,
    Proposal,
    Validator,
    ValidatorSet,
    Vote,
)
from node.config.node_faults import NodeFaults
from node.engine.application import NotReady
from node.engine.equivocator import Broadcast, Equivocator
from node.engine.host import ConsensusHost
from node.engine.journal import Journal
from node.engine.pacing import Pacing
from node.engine.participant import Participant
from node.engine.signer import Signer
from node.engine.sync import Syncer, decode_request, serve_blocks
from node.primitives.basics import keccak_fast
from node.primitives.errors import DecodeError, InvalidBlock
from node.primitives.keys import KeccakSecp256k1, SigningKey
from node.storage.last_signed import LastSigned
from node.storage.wal import WriteAheadLog
from node.wire import ConsensusMessage, ProposalMessage, StatusMessage, encode_body
from p2p.errors import PeerUnavailable
from tests.support.forgetful import ForgetfulDisk, mounted

CONTEXT = ChainContext(genesis=b"g" * 32, tag=b"shard/0")
CHECKER = KeccakSecp256k1()
PACING = Pacing(min_interval=0.05, heartbeat=lambda: 1.0)


class Crash(BaseException):
    """The process of one node ends here."""


@dataclass
class ToyChain:
    """An `Application` whose values are texts. What is in `blocks` survives a crash."""

    members: ValidatorSet
    later: tuple[int, ValidatorSet] | None = None  # from a height on, and who decides then
    blocks: list[tuple[bytes, Certificate]] = field(default_factory=list)
    work: bool = False
    missing: set[bytes] = field(default_factory=set)  # values that refer to what is not here
    disliked: set[str] = field(default_factory=set)  # salts: blocks of theirs are objected to
    _builders: dict[bytes, str] = field(default_factory=dict)
    built: int = 0
    judged: int = 0
    salt: str = ""
    slow: float = 0.0  # seconds to build or to judge a block that is not decided
    executing: int = 0  # blocks at this moment
    chain: int = 0
    context: ChainContext = CONTEXT

    def head_height(self) -> int:
        return len(self.blocks)

    def validators(self) -> ValidatorSet:
        if self.later is not None and self.head_height() + 1 >= self.later[0]:
            return self.later[1]
        return self.members

    def has_work(self) -> bool:
        return self.work

    async def build(self) -> tuple[BlockId, bytes]:
        self.built += 1
        value = f"{self.head_height() + 1}/{self.salt}/{self.built}".encode()
        await self._execute(self.slow)
        self._builders[self.identify(value)] = self.salt
        return self.identify(value), value

    def restarted(self) -> None:
        """The process is another one: what was executed and not stored is gone."""
        self.executing = 0
        self._builders.clear()

    async def _execute(self, seconds: float) -> None:
        assert not self.executing, "two blocks are executed at once"
        self.executing += 1
        try:
            await trio.sleep(seconds)
        finally:
            self.executing -= 1

    def identify(self, value: bytes) -> BlockId:
        if not value or b"garbage" in value:
            raise DecodeError("not a toy value")
        return BlockId(keccak_fast(value.split(b"|")[0]))  # what follows is beside the block

    def body_matches(self, value: bytes) -> bool:
        return b"forged" not in value

    async def judge(self, value: bytes, *, decided: bool) -> BlockId:
        self.judged += 1
        await self._execute(0.0 if decided else self.slow)
        if value in self.missing:
            raise NotReady("it refers to what is not here")
        if b"forged" in value:
            raise InvalidBlock("it holds something else than its id says")
        if b"bug" in value:
            raise LookupError("a fault of ours")
        if not value.startswith(f"{self.head_height() + 1}/".encode()):
            raise InvalidBlock("it does not follow the head")
        if value.split(b"|")[0].endswith(b"bad") or (b"|" in value and not decided):
            raise InvalidBlock("it is marked as bad")
        block_id = self.identify(value)
        self._builders[block_id] = value.split(b"/")[1].decode()
        return block_id

    def objection(self, block_id: BlockId) -> str | None:
        return "it is disliked" if self._builders.get(block_id) in self.disliked else None

    async def commit(self, block_id: BlockId, value: bytes, certificate: Certificate) -> None:
        executed = self._builders if self.identify(value) == block_id else ()
        if block_id not in executed and await self.judge(value, decided=True) != block_id:
            raise InvalidBlock("it is another block")
        assert certificate.height == self.head_height() + 1
        self.blocks.append((value.split(b"|")[0], certificate))

    def decided(self, height: int) -> tuple[bytes, Certificate]:
        return self.blocks[height - 1]


class Member:
    """One node: what survives a crash, and how it is put together again."""

    def __init__(self, world: "World", index: int) -> None:
        self.world = world
        self.name = f"v{index}"
        self.key = world.keys[index]
        (world.folder / self.name).mkdir()
        self.disk = ForgetfulDisk(world.folder / self.name)
        self.app = ToyChain(members=world.members, salt=self.name)
        self.up = False
        self.runs = 0
        self.host: ConsensusHost
        self.syncer: Syncer
        self.wal: WriteAheadLog
        self._scope = trio.CancelScope()

    @property
    def height(self) -> int:
        return self.app.head_height()

    async def run(self) -> None:
        """Live until a crash; start again later. For as long as the world lasts."""
        while True:
            await self._live()
            await trio.sleep(self.world.random.uniform(0.1, 2.0))

    def crash(self) -> None:
        self._scope.cancel()

    async def _live(self) -> None:
        folder = self.disk.root
        self.runs += 1
        self.app.restarted()
        self._scope = trio.CancelScope()
        with (
            closing(LastSigned(folder / "toy.signed")) as record,
            closing(WriteAheadLog(folder / "toy.wal", tails=record.tails)) as self.wal,
            self._scope,
        ):
            self._build(record)
            try:
                async with trio.open_nursery() as nursery:
                    await nursery.start(self.host.run)
                    nursery.start_soon(self.syncer.run)
                    self.up = True
                    self.world.connected(self)
                    self.host.open()
            except* Crash:
                pass
            finally:
                self.up = False
        self.disk.power_fails(self.world.random)  # it was the machine

    def _build(self, record: LastSigned) -> None:
        world = self.world
        journal = Journal(self.wal)
        self._mined(journal, "sync")
        self._mined(record, "check_and_record")
        participant = Participant(
            app=self.app,
            signer=Signer(key=self.key, context=CONTEXT, record=record),
            journal=journal,
            checker=CHECKER,
            timeouts=TimeoutParams(scale=0.2),
            broadcast=self._voice(),
            accuse=lambda first, second: world.accused.append((self.name, first, second)),
        )
        self.host = ConsensusHost(
            app=self.app,
            participant=participant,
            checker=CHECKER,
            pacing=PACING,
            tell=lambda peer, message: world.send(self, peer, message),
            on_ahead=lambda peer, height: self.syncer.heard(peer, height),
            validator_of=world.address_of,
            halted=lambda: world.halted,
        )
        self.syncer = Syncer(
            host=self.host,
            ask=lambda peer, payload, timeout: world.ask(self, peer, payload, timeout),
            announce=lambda height: world.broadcast(self, StatusMessage(height=height)),
            connected=lambda: {m.name for m in world.nodes if world.linked(self, m)},
        )

    def _voice(self) -> Broadcast:
        def speak(message: ProposalMessage | Vote) -> None:
            self.world.broadcast(self, message)

        if self.name not in self.world.equivocators:
            return speak
        return Equivocator(
            key=self.key,
            context=CONTEXT,
            broadcast=speak,
            faults=lambda: NodeFaults(equivocate=True),
        )

    def _mined(self, target: Any, method: str) -> None:
        """Let the node die before or after this method does its work."""
        real = getattr(target, method)

        def mined(*args: Any, **named: Any) -> None:
            self.world.maybe_crash()
            real(*args, **named)
            self.world.maybe_crash()

        setattr(target, method, mined)


class World:
    """The hosts, the network between them, and what was said in it."""

    def __init__(self, folder: Path, count: int, seed: int) -> None:
        self.folder = folder
        self.random = random.Random(seed)
        self.loss = 0.0
        self.crash_chance = 0.0
        self.partition: set[str] = set()  # cut off from the others
        self.equivocators: set[str] = set()
        self.accused: list[tuple[str, Any, Any]] = []  # by whom, two messages
        self.halted = False
        self.drops: Callable[[Member, str, ConsensusMessage], bool] = lambda *_: False
        self.keys = [SigningKey(keccak_fast(b"toy key %d" % i)) for i in range(count)]
        self.members = ValidatorSet(
            Validator(address=Address(key.address), power=1) for key in self.keys
        )
        self.nodes = [Member(self, i) for i in range(count)]
        self.by_name = {node.name: node for node in self.nodes}
        self.frames = 0
        self.nursery: trio.Nursery
        self._said: dict[tuple[object, ...], object] = {}

    # ------------------------------------------------------------------ network

    def address_of(self, peer: str) -> Address | None:
        node = self.by_name.get(peer)
        return None if node is None else Address(node.key.address)

    def linked(self, one: Member, other: Member) -> bool:
        return (
            one is not other
            and one.up
            and other.up
            and (one.name in self.partition) == (other.name in self.partition)
        )

    def connected(self, node: Member) -> None:
        for other in self.nodes:
            if self.linked(node, other):
                other.host.peer_up()
                node.host.peer_up()
                for a, b in ((node, other), (other, node)):
                    self.send(a, b.name, StatusMessage(height=a.height))

    def heal(self) -> None:
        self.partition = set()
        for node in self.nodes:
            if node.up:
                self.connected(node)

    def broadcast(self, sender: Member, message: ConsensusMessage) -> None:
        if sender.name not in self.equivocators:
            self._note(message)
        if isinstance(message, ProposalMessage):  # often enough
            self._check_values(sender)
        self.maybe_crash()
        for other in self.nodes:
            if other is not sender:
                self.send(sender, other.name, message)
        self.maybe_crash()

    def send(self, sender: Member, peer: str, message: ConsensusMessage) -> None:
        other = self.by_name[peer]
        if self.drops(sender, peer, message):
            return
        if self.linked(sender, other) and self.random.random() >= self.loss:
            self.frames += 1
            self.nursery.start_soon(self._deliver, sender, other, encode_body(message))

    async def _deliver(self, sender: Member, other: Member, body: bytes) -> None:
        await trio.sleep(self.random.uniform(0.001, 0.02))
        if self.linked(sender, other):
            await other.host.deliver(sender.name, body)

    async def ask(self, asker: Member, peer: str, payload: bytes, timeout: float) -> bytes:  # noqa: ASYNC109
        await trio.sleep(self.random.uniform(0.001, 0.02))
        other = self.by_name[peer]
        if not self.linked(asker, other):
            raise PeerUnavailable(peer)
        return msgspec.msgpack.encode(await serve_blocks(other.app, decode_request(payload)))

    # ------------------------------------------------------------------ faults and checks

    def maybe_crash(self) -> None:
        if self.crash_chance and self.random.random() < self.crash_chance:
            raise Crash

    def _note(self, message: ConsensusMessage) -> None:
        """Nobody signs two things for one place, whatever it has been through."""
        if isinstance(message, Vote):
            key: tuple[object, ...] = (
                message.validator,
                message.height,
                message.round,
                message.type,
            )
            said: object = message.block_id
        elif isinstance(message, ProposalMessage):
            proposal: Proposal = message.proposal
            key = (proposal.proposer, proposal.height, proposal.round, "proposal")
            said = (proposal.block_id, proposal.pol_round)
        else:
            return
        assert self._said.setdefault(key, said) == said, f"signed twice: {key}"

    def _check_values(self, node: Member) -> None:
        """Whoever takes a block for valid has it, after a restart, too."""
        participant = node.host.participant
        assert participant is not None
        engine = participant.driver.engine
        if engine.decided is not None or engine.height != node.height + 1:
            return
        for message in engine.messages():
            if isinstance(message, Proposal) and engine.knows(message.block_id):
                value = participant.driver.value(message.block_id)
                assert value is not None, f"{node.name} does not have {message}"

    def check_agreement(self) -> None:
        longest = max((node.app.blocks for node in self.nodes), key=len)
        for node in self.nodes:
            values = [value for value, _ in node.app.blocks]
            assert values == [value for value, _ in longest[: len(values)]]

    async def is_up(self, node: Member) -> None:
        with trio.fail_after(5):
            while not node.up:  # noqa: ASYNC110 - of virtual time
                await trio.sleep(0.001)

    async def reach(self, height: int, *nodes: Member, seconds: float = 300.0) -> None:
        """Wait until these (or all) nodes have decided `height`."""
        with trio.fail_after(seconds):
            while any(node.height < height for node in nodes or self.nodes):  # noqa: ASYNC110
                await trio.sleep(0.05)  # of virtual time
        self.check_agreement()


@pytest.fixture
def world(tmp_path: Path) -> Callable[..., World]:
    """Makes a world of `count` nodes; `running` runs it."""

    def make(count: int = 4, seed: int = 1) -> World:
        return World(tmp_path, count, seed)

    return make


@pytest.fixture
def running() -> Callable[[World], AbstractAsyncContextManager[World]]:
    """`async with running(world):` runs all its nodes."""

    @asynccontextmanager
    async def run(world: World) -> AsyncIterator[World]:
        with mounted(*(node.disk for node in world.nodes)):
            async with trio.open_nursery() as nursery:
                world.nursery = nursery
                for node in world.nodes:
                    nursery.start_soon(node.run)
                yield world
                nursery.cancel_scope.cancel()
        for node in world.nodes:
            node.disk.close()

    return run
