"""The ports through which the JSON-RPC asks chains; the node implements them.

A `ChainBackend` is one chain: the network view, or a shard's own. Where a block, transaction or receipt is the
result, None means there is no such thing and becomes `null`; where a value at a block is the result and
the block is unknown, raise `ServerError("header not found")`. Any `rpc.errors.RpcError` reaches the
caller as it is; any other exception is logged and reaches the caller as an internal error. Calls run
concurrently and may be cancelled when their time is up.
"""

from typing import Any, Protocol

from rpc.fault_port import FaultBackend
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


class PoolBackend(Protocol):
    """The pools in which the transactions of a chain wait."""

    async def counts(self) -> tuple[int, int]:
        """(pending, queued) over all pools."""

    async def content(self, sender: bytes | None) -> PoolView:
        """The pools' transactions, of one sender or of all."""

    async def since(self, cursor: int | None) -> PendingPage:
        """The transactions that came into the pools since `cursor`; None starts now."""


class TraceBackend(Protocol):
    """Traces of executions. They come ready for JSON: their shapes are those of geth's tracers."""

    async def transaction(self, hash: bytes, options: TraceOptions) -> Any:
        """The trace of an included transaction on the shard where it ran. Raises `ServerError`,
        `LimitExceeded`.
        """

    async def reason(self, hash: bytes) -> dict[str, Any] | None:
        """The reason why an included transaction failed, ready for JSON; None if it succeeded. Raises as
        `transaction` does.
        """

    async def block(self, ref: BlockRef, options: TraceOptions) -> Any:
        """A list with `txHash` and `result` for each transaction of a block."""

    async def call(
        self, request: CallRequest, ref: BlockRef, overrides: Overrides, options: TraceOptions
    ) -> Any:
        """The trace of a call."""


class ChainBackend(Protocol):
    """One chain, as the JSON-RPC sees it."""

    @property
    def pool(self) -> PoolBackend: ...

    @property
    def traces(self) -> TraceBackend: ...

    @property
    def pool_shards(self) -> tuple[int, ...]:
        """The shards whose blocks make up the chain, and whose pools its transactions wait in."""

    async def config(self) -> dict[str, Any]:
        """The rules of the chain (EIP-7910), ready for JSON."""

    async def block_number(self) -> int:
        """The number of the latest block."""

    async def block(self, ref: BlockRef, full: bool) -> BlockView | None:
        """A block, with whole transactions if `full`. "pending" is what the pools hold, as a block after the
        head."""

    async def block_transaction_count(self, ref: BlockRef) -> int | None:
        """The number of transactions of a block."""

    async def transaction_by_block_and_index(
        self, ref: BlockRef, index: int
    ) -> TransactionView | None:
        """One transaction of a block."""

    async def balance(self, address: bytes, ref: BlockRef) -> int:
        """Wei."""

    async def code(self, address: bytes, ref: BlockRef) -> bytes:
        """Contract code, empty for other accounts."""

    async def storage_at(self, address: bytes, slot: int, ref: BlockRef) -> bytes:
        """A storage word of 32 bytes."""

    async def transaction_count(self, address: bytes, ref: BlockRef) -> int:
        """The account's nonce; for "pending" with the pooled transactions counted."""

    async def call(self, request: CallRequest, ref: BlockRef, overrides: Overrides) -> bytes:
        """The output of a message call. Raises `ExecutionReverted`, `ServerError`."""

    async def estimate_gas(self, request: CallRequest, ref: BlockRef, overrides: Overrides) -> int:
        """The least gas limit with which the call succeeds. Raises as `call`."""

    async def create_access_list(
        self, request: CallRequest, ref: BlockRef, overrides: Overrides
    ) -> AccessListResult:
        """The accesses of a call. A call that fails is an answer, one that cannot be made raises."""

    async def simulate(self, request: SimulateRequest, ref: BlockRef) -> tuple[SimulatedBlock, ...]:
        """Blocks of calls on top of a block. Raises RpcError with the codes of the specification."""

    async def proof(self, address: bytes, slots: tuple[int, ...], ref: BlockRef) -> AccountProof:
        """The account and these slots with Merkle proofs against the state root of its shard."""

    async def gas_price(self) -> int:
        """A price per gas that gets a legacy transaction included soon, in wei."""

    async def max_priority_fee(self) -> int:
        """A priority fee per gas that gets a transaction included soon, in wei."""

    async def fee_history(
        self, count: int, newest: BlockRef, percentiles: tuple[float, ...]
    ) -> FeeHistory:
        """Fees of up to `count` blocks (1..1024) ending at `newest`. An empty `percentiles` means the
        caller wants no rewards; else they rise and lie in 0..100."""

    async def send_raw_transaction(self, raw: bytes) -> bytes:
        """Takes a signed transaction into the pool; its hash. Raises `TransactionRejected`."""

    async def submit(self, raw: bytes) -> bytes:
        """The same, also of what this node made for a sender whose key it does not hold."""

    async def transaction_by_hash(self, hash: bytes) -> TransactionView | None:
        """A transaction, pending or included."""

    async def transaction_receipt(self, hash: bytes) -> ReceiptView | None:
        """The receipt of an included transaction."""

    async def block_receipts(self, ref: BlockRef) -> tuple[ReceiptView, ...] | None:
        """All receipts of a block in order."""

    async def logs(self, filter: LogFilter) -> tuple[LogView, ...]:
        """Matching logs in chain order. Raises `LimitExceeded` for a range that is too wide."""

    async def block_logs(self, number: int) -> tuple[LogView, ...]:
        """All logs of a block in order, however many there are."""

    async def block_hashes(self, first: int, last: int) -> tuple[bytes, ...]:
        """The hashes of the blocks `first` to `last`, both of which exist."""

    async def wait_for_block(self, beyond: int) -> int:
        """Returns the number of the latest block as soon as it is greater than `beyond`."""

    async def raw_block(self, ref: BlockRef) -> bytes | None:
        """A block as its chain encodes it; `raw_header` is its hash's preimage."""

    async def raw_header(self, ref: BlockRef) -> bytes | None:
        """A header as its chain encodes it."""

    async def raw_receipts(self, ref: BlockRef) -> tuple[bytes, ...] | None:
        """The consensus encodings (EIP-2718) of a block's receipts."""

    async def raw_transaction(self, hash: bytes) -> bytes | None:
        """The encoding of a transaction, pending or included."""

    async def raw_transaction_at(self, ref: BlockRef, index: int) -> bytes | None:
        """The encoding of one transaction of a block."""


class WalletBackend(Protocol):
    """Signatures with the keys that the node holds. Raises `ServerError("unknown account")` if it has no such
    key.
    """

    @property
    def addresses(self) -> tuple[bytes, ...]:
        """Accounts from which the node sends for its users."""

    def sign_message(self, address: bytes, message: bytes) -> bytes:
        """The 65-byte EIP-191 signature (version 0x45) of a message."""

    async def sign_typed_data(self, address: bytes, data: dict[str, Any]) -> bytes:
        """The 65-byte EIP-712 signature of typed data. Raises `InvalidParams` if the data are not valid typed
        data.
        """

    async def fill(self, chain: ChainBackend, request: CallRequest) -> PreparedTransaction:
        """A transaction with nonce, gas and fees filled in, unsigned. Needs no key."""

    async def sign(self, chain: ChainBackend, request: CallRequest) -> PreparedTransaction:
        """The same, signed."""

    async def send(self, chain: ChainBackend, request: CallRequest) -> bytes:
        """Fills in, signs and submits; the hash. Nonces are given out in the order of the calls."""


class MiningBackend(Protocol):
    """Blocks and time as a developer sets them. Timestamps in seconds since 1970."""

    async def mine(
        self,
        chain: ChainBackend,
        blocks: int,
        interval: int = 0,
        *,
        first: int | None = None,
        at: int | None = None,
    ) -> None:
        """Make `blocks` blocks of the chain, and of each of its shards. `interval` seconds lie between two of
        them, and `first` (by default as many) before the first one, or that has the timestamp `at`. Without an
        interval they have the time of the clock.
        """

    async def increase_time(self, seconds: int) -> int:
        """Put the clock of all shards ahead; by how many seconds it is then."""

    async def set_time(self, timestamp: int) -> None:
        """Let the clock of all shards go on from this second."""

    async def set_next_time(self, timestamp: int) -> None:
        """The next block that is not empty has this timestamp, and the clock goes on from there."""

    async def automines(self) -> bool:
        """True if blocks are made as soon as there are transactions."""

    async def interval(self) -> int:
        """Milliseconds after which a block is made all the same; 0 if that was not set."""

    async def set_automine(self, on: bool) -> None:
        """Make blocks as soon as there are transactions, or do not."""

    async def set_interval(self, milliseconds: int, *, instead: bool = False) -> None:
        """Make a block in every such interval, 0 for none; `instead` of making blocks for transactions."""


class DevBackend(Protocol):
    """Development methods, which change state as no transaction can.

    What changes something returns once a block of the network's chain contains it, or raises `RpcError`.
    """

    @property
    def mining(self) -> MiningBackend: ...

    @property
    def off(self) -> str | None:
        """Why there are no development methods here; None where there are. Nothing else is asked then."""

    async def set_balance(self, address: bytes, wei: int) -> None: ...

    async def add_balance(self, address: bytes, wei: int) -> None: ...

    async def set_nonce(self, address: bytes, nonce: int) -> None: ...

    async def set_code(self, address: bytes, code: bytes) -> None: ...

    async def set_storage(self, address: bytes, slot: int, value: int) -> None: ...

    async def snapshot(self) -> int:
        """The name of what the whole network is now."""

    async def revert(self, snapshot: int) -> bool:
        """Take the whole network back to a snapshot; False if there is no such snapshot, or no longer.

        Other calls under way begin anew afterwards; this call outlives it.
        """

    async def reset(self, options: dict[str, Any] | None) -> None:
        """Take the whole network back to its first block; `options` are those of hardhat_reset. This call, too,
        outlives it."""

    async def drop_transaction(self, tx_hash: bytes) -> bool:
        """Take a transaction out of the pool of its shard; False if no pool has it."""

    async def drop_transactions(self, sender: bytes | None) -> None:
        """Take all transactions out of the pools, or those of one sender."""

    async def impersonate(self, address: bytes, on: bool) -> None: ...

    async def impersonate_all(self, on: bool) -> None: ...

    async def send_unsigned(self, chain: ChainBackend, request: CallRequest) -> bytes:
        """The hash of a transaction under a sender that need not be impersonated otherwise."""

    async def set_log_level(self, level: str) -> str:
        """Set the level of this node's log; the level that it had. Raises `InvalidParams`."""

    async def node_info(self, chain: ChainBackend) -> dict[str, Any]:
        """The answer of anvil_nodeInfo, ready for JSON."""

    async def metadata(self, chain: ChainBackend) -> dict[str, Any]:
        """The answer of hardhat_metadata, ready for JSON."""


class AtollBackend(Protocol):
    """Shards, lanes and messages. Documents are ready for JSON."""

    async def home(self, address: bytes) -> int:
        """The shard on which an account lives."""

    async def shards(self) -> list[dict[str, Any]]:
        """The shards."""

    async def committees(self, ref: BlockRef) -> dict[str, Any]:
        """The committees at a network block."""

    async def lanes(self, ref: BlockRef) -> list[dict[str, Any]]:
        """The lanes between shards at a network block."""

    async def network_block(self, ref: BlockRef) -> dict[str, Any] | None:
        """Which shard headers a network block stands for."""

    async def shard_block(self, shard: int, height: int | None) -> dict[str, Any]:
        """A block that a shard has decided, its newest one for None, without its items."""

    async def votes(self, ref: BlockRef, count: int) -> list[dict[str, Any]]:
        """The votes for the blocks that became final with `count` network blocks up to one."""

    async def trace(self, hash: bytes) -> dict[str, Any] | None:
        """Every execution and message that a transaction caused, as a tree."""

    async def message(self, id: bytes) -> dict[str, Any] | None:
        """The path of a cross-shard message."""

    async def message_events(self, cursor: int | None) -> MessagePage:
        """Events of messages after `cursor`, waiting for one; None starts now and does not wait.

        Of one message `sent` comes before `finalised` and that before `delivered`, each of them once.
        """

    async def prove_message(self, id: bytes) -> dict[str, Any] | None:
        """The proof of a message for a verifier that has only the genesis."""

    async def audit(self, ref: BlockRef) -> dict[str, Any]:
        """Conservation of value at a network block."""


class NodeFacts(Protocol):
    """Facts that only the node itself knows. Documents are ready for JSON."""

    def status(self) -> dict[str, Any]:
        """The state of the node."""

    def health(self) -> tuple[bool, dict[str, Any]]:
        """True if the node serves as it should, and details."""

    def peer_count(self) -> int:
        """Connected peers."""

    def node_info(self) -> dict[str, Any]:
        """The answer of geth's admin_nodeInfo."""

    def peers(self) -> list[dict[str, Any]]:
        """The answer of geth's admin_peers for each connected peer."""

    def validators(self) -> list[dict[str, Any]]:
        """Every validator with its stake, its losses and its jailing."""

    def evidence(self) -> dict[str, Any]:
        """The evidence against validators, in blocks and on its way there."""

    def syncing(self) -> bool:
        """True if peers claim to be well ahead of this node."""


class Backend(Protocol):
    """A node with its chains, as the JSON-RPC sees it."""

    def chain(self, scope: int | None) -> ChainBackend:
        """The network view for None, else a shard's own chain. Raises `ResourceNotFound` where there is no such
        shard."""

    @property
    def atoll(self) -> AtollBackend: ...

    @property
    def node(self) -> NodeFacts: ...

    @property
    def wallet(self) -> WalletBackend: ...

    async def syncing(self) -> dict[str, Any] | None:
        """None when in sync, else `startingBlock`, `currentBlock`, `highestBlock` as integers."""

    @property
    def dev(self) -> DevBackend:
        """Development methods, also where they are off."""

    @property
    def faults(self) -> FaultBackend:
        """Faults of this node, also where they are off."""

    async def client_version(self) -> str:
        """Such as `atoll/0.1.0/linux/python3.11`."""

    async def chain_id(self) -> int:
        """EIP-155 chain id and id of the network, one for all shards."""

    async def coinbase(self) -> bytes | None:
        """The fee recipient of the blocks that this node proposes, None if it proposes none."""
