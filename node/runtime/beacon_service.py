"""The beacon chain of this node as consensus sees it, with the crosslinks that wait for it."""

import time
from collections.abc import Callable

import structlog

from consensus.types import BlockId, Certificate, ChainContext, ValidatorSet
from node.beacon.block import BeaconBlock
from node.beacon.chain import BeaconChain
from node.beacon.crosslinks import check_crosslink
from node.beacon.pending import PendingCrosslinks
from node.beacon.transition import BeaconExecution
from node.primitives.basics import Address, ShardId
from node.primitives.crosslink import Crosslink
from node.primitives.errors import InvalidBlock
from node.runtime.waiting import HeightGate
from node.runtime.wire import BEACON

MAX_CLOCK_DRIFT = 10
MAX_EXECUTED = 4

Committed = Callable[[BeaconBlock, Certificate], None]


class BeaconService:
    """Application of the beacon's consensus."""

    chain = BEACON

    def __init__(self, *, chain: BeaconChain, context: ChainContext, proposer: Address) -> None:
        self.ledger = chain
        self.context = context
        self.pending = PendingCrosslinks()
        self.gate = HeightGate(chain.head.header.height)
        self.on_commit: list[Committed] = []
        self._proposer = proposer
        self._executed: dict[bytes, BeaconExecution] = {}
        self._takable: dict[bytes, bool] = {}
        self._takable_at = b""
        self._log = structlog.get_logger().bind(chain="beacon")

    def offer(self, crosslink: Crosslink) -> bool:
        """A decided shard block asks to be crosslinked; True if it is new. Raises what is wrong."""
        if not 0 <= crosslink.shard < self.ledger.rules.shards:
            raise InvalidBlock(f"crosslink: there is no shard {crosslink.shard}")
        if crosslink.height <= self.ledger.state.tip(crosslink.shard).height:
            return False
        check_crosslink(self.ledger.rules, self.ledger.state, crosslink)
        return self.pending.add(crosslink)

    # ------------------------------------------------------------------ Application

    def head_height(self) -> int:
        return self.ledger.head.header.height

    def validators(self) -> ValidatorSet:
        return self.ledger.beacon_committee()

    def has_work(self) -> bool:
        """Whether some shard's next crosslink can go in. The answer is remembered per head."""
        head = self.ledger.head.hash
        if self._takable_at != head:
            self._takable_at, self._takable = head, {}
        for shard, tip in self.ledger.state.tips().items():
            for crosslink in self.pending.contiguous(ShardId(shard), tip)[:1]:
                block = bytes(crosslink.header.hash)
                if block not in self._takable:
                    self._takable[block] = self.ledger.would_take(crosslink)
                if self._takable[block]:
                    return True
        return False

    def _includable(self) -> list[Crosslink]:
        out: list[Crosslink] = []
        for shard, tip in self.ledger.state.tips().items():
            out.extend(self.pending.contiguous(ShardId(shard), tip))
        return out

    async def build(self) -> tuple[BlockId, bytes]:
        parent = self.ledger.head.header
        execution = self.ledger.build(
            self._includable(),
            timestamp=max(int(time.time()), parent.timestamp),
            proposer=self._proposer,
        )
        for crosslink, reason in execution.refused:
            self._log.info("crosslink not taken", shard=int(crosslink.shard), reason=reason)
        block = execution.block
        self._remember(execution)
        return BlockId(block.hash), block.encoded

    def identify(self, value: bytes) -> BlockId:
        return BlockId(BeaconBlock.decode(value).hash)

    async def judge(self, value: bytes, *, decided: bool) -> BlockId:
        block = BeaconBlock.decode(value)
        known = self._executed.get(block.hash)
        if known is not None and known.block.encoded == value:
            return BlockId(block.hash)
        if not decided and block.header.timestamp > time.time() + MAX_CLOCK_DRIFT:
            raise InvalidBlock(f"its time {block.header.timestamp} is ahead of our clock")
        self._remember(self.ledger.judge(block))
        return BlockId(block.hash)

    def _remember(self, execution: BeaconExecution) -> None:
        """The last few; more can be judged again."""
        self._executed[execution.block.hash] = execution
        while len(self._executed) > MAX_EXECUTED:
            del self._executed[next(iter(self._executed))]

    async def commit(self, block_id: BlockId, value: bytes, certificate: Certificate) -> None:
        if block_id not in self._executed:
            await self.judge(value, decided=True)
        execution = self._executed[block_id]
        self._executed.clear()
        self.ledger.commit(execution, certificate)
        self.pending.prune(self.ledger.state.tips())
        self.gate.advance(execution.block.header.height)
        for listener in self.on_commit:
            listener(execution.block, certificate)

    def decided(self, height: int) -> tuple[bytes, Certificate]:
        block, certificate = self.ledger.block(height), self.ledger.certificate(height)
        if block is None or certificate is None:
            raise LookupError(f"beacon block {height} is not decided here")
        return block.encoded, certificate
