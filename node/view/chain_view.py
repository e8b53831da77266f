"""The common part of the network's chain and of a shard's chain, shown as Ethereum's."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import trio

from node.concurrency.gather import gather
from node.concurrency.head_signal import HeadSignal
from node.primitives.basics import Address
from node.primitives.errors import DecodeError, InvalidTransaction
from node.primitives.messenger import NEXT_TIME_SLOT
from node.primitives.transaction import (
    IMPERSONATED_TYPE,
    FinalTransaction,
    ImpersonatedTransaction,
    Transaction,
    decode_transaction,
)
from node.query.call_specs import CallOutcome
from node.query.questions import (
    AccessListQuestion,
    CallQuestion,
    EstimateQuestion,
    PoolNonceQuestion,
    SubmitQuestion,
)
from node.view import calls, clocks, log_search, present
from node.view.entries import ListedBlock
from node.view.fees import (
    MAX_REWARD_BLOCKS,
    PRIORITY_FEE,
    FeeRange,
    fee_history,
    rewards,
)
from node.view.forks import fork_config
from node.view.log_search import BREATH, READ_AHEAD
from node.view.pools import Pools
from node.view.reads import StatePlace, read_account, read_proof, read_slot
from node.view.shards import Shards
from node.view.simulated import simulate
from node.view.spanning import call_over_shards
from node.view.traces import Traces
from rpc.errors import (
    ExecutionReverted,
    InvalidParams,
    ServerError,
    TransactionRejected,
)
from rpc.threads import FEW, Threads
from rpc.wire import (
    NO_OVERRIDES,
    AccessListResult,
    AccountProof,
    BlockHash,
    BlockRef,
    BlockTag,
    BlockView,
    CallRequest,
    FeeHistory,
    LogFilter,
    LogView,
    Overrides,
    ReceiptView,
    SimulatedBlock,
    SimulateRequest,
    TransactionView,
)

T = TypeVar("T")

THREADS = 2  # that assemble blocks
BLOCK_PATIENCE = 0.25
"""Seconds between two looks at the head of a chain that is not our own, for callers that wait for a block."""


@dataclass(frozen=True, slots=True)
class Included:
    """A transaction is listed in this block of the view."""

    number: int


@dataclass(frozen=True, slots=True)
class PendingTransaction:
    """A transaction is in a pool, or on its way to another shard."""

    tx: Transaction


class ChainView(ABC):
    """An `rpc.backend.ChainBackend`: one linear chain of final blocks, 0 to `head`. "latest", "safe" and
    "finalized" are the same block, since every block is final; so is "pending" where it names a state."""

    def __init__(
        self,
        shards: Shards,
        *,
        pool_shards: tuple[int, ...],
        chain_id: int,
        head_signal: HeadSignal | None = None,
        takes_unprotected: bool = False,
    ) -> None:
        """`head_signal` is sent when a chain of this node grows. `takes_unprotected`: transactions without a
        chain id may be sent, such as presigned ones (Nick's method)."""
        self._shards = shards
        self.pool_shards = pool_shards
        self.pool = Pools(shards, pool_shards)
        self.traces = Traces(self, shards)
        self.aside = Threads(THREADS)
        self._in_thread = self.aside.run
        self.chain_id = chain_id
        self._takes_unprotected = takes_unprotected
        self._head_signal = head_signal or HeadSignal()
        self.on_submitted: list[Callable[[bytes], None]] = [self.pool.note]

    # ------------------------------------------------------------------ what each chain knows

    @abstractmethod
    async def block_number(self) -> int:
        """The number of the newest block."""

    @abstractmethod
    async def _height_of(self, block_hash: bytes) -> int | None:
        """The number of a block of this chain by its hash, which may lie beyond the head."""

    @abstractmethod
    async def listed(self, number: int) -> ListedBlock:
        """The block of that number, which is not beyond the head."""

    @abstractmethod
    async def _find(self, tx_hash: bytes, *, pooled: bool) -> Included | PendingTransaction | None:
        """The place of a transaction. With `pooled` the pools are searched as well."""

    @abstractmethod
    async def blooms_of(self, number: int) -> Sequence[bytes]:
        """The blooms of a block, of which one has a log's bits if the block holds that log."""

    @abstractmethod
    async def _fees(self, first: int, last: int) -> FeeRange:
        """The fees of a range of blocks."""

    @abstractmethod
    async def _place(self, address: bytes, number: int) -> StatePlace:
        """The place of the state of an account at block `number`."""

    @abstractmethod
    def _submission_shard(self, tx: Transaction) -> int:
        """The shard whose pool takes `tx`. Raises TransactionRejected."""

    @abstractmethod
    def _note_submitted(self, tx_hash: bytes, shard: int) -> None:
        """The pool of `shard` has taken the transaction."""

    @abstractmethod
    async def block_hash(self, number: int) -> bytes:
        """The hash of the block of that number, which is not beyond the head."""

    @abstractmethod
    async def place_call(
        self, request: CallRequest, ref: BlockRef, overrides: Overrides
    ) -> calls.PlacedCall:
        """The shard of a call, and the call to run there. Raises InvalidParams, ServerError."""

    @abstractmethod
    async def simulation_base(
        self, accounts: Sequence[Address], ref: BlockRef
    ) -> calls.SimulationBase:
        """On which block to simulate blocks; `accounts` are those that have a say in it, most of all the
        first. Raises ServerError."""

    @abstractmethod
    async def raw_block(self, ref: BlockRef) -> bytes | None:
        """See `rpc.backend.Backend.raw_block`."""

    @abstractmethod
    async def raw_header(self, ref: BlockRef) -> bytes | None:
        """See `rpc.backend.Backend.raw_header`."""

    async def look_again(self) -> bool:
        """Wait for what users can have seen at other nodes; whether this one shows more now."""
        return False

    def _known(self) -> int:
        """The network block that users of this chain can have seen here."""
        return 0

    async def _surely(
        self, read: Callable[[], Awaitable[T]], ref: BlockRef, doubtful: Callable[[T], bool]
    ) -> T:
        """The result of `read`. A failure at the newest block, or a `doubtful` result, is reported only when
        this node shows all that the user can have seen elsewhere.
        """
        try:
            found = await read()
        except (ServerError, ExecutionReverted):
            if not _is_tag(ref) or not await self.look_again():
                raise
        else:
            if not _is_tag(ref) or not doubtful(found) or not await self.look_again():
                return found
        return await read()

    # ------------------------------------------------------------------ naming blocks

    async def number_of(self, ref: BlockRef) -> int | None:
        """The number of a block that exists, else None: for one that is named, after a second look."""
        number = await self._number_of(ref)
        if number is None and not _is_tag(ref) and await self.look_again():
            number = await self._number_of(ref)
        return number

    async def _number_of(self, ref: BlockRef) -> int | None:
        head = await self.block_number()
        number = await self._height_of(ref.hash) if isinstance(ref, BlockHash) else _tag(ref, head)
        return number if number is not None and 0 <= number <= head else None

    async def state_number(self, ref: BlockRef) -> int:
        """The block whose state is asked for. Raises ServerError for an unknown block."""
        number = await self.number_of(ref)
        if number is None:
            raise ServerError("header not found")
        return number

    # ------------------------------------------------------------------ blocks

    async def config(self) -> dict[str, Any]:
        genesis = await self.block("earliest", False)
        if genesis is None:
            raise ServerError("header not found")
        return fork_config(genesis, self.chain_id)

    async def block_hashes(self, first: int, last: int) -> tuple[bytes, ...]:
        hashes = []
        for number in range(first, last + 1):
            hashes.append(await self.block_hash(number))
            if number % BREATH == 0:
                await trio.lowlevel.checkpoint()
        return tuple(hashes)

    async def wait_for_block(self, beyond: int) -> int:
        while (head := await self.block_number()) <= beyond:
            await self._head_signal.wait(BLOCK_PATIENCE)
        return head

    async def _pending_block(self, full: bool) -> BlockView | None:
        """The content of the pools, in the shape of the block after the head."""
        head = await self.block("latest", False)
        fees = await self.newest_fees()
        pool = await self.pool.content(None)
        return head and present.pending_block(
            head,
            fees.next_base_fee,
            pool.pending,
            full,
            ahead=await clocks.ahead(self._shards, self.pool_shards[0]),
            next_time=await clocks.word(self._shards, self.pool_shards[0], NEXT_TIME_SLOT),
        )

    async def block(self, ref: BlockRef, full: bool) -> BlockView | None:
        if ref == "pending":
            return await self._pending_block(full)
        number = await self.number_of(ref)
        if number is None:
            return None
        listed = await (self._with_senders(number) if full else self.listed(number))
        large = len(listed.entries) > FEW
        return await self.aside.run_if(large, lambda: present.block(listed, full))

    async def _with_senders(self, number: int) -> ListedBlock:
        """A block of which all transactions are going to be shown: recovering their senders, where they are
        not known yet, is work for a thread."""
        block = await self.listed(number)
        unknown = [e.item for e in block.entries if isinstance(e.item, FinalTransaction)]
        if not all(tx.is_recovered for tx in unknown):
            await self._in_thread(lambda: [tx.sender for tx in unknown])
        return block

    async def block_transaction_count(self, ref: BlockRef) -> int | None:
        if ref == "pending":
            return (await self.pool.counts())[0]
        number = await self.number_of(ref)
        return None if number is None else len((await self.listed(number)).entries)

    async def transaction_by_block_and_index(
        self, ref: BlockRef, index: int
    ) -> TransactionView | None:
        if ref == "pending":
            pending = (await self.pool.content(None)).pending
            return pending[index] if index < len(pending) else None
        number = await self.number_of(ref)
        if number is None:
            return None
        block = await self.listed(number)
        return present.transaction_at(block, index) if index < len(block.entries) else None

    async def block_receipts(self, ref: BlockRef) -> tuple[ReceiptView, ...] | None:
        if ref == "pending":
            return None  # a pending transaction has not run
        number = await self.number_of(ref)
        if number is None:
            return None
        block = await self._with_senders(number)
        large = len(block.entries) + block.first_log[-1] > FEW
        return await self.aside.run_if(
            large,
            lambda: tuple(present.receipt_at(block, i) for i in range(len(block.entries))),
        )

    # ------------------------------------------------------------------ transactions

    async def locate(self, tx_hash: bytes) -> tuple[ListedBlock, int] | None:
        """The block that lists a transaction and its index there, None while there is none."""
        match await self._find(tx_hash, pooled=False):
            case Included(number):
                block = await self.listed(number)
                index = block.index.get(tx_hash)
                return None if index is None else (block, index)
            case _:
                return None

    async def transaction_by_hash(self, tx_hash: bytes) -> TransactionView | None:
        match await self._find(tx_hash, pooled=True):
            case PendingTransaction(tx):
                return present.pending_transaction(tx)
            case Included(number):
                block = await self.listed(number)
                index = block.index.get(tx_hash)
                return None if index is None else present.transaction_at(block, index)
            case None:
                return None

    async def raw_receipts(self, ref: BlockRef) -> tuple[bytes, ...] | None:
        number = await self.number_of(ref)
        if number is None:
            return None
        block = await self.listed(number)
        return await self._in_thread(lambda: present.raw_receipts(block))

    async def raw_transaction_at(self, ref: BlockRef, index: int) -> bytes | None:
        number = await self.number_of(ref)
        if number is None:
            return None
        entries = (await self.listed(number)).entries
        return entries[index].raw if index < len(entries) else None

    async def raw_transaction(self, tx_hash: bytes) -> bytes | None:
        match await self._find(tx_hash, pooled=True):
            case PendingTransaction(tx):
                return tx.raw
            case Included(number):
                block = await self.listed(number)
                index = block.index.get(tx_hash)
                return None if index is None else block.entries[index].raw
            case None:
                return None

    async def transaction_receipt(self, tx_hash: bytes) -> ReceiptView | None:
        found = await self.locate(tx_hash)
        if found is None:
            return None
        block, index = found
        large = len(block.entries[index].logs) > FEW
        return await self.aside.run_if(large, lambda: present.receipt_at(block, index))

    async def send_raw_transaction(self, raw: bytes) -> bytes:
        """Hand a signed transaction to the pool of its sender's shard; its hash."""
        if raw[:1] == bytes([IMPERSONATED_TYPE]):  # any page that is let in may call this
            raise TransactionRejected(
                "the transaction has no signature: see eth_sendUnsignedTransaction"
            )
        return await self.submit(raw)

    async def submit(self, raw: bytes) -> bytes:
        """The same, also for a transaction without a signature."""
        try:
            tx = decode_transaction(raw)
        except (DecodeError, InvalidTransaction) as error:
            raise TransactionRejected(str(error)) from None
        if tx.chain_id is None and not self._takes_unprotected:
            raise TransactionRejected(
                "only replay-protected (EIP-155) transactions allowed over RPC, but on networks whose genesis "
                "has params.dev_methods = true"
            )
        if tx.chain_id not in (None, self.chain_id):
            raise TransactionRejected(
                f"invalid chain id for signer: have {tx.chain_id} want {self.chain_id}"
            )
        if isinstance(tx, ImpersonatedTransaction):
            await self.look_again()  # its sender may be a contract that was just born
        shard, known = self._submission_shard(tx), self._known()
        try:
            await self._shards.ask(shard, SubmitQuestion(raw=raw, known=known))
        except ServerError as error:
            raise TransactionRejected(error.message) from None
        self._note_submitted(tx.hash, shard)
        for note in self.on_submitted:
            note(tx.hash)
        return tx.hash

    # ------------------------------------------------------------------ state

    async def _state_place(self, address: bytes, ref: BlockRef) -> StatePlace:
        return await self._place(address, await self.state_number(ref))

    async def balance(self, address: bytes, ref: BlockRef) -> int:
        place = await self._state_place(address, ref)
        account = await read_account(self._shards, place, address)
        return int.from_bytes(account.balance, "big")

    async def code(self, address: bytes, ref: BlockRef) -> bytes:
        async def read() -> bytes:
            place = await self._state_place(address, ref)
            return (await read_account(self._shards, place, address, code=True)).code

        return await self._surely(read, ref, lambda code: not code)

    async def storage_at(self, address: bytes, slot: int, ref: BlockRef) -> bytes:
        place = await self._state_place(address, ref)
        return await read_slot(self._shards, place, address, slot.to_bytes(32, "big"))

    async def transaction_count(self, address: bytes, ref: BlockRef) -> int:
        if ref == "pending":
            await self.look_again()  # a client that has seen a receipt does not use its nonce again
            place, known = await self._state_place(address, ref), self._known()
            return await self._shards.ask(
                place.shard, PoolNonceQuestion(address=address, known=known)
            )
        place = await self._state_place(address, ref)
        return (await read_account(self._shards, place, address)).nonce

    async def proof(self, address: bytes, slots: Sequence[int], ref: BlockRef) -> AccountProof:
        """An account and slots with their proofs, which are checked here: the shard may be another's."""
        place = await self._state_place(address, ref)
        keys = [slot.to_bytes(32, "big") for slot in slots]
        return await read_proof(self._shards, place, address, keys)

    # ------------------------------------------------------------------ calls

    async def call(
        self, request: CallRequest, ref: BlockRef, overrides: Overrides = NO_OVERRIDES
    ) -> bytes:
        async def read() -> bytes:
            it = await self.place_call(request, ref, overrides)
            outcome = await self._outcome(it)
            return calls.result_of(outcome).output

        return await self._surely(read, ref, lambda output: not output)

    async def _outcome(self, it: calls.PlacedCall) -> CallOutcome:
        if it.block is None:
            return await self._shards.ask(it.shard, CallQuestion(height=it.height, spec=it.call))
        places = partial(self._place, number=it.block)
        return await call_over_shards(self._shards, it, it.block, places)

    async def estimate_gas(
        self, request: CallRequest, ref: BlockRef, overrides: Overrides = NO_OVERRIDES
    ) -> int:
        large = calls.is_large(request, NO_OVERRIDES)
        bare = await self.aside.run_if(large, lambda: calls.source_gas(request))

        async def read() -> int:
            it = await self.place_call(request, ref, overrides)
            outcome = await self._shards.ask(
                it.shard, EstimateQuestion(height=it.height, beacon=it.block, spec=it.call)
            )
            return calls.result_of(outcome).gas_used

        return await self._surely(read, ref, lambda gas: gas <= bare)  # no code has run

    async def create_access_list(
        self, request: CallRequest, ref: BlockRef, overrides: Overrides = NO_OVERRIDES
    ) -> AccessListResult:
        async def read() -> AccessListResult:
            it = await self.place_call(request, ref, overrides)
            accessed = await self._shards.ask(
                it.shard, AccessListQuestion(height=it.height, beacon=it.block, spec=it.call)
            )
            return await self._in_thread(lambda: calls.access_list_result(accessed))

        return await self._surely(
            read, ref, lambda found: bool(found.error or not found.access_list)
        )

    async def simulate(self, request: SimulateRequest, ref: BlockRef) -> tuple[SimulatedBlock, ...]:
        return await simulate(self._shards, self, request, ref)

    # ------------------------------------------------------------------ fees

    async def newest_fees(self) -> FeeRange:
        """Of the newest block."""
        head = await self.block_number()
        return await self._fees(head, head)

    async def gas_price(self) -> int:
        return (await self.newest_fees()).gas_price

    async def max_priority_fee(self) -> int:
        return PRIORITY_FEE

    async def fee_history(
        self, count: int, newest: BlockRef, percentiles: Sequence[float]
    ) -> FeeHistory:
        last = await self.state_number(newest)
        if percentiles:
            count = min(count, MAX_REWARD_BLOCKS)
        first = max(0, last + 1 - count)
        fees = await self._fees(first, last)
        if not percentiles:
            large = len(fees.blocks) > FEW
            return await self.aside.run_if(large, lambda: fee_history(first, fees, None))
        blocks = await gather([partial(self.listed, n) for n in range(first, last + 1)], READ_AHEAD)
        return await self._in_thread(
            lambda: fee_history(first, fees, tuple(rewards(b.entries, percentiles) for b in blocks))
        )

    # ------------------------------------------------------------------ logs

    async def block_logs(self, number: int) -> tuple[LogView, ...]:
        """All logs of a block that exists."""
        return await log_search.of_block(self, number)

    async def logs(self, wanted: LogFilter) -> tuple[LogView, ...]:
        """Matching logs in chain order. Raises LimitExceeded, ServerError for an unknown block, InvalidParams
        for a range that ends beyond the head or before it begins (execution-apis)."""
        head = await self.block_number()
        if wanted.block_hash is not None:
            number = await self.number_of(BlockHash(wanted.block_hash))
            if number is None:
                raise ServerError("unknown block")
            first = last = number
        else:
            first, last = _tag(wanted.from_block, head), _tag(wanted.to_block, head)
            if max(first, last) > head:
                raise InvalidParams("block range extends beyond current head block")
            if first > last:
                raise InvalidParams("invalid block range params")
        return await log_search.search(self, first, last, wanted)


def _is_tag(ref: BlockRef) -> bool:
    return isinstance(ref, str) and ref != "earliest"


def _tag(ref: BlockTag | int, head: int) -> int:
    if isinstance(ref, int):
        return ref
    return 0 if ref == "earliest" else head
