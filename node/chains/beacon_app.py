"""The beacon chain of this node as consensus sees it, with the crosslinks and evidence that wait for it."""

import math
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import structlog
import trio

from consensus.types import BlockId, Certificate, ChainContext, ValidatorSet
from node.beacon import rounds
from node.beacon.block import BeaconBlock
from node.beacon.chain import BeaconChain
from node.beacon.crosslinks import check_crosslink
from node.beacon.eras import EraRecord
from node.beacon.evidence import EvidenceItem, ShardFork
from node.beacon.pending_crosslinks import PendingCrosslinks
from node.beacon.pending_evidence import PendingEvidence
from node.beacon.punishment import EvidenceOutcome
from node.beacon.rewind import Rewind
from node.beacon.transition import BeaconExecution
from node.concurrency.height_gate import HeightGate
from node.concurrency.worker import OnDisk, at_once
from node.primitives.basics import Address, Hash32, ShardId
from node.primitives.crosslink import Crosslink
from node.primitives.errors import InvalidBlock
from node.primitives.mining import Round
from node.wire import BEACON

MAX_CLOCK_DRIFT = 10
MAX_EXECUTED = 4
MAX_TAKEN = 4096
ROUND_PATIENCE = 2.0
"""Seconds for which the blocks of an ordered network block wait for that of another shard."""
MAX_LATE = 16
MAX_REWINDS = 16  # that wait to be decided

Committed = Callable[[BeaconBlock, Certificate], None]
Found = Callable[[EvidenceItem], None]


class BeaconService:
    """Application of the beacon's consensus."""

    chain = BEACON

    def __init__(
        self,
        *,
        chain: BeaconChain,
        proposer: Address,
        now: Callable[[], float],
        on_disk: OnDisk = at_once,
        on_rewind: Callable[[EraRecord], None] = lambda record: None,
    ) -> None:
        """`on_rewind` is told that the chain goes back; it ends this service."""
        self.ledger = chain
        self._on_disk = on_disk
        self._on_rewind = on_rewind
        self._rewinds: dict[bytes, Rewind] = {}  # asked for, by salt
        self.pending = PendingCrosslinks()
        self.evidence = PendingEvidence(chain)
        self.gate = HeightGate(chain.head.header.height)
        self.on_commit: list[Committed] = []
        self.on_evidence: list[Found] = []
        self._frozen = {s for s in chain.state.tips() if chain.state.frozen(s) is not None}
        self._proposer = proposer
        self._now = now  # seconds since the epoch
        self._executed: dict[bytes, BeaconExecution] = {}
        self._decoded: tuple[bytes, BeaconBlock] | None = None
        self._taken: dict[
            tuple[ShardId, int], Hash32
        ] = {}  # by us, of late: most come several times
        self._takable: dict[bytes, bool] = {}
        self._takable_at = b""
        self._awaited: tuple[Round, float] | None = None  # and since when
        self._late: tuple[bytes, ...] = ()  # orders that lack the block of a shard
        self._log = structlog.get_logger().bind(chain="beacon")

    def offer(self, crosslink: Crosslink) -> bool:
        """Take a crosslink of a decided shard block; true if it is new. Raises InvalidBlock with the reason.

        A crosslink that contradicts another of its height is evidence as well. No block of ours is read for it
        before its certificate was checked, because a peer can name any height.
        """
        if not 0 <= crosslink.shard < self.ledger.rules.shards:
            raise InvalidBlock(f"crosslink: there is no shard {crosslink.shard}")
        shard, height = crosslink.shard, crosslink.height
        if height <= self.ledger.state.tip(shard).height:
            known = self._taken.get((shard, height)) == crosslink.header.hash
            if not known and self.ledger.is_certified(crosslink):
                self._note_fork(crosslink, self.ledger.crosslink(shard, height))
            return False
        self._note_fork(crosslink, self.pending.rival(crosslink))
        check_crosslink(self.ledger.rules, self.ledger.state, crosslink)
        return self.pending.add(crosslink)

    def _note_fork(self, crosslink: Crosslink, rival: Crosslink | None) -> None:
        shard, height = crosslink.shard, crosslink.height
        fork = ShardFork.of(rival, crosslink) if rival is not None else None
        if fork is None:
            return
        try:
            if self.accuse(fork):
                self._log.critical("a shard has forked", shard=int(shard), height=height)
        except InvalidBlock as error:  # such as: it is frozen already
            self._log.info("two crosslinks of one height", shard=int(shard), reason=str(error))

    def accuse(self, item: EvidenceItem) -> bool:
        """Keep evidence until a block holds it; True if it is new. Raises InvalidBlock if it has no effect."""
        if not self.evidence.add(item):
            return False
        for listener in self.on_evidence:
            listener(item)
        return True

    def is_frozen(self, shard: ShardId) -> bool:
        """True if no block of that shard is included any more, because it was proven to have forked."""
        return shard in self._frozen

    def is_jailed(self, address: Address) -> bool:
        """True if a validator was punished: it has no seat any more, unless it is the last one."""
        record = self.ledger.state.validator(address)
        return record is not None and record.jailed_at is not None

    def want_rewind(self, rewind: Rewind) -> bool:
        """Ask for the network to go back; true if the request is new.

        One of the waiting requests is decided, and ends all others. A request that the next block could not
        hold is not kept: it will be asked for again.
        """
        if rewind.salt in self._rewinds or len(self._rewinds) >= MAX_REWINDS:
            return False
        try:
            self.check_rewind(rewind)
        except InvalidBlock as error:
            self._log.info("rewind refused", height=rewind.height, reason=str(error))
            return False
        self._rewinds[rewind.salt] = rewind
        return True

    def check_rewind(self, rewind: Rewind) -> None:
        """Raise InvalidBlock if the chain cannot go back there."""
        self.ledger.build_rewind(
            rewind, timestamp=self.ledger.head.header.timestamp, proposer=self._any_proposer()
        )

    def _any_proposer(self) -> Address:
        """Ours may be none."""
        return Address(self.ledger.beacon_committee().validators[0].address)

    def _next_rewind(self) -> BeaconExecution | None:
        """The first that the next block can hold, as that block."""
        head, now = self.ledger.head.header, int(self._now())
        for rewind in self._rewinds.values():
            with suppress(InvalidBlock):
                return self.ledger.build_rewind(
                    rewind, timestamp=max(now, head.timestamp), proposer=self._proposer
                )
        return None

    # ------------------------------------------------------------------ Application

    @property
    def context(self) -> ChainContext:
        return self.ledger.rules.beacon_context()

    def head_height(self) -> int:
        return self.ledger.head.header.height

    def validators(self) -> ValidatorSet:
        return self.ledger.beacon_committee()

    def has_work(self) -> bool:
        """True if the next crosslink of some shard, or evidence, can be included. Remembered per head, per
        crosslink.
        """
        if self.evidence.includable() or (self._rewinds and self._next_rewind() is not None):
            return True
        head = self.ledger.head.hash
        if self._takable_at != head:
            self._takable_at, self._takable = head, {}
        tried: set[ShardId] = set()
        for crosslink in self._includable():
            if crosslink.shard in tried:
                continue  # it follows one that is not taken
            tried.add(crosslink.shard)
            block = bytes(crosslink.header.hash)
            if block not in self._takable:
                self._takable[block] = self.ledger.would_take(crosslink)
            if self._takable[block]:
                return True
        return False

    def _rows(self) -> dict[ShardId, list[Crosslink]]:
        """The crosslinks that follow the tips, by shard; of frozen shards none is taken."""
        tips = self.ledger.state.tips()
        return {
            ShardId(shard): self.pending.contiguous(ShardId(shard), tip)
            for shard, tip in tips.items()
            if shard not in self._frozen
        }

    def _includable(self) -> list[Crosslink]:
        rows = self._rows()
        if not self.ledger.rules.dev_methods:
            return [crosslink for row in rows.values() for crosslink in row]
        return rounds.includable(rows, self._is_late)

    def _is_late(self, coming: Round) -> bool:
        """True if the shards that have not made their block for this round are not waited for any longer."""
        if coming.order in self._late:
            return True
        if self._awaited is None or self._awaited[0] != coming:
            self._awaited = coming, self._now()
        if self._now() - self._awaited[1] <= ROUND_PATIENCE:
            return False
        self._late = (*self._late[1 - MAX_LATE :], coming.order)  # and so are all its later rounds
        return True

    def patience(self) -> float:
        """Seconds until a round that is awaited is late; infinite if none is."""
        if self._awaited is None or rounds.is_complete(self._rows()):
            return math.inf
        return max(0.0, self._awaited[1] + ROUND_PATIENCE - self._now())

    def is_ordered(self) -> bool:
        """True if the next block was ordered, and the block of each shard for it is here."""
        if not self.ledger.rules.dev_methods:
            return False
        rows = self._rows()
        ordered = rounds.next_round(rows) is not None and rounds.is_complete(rows)
        return ordered and self.has_work()

    async def build(self) -> tuple[BlockId, bytes]:
        rewind = self._next_rewind()
        if rewind is not None:
            self._remember(rewind)
            return BlockId(rewind.block.hash), rewind.block.encoded
        parent = self.ledger.head.header
        execution = self.ledger.build(
            self._includable(),
            evidence=self.evidence.includable(),
            timestamp=max(int(self._now()), parent.timestamp),
            proposer=self._proposer,
        )
        for crosslink, reason in execution.refused:
            self._log.info("crosslink not taken", shard=int(crosslink.shard), reason=reason)
        for item, reason in execution.refused_evidence:
            self._log.info("evidence not taken", accused_on=item.chain, reason=reason)
        block = execution.block
        self._remember(execution)
        return BlockId(block.hash), block.encoded

    def identify(self, value: bytes) -> BlockId:
        return BlockId(self._decode(value).hash)

    def _decode(self, value: bytes) -> BeaconBlock:
        """Decode a block, or take it from the last call: most come several times in a row."""
        if self._decoded is None or self._decoded[0] != value:
            self._decoded = value, BeaconBlock.decode(value)
        return self._decoded[1]

    def body_matches(self, value: bytes) -> bool:
        block = self._decode(value)
        return block.body.root == block.header.body_root

    async def judge(self, value: bytes, *, decided: bool) -> BlockId:
        block = self._decode(value)
        known = self._executed.get(block.hash)
        if known is not None and known.block.encoded == value:
            return BlockId(block.hash)
        limit = self._now() + MAX_CLOCK_DRIFT
        if not decided and block.header.timestamp > max(limit, self.ledger.shard_time(block)):
            raise InvalidBlock(f"its time {block.header.timestamp} is ahead of our clock")
        self._remember(self.ledger.judge(block))
        return BlockId(block.hash)

    def _remember(self, execution: BeaconExecution) -> None:
        """Remember the last few executions; older ones can be judged again."""
        self._executed[execution.block.hash] = execution
        while len(self._executed) > MAX_EXECUTED:
            del self._executed[next(iter(self._executed))]

    def objection(self, block_id: BlockId) -> str | None:
        return None

    async def commit(self, block_id: BlockId, value: bytes, certificate: Certificate) -> None:
        if block_id not in self._executed:
            await self.judge(value, decided=True)
        execution = self._executed[block_id]
        if execution.block.body.rewind is not None:
            self._on_rewind(EraRecord(block=execution.block, certificate=certificate))
            await trio.sleep_forever()  # nothing comes after it in this era
        self._executed.clear()
        for crosslink in execution.block.body.crosslinks:
            self._taken[crosslink.shard, crosslink.height] = crosslink.header.hash
        while len(self._taken) > MAX_TAKEN:
            del self._taken[next(iter(self._taken))]
        await self._on_disk(partial(self.ledger.write, execution, certificate))
        self.ledger.adopt(execution)
        self.pending.prune(self.ledger.state.tips(), decided=self.ledger.is_decided)
        self.evidence.update()
        self._note_punished(execution.outcome, execution.block.height)
        self.gate.advance(execution.block.header.height)
        for listener in self.on_commit:
            listener(execution.block, certificate)

    def _note_punished(self, outcome: EvidenceOutcome, height: int) -> None:
        """Log the effects of a block's evidence as warnings."""
        log = self._log.bind(height=height)
        for address in outcome.jailed:
            log.error("validator jailed", validator="0x" + address.hex())
            if address == self._proposer:
                log.critical("this is us: our key has signed twice; is it used by another node?")
        for charge in outcome.charged:
            log.error("validator slashed", validator="0x" + charge.address.hex(), wei=charge.wei)
        for address in outcome.kept:
            log.error("jailed, but the last of its committee", validator="0x" + address.hex())
        for shard in outcome.frozen:
            self._frozen.add(shard)
            log.critical("shard frozen: it has decided two blocks of one height", shard=int(shard))

    def decided(self, height: int) -> tuple[bytes, Certificate]:
        block, certificate = self.ledger.block(height), self.ledger.certificate(height)
        if block is None or certificate is None:
            raise LookupError(f"beacon block {height} is not decided here")
        return block.encoded, certificate
