"""The port through which the JSON-RPC asks a chain; the node implements it.

`scope` says which chain: None is the network view, an integer is that shard's own chain (and may name
a shard that does not exist: raise `ResourceNotFound`). Where a block, transaction or receipt is the
result, None means there is no such thing and becomes `null`; where a value at a block is the result and
the block is unknown, raise `ServerError("header not found")`. Any `rpc.errors.RpcError` reaches the
caller as it is; any other exception is logged and reaches the caller as an internal error. Calls run
concurrently and may be cancelled when their time is up.
"""

from typing import Any, Protocol

from rpc.development import DevBackend
from rpc.faults import FaultBackend
from rpc.wire import (
    AccessListResult,
    AccountProof,
    BlockRef,
    BlockView,
    CallRequest,
    FeeHistory,
    LogFilter,
    LogView,
    MessagePage,
    Overrides,
    PendingPage,
    PoolView,
    PreparedTransaction,
    ReceiptView,
    SimulatedBlock,
    SimulateRequest,
    TraceOptions,
    TransactionView,
)


class Backend(Protocol):
    """A chain, or a network of them, as the JSON-RPC sees it."""

    @property
    def dev(self) -> DevBackend:
        """Development methods, also where they are off."""

    @property
    def faults(self) -> FaultBackend:
        """Faults of this node, also where they are off."""

    async def client_version(self) -> str:
        """Such as `atoll/0.1.0/linux/python3.11`."""

    async def chain_id(self) -> int:
        """EIP-155 chain id, one for the whole network."""

    async def network_id(self) -> int:
        """The id of `net_version`."""

    async def peer_count(self) -> int:
        """Connected peers."""

    async def node_info(self) -> dict[str, Any]:
        """What geth's admin_nodeInfo tells, ready for JSON."""

    async def peers(self) -> list[dict[str, Any]]:
        """What geth's admin_peers tells of each connected peer, ready for JSON."""

    async def listening(self) -> bool:
        """Whether the node accepts peers."""

    async def config(self, scope: int | None) -> dict[str, Any]:
        """The rules of the chain (EIP-7910), ready for JSON."""

    async def syncing(self, scope: int | None) -> dict[str, Any] | None:
        """None when in sync, else `startingBlock`, `currentBlock`, `highestBlock` as integers."""

    async def block_number(self, scope: int | None) -> int:
        """The number of the latest block."""

    async def block_by_number(
        self, scope: int | None, ref: BlockRef, full: bool
    ) -> BlockView | None:
        """A block, with whole transactions if `full`."""

    async def block_by_hash(self, scope: int | None, hash: bytes, full: bool) -> BlockView | None:
        """A block by its hash."""

    async def block_transaction_count(self, scope: int | None, ref: BlockRef) -> int | None:
        """How many transactions a block has."""

    async def transaction_by_block_and_index(
        self, scope: int | None, ref: BlockRef, index: int
    ) -> TransactionView | None:
        """One transaction of a block."""

    async def balance(self, scope: int | None, address: bytes, ref: BlockRef) -> int:
        """Wei."""

    async def code(self, scope: int | None, address: bytes, ref: BlockRef) -> bytes:
        """Contract code, empty for other accounts."""

    async def storage_at(
        self, scope: int | None, address: bytes, slot: int, ref: BlockRef
    ) -> bytes:
        """A storage word of 32 bytes."""

    async def transaction_count(self, scope: int | None, address: bytes, ref: BlockRef) -> int:
        """The account's nonce; for "pending" with the pooled transactions counted."""

    async def call(
        self, scope: int | None, request: CallRequest, ref: BlockRef, overrides: Overrides
    ) -> bytes:
        """The output of a message call. Raises `ExecutionReverted`, `ServerError`."""

    async def estimate_gas(
        self, scope: int | None, request: CallRequest, ref: BlockRef, overrides: Overrides
    ) -> int:
        """The least gas limit with which the call succeeds. Raises as `call`."""

    async def create_access_list(
        self, scope: int | None, request: CallRequest, ref: BlockRef, overrides: Overrides
    ) -> AccessListResult:
        """What a call accesses. A call that fails is an answer, one that cannot be made raises."""

    async def simulate(
        self, scope: int | None, request: SimulateRequest, ref: BlockRef
    ) -> tuple[SimulatedBlock, ...]:
        """Blocks of calls on top of a block. Raises RpcError with the codes of the specification."""

    # Traces come ready for JSON: their shapes are those of geth's tracers.

    async def trace_transaction(self, scope: int | None, hash: bytes, options: TraceOptions) -> Any:
        """What an included transaction did where it ran. Raises `ServerError`, `LimitExceeded`."""

    async def trace_block(self, scope: int | None, ref: BlockRef, options: TraceOptions) -> Any:
        """A list with `txHash` and `result` for each transaction of a block."""

    async def trace_call(
        self,
        scope: int | None,
        request: CallRequest,
        ref: BlockRef,
        overrides: Overrides,
        options: TraceOptions,
    ) -> Any:
        """What a call would do."""

    async def proof(
        self, scope: int | None, address: bytes, slots: tuple[int, ...], ref: BlockRef
    ) -> AccountProof:
        """The account and these slots with Merkle proofs against the state root of its shard."""

    async def gas_price(self, scope: int | None) -> int:
        """A price per gas that gets a legacy transaction included soon, in wei."""

    async def max_priority_fee(self, scope: int | None) -> int:
        """A priority fee per gas that gets a transaction included soon, in wei."""

    async def fee_history(
        self, scope: int | None, count: int, newest: BlockRef, percentiles: tuple[float, ...]
    ) -> FeeHistory:
        """Fees of up to `count` blocks (1..1024) ending at `newest`. An empty `percentiles` means the
        caller wants no rewards; else they rise and lie in 0..100."""

    async def send_raw_transaction(self, scope: int | None, raw: bytes) -> bytes:
        """Takes a signed transaction into the pool; its hash. Raises `TransactionRejected`."""

    async def transaction_by_hash(self, scope: int | None, hash: bytes) -> TransactionView | None:
        """A transaction, pending or included."""

    async def transaction_receipt(self, scope: int | None, hash: bytes) -> ReceiptView | None:
        """The receipt of an included transaction."""

    async def block_receipts(
        self, scope: int | None, ref: BlockRef
    ) -> tuple[ReceiptView, ...] | None:
        """All receipts of a block in order."""

    async def logs(self, scope: int | None, filter: LogFilter) -> tuple[LogView, ...]:
        """Matching logs in chain order. Raises `LimitExceeded` for a range that is too wide."""

    # What filters and subscriptions are made of.

    async def block_logs(self, scope: int | None, number: int) -> tuple[LogView, ...]:
        """All logs of a block in order, however many there are."""

    async def block_hashes(self, scope: int | None, first: int, last: int) -> tuple[bytes, ...]:
        """The hashes of the blocks `first` to `last`, both of which exist."""

    async def wait_for_block(self, scope: int | None, beyond: int) -> int:
        """Returns the number of the latest block as soon as it is greater than `beyond`."""

    async def pending_since(self, scope: int | None, cursor: int | None) -> PendingPage:
        """What the pools took in since `cursor`; None starts now."""

    # Pools and encodings.

    async def pool_counts(self, scope: int | None) -> tuple[int, int]:
        """(pending, queued) over all pools of the scope."""

    async def pool(self, scope: int | None, sender: bytes | None) -> PoolView:
        """The pools' transactions, of one sender or of all."""

    async def raw_block(self, scope: int | None, ref: BlockRef) -> bytes | None:
        """A block as its chain encodes it; `raw_header` is its hash's preimage."""

    async def raw_header(self, scope: int | None, ref: BlockRef) -> bytes | None:
        """A header as its chain encodes it."""

    async def raw_receipts(self, scope: int | None, ref: BlockRef) -> tuple[bytes, ...] | None:
        """The consensus encodings (EIP-2718) of a block's receipts."""

    async def raw_transaction(self, scope: int | None, hash: bytes) -> bytes | None:
        """The encoding of a transaction, pending or included."""

    async def raw_transaction_by_block_and_index(
        self, scope: int | None, ref: BlockRef, index: int
    ) -> bytes | None:
        """The encoding of one transaction of a block."""

    # What the node signs.

    async def coinbase(self) -> bytes | None:
        """The fee recipient of the blocks that this node proposes, None if it proposes none."""

    async def accounts(self) -> tuple[bytes, ...]:
        """Accounts the node can sign for."""

    async def sign_message(self, address: bytes, message: bytes) -> bytes:
        """The 65-byte EIP-191 signature (version 0x45) of a message. Raises `ServerError("unknown account")`,
        as all of these do for an account whose key the node does not hold."""

    async def sign_typed_data(self, address: bytes, data: dict[str, Any]) -> bytes:
        """The 65-byte EIP-712 signature of typed data. Raises `InvalidParams` for what is none."""

    async def fill_transaction(
        self, scope: int | None, request: CallRequest
    ) -> PreparedTransaction:
        """A transaction with nonce, gas and fees filled in, unsigned. Needs no key."""

    async def sign_transaction(
        self, scope: int | None, request: CallRequest
    ) -> PreparedTransaction:
        """The same, signed."""

    async def send_transaction(self, scope: int | None, request: CallRequest) -> bytes:
        """Fills in, signs and submits; the hash. Nonces are given out in the order of the calls."""

    async def health(self) -> tuple[bool, dict[str, Any]]:
        """Whether the node serves as it should, and details ready for JSON."""

    async def home(self, address: bytes) -> int:
        """The shard on which an account lives."""

    async def shards(self) -> list[dict[str, Any]]:
        """The shards, ready for JSON."""

    async def committees(self, ref: BlockRef) -> dict[str, Any]:
        """Who decides blocks at a network block, ready for JSON."""

    async def lanes(self, ref: BlockRef) -> list[dict[str, Any]]:
        """The lanes between shards at a network block, ready for JSON."""

    async def network_block(self, ref: BlockRef) -> dict[str, Any] | None:
        """Which shard headers a network block stands for, ready for JSON."""

    async def shard_block(self, shard: int, height: int | None) -> dict[str, Any]:
        """A block that a shard has decided, its newest one for None, without its items, ready for JSON."""

    async def votes(self, ref: BlockRef, count: int) -> list[dict[str, Any]]:
        """Who voted for what became final with `count` network blocks up to one, ready for JSON."""

    async def trace(self, hash: bytes) -> dict[str, Any] | None:
        """Every execution and message that a transaction caused, as a tree, ready for JSON."""

    async def message(self, id: bytes) -> dict[str, Any] | None:
        """The path of a cross-shard message, ready for JSON."""

    async def message_events(self, cursor: int | None) -> MessagePage:
        """What happened to messages after `cursor`, waiting for something; None starts now and does not wait.

        Of one message `sent` comes before `finalised` and that before `delivered`, each of them once."""

    async def prove_message(self, id: bytes) -> dict[str, Any] | None:
        """Everything that proves a message to somebody who has only the genesis, ready for JSON."""

    async def audit(self, ref: BlockRef) -> dict[str, Any]:
        """Conservation of value at a network block, ready for JSON."""

    async def validators(self) -> list[dict[str, Any]]:
        """Every validator with its stake, what it lost and whether it is jailed, ready for JSON."""

    async def evidence(self) -> dict[str, Any]:
        """What is held against validators, in blocks and on its way there, ready for JSON."""

    async def status(self) -> dict[str, Any]:
        """What the node is doing, ready for JSON."""
