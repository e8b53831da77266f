"""The values that cross the border between the JSON-RPC and a backend.

Everything here is native Python: addresses are 20 bytes, hashes 32, blooms 256, amounts are integers in
wei, timestamps are seconds. `rpc.decode` makes the requests out of JSON, `rpc.render` makes JSON out of
the results; a backend sees neither. Field names are those of the execution-apis specification
(https://github.com/ethereum/execution-apis) in snake case.
"""

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

BlockTag: TypeAlias = Literal["latest", "pending", "safe", "finalized", "earliest"]


@dataclass(frozen=True, slots=True)
class BlockHash:
    """A block named by its hash (EIP-1898). Chains with single-block finality have canonical blocks only."""

    hash: bytes


BlockRef: TypeAlias = BlockTag | int | BlockHash
"""The name of a block in a request: its tag, number or hash. Match it as `case str(): ... case int(): ... case
BlockHash(): ...`.
"""


@dataclass(frozen=True, slots=True)
class AccessListEntry:
    """One account of an EIP-2930 access list; the keys are 32 bytes each."""

    address: bytes
    storage_keys: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SetCodeAuthorization:
    """One signed authorization of an EIP-7702 transaction."""

    chain_id: int
    address: bytes
    nonce: int
    y_parity: int
    r: int
    s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRequest:
    """The transaction object of `eth_call` and `eth_estimateGas`. None means the caller left it out;
    `to=None` is a contract creation. At most one of `gas_price` and the EIP-1559 fees is set."""

    from_: bytes | None = None
    to: bytes | None = None
    gas: int | None = None
    gas_price: int | None = None
    max_fee_per_gas: int | None = None
    max_priority_fee_per_gas: int | None = None
    value: int | None = None
    data: bytes = b""
    nonce: int | None = None
    access_list: tuple[AccessListEntry, ...] | None = None
    authorization_list: tuple[SetCodeAuthorization, ...] | None = None
    type: int | None = None
    chain_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountOverride:
    """Overrides of an account for a simulated call. `state` replaces the whole storage, `state_diff` single
    slots (slot and value are integers); at most one of the two is set. A precompile with `moved_to` is moved to
    that address.
    """

    balance: int | None = None
    nonce: int | None = None
    code: bytes | None = None
    state: dict[int, int] | None = None
    state_diff: dict[int, int] | None = None
    moved_to: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockOverrides:
    """Overrides of the block's header for a simulated call."""

    number: int | None = None
    time: int | None = None
    gas_limit: int | None = None
    fee_recipient: bytes | None = None
    prev_randao: bytes | None = None
    base_fee_per_gas: int | None = None
    blob_base_fee: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """The third and fourth arguments of `eth_call`."""

    accounts: dict[bytes, AccountOverride] = field(default_factory=dict)
    block: BlockOverrides = BlockOverrides()


NO_OVERRIDES = Overrides()


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulateBlock:
    """A block of `eth_simulateV1`: its overrides, and the calls in it."""

    calls: tuple[CallRequest, ...] = ()
    overrides: Overrides = NO_OVERRIDES


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulateRequest:
    """The payload of `eth_simulateV1`; each block stands on the one before it."""

    blocks: tuple[SimulateBlock, ...]
    validation: bool = False
    trace_transfers: bool = False
    full_transactions: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceOptions:
    """Options of a trace: `tracer` is one of geth's names, "" for the struct logger; the other fields are
    geth's options, and mean something to one tracer or another. `timeout` in seconds, for all executions of the
    request on one shard; `limit` in steps, 0 for no limit.
    """

    tracer: str = ""
    timeout: float = 5.0
    limit: int = 0
    disable_stack: bool = False
    disable_storage: bool = False
    enable_memory: bool = False
    enable_return_data: bool = False
    only_top_call: bool = False
    with_log: bool = False
    diff_mode: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFilter:
    """The object of `eth_getLogs`: a range of blocks, both ends included, or one block by its hash (then
    the range is meaningless). No addresses means any; a topic position of None means any, and positions
    beyond the tuple are free."""

    from_block: BlockTag | int = "latest"
    to_block: BlockTag | int = "latest"
    block_hash: bytes | None = None
    addresses: tuple[bytes, ...] = ()
    topics: tuple[tuple[bytes, ...] | None, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionView:
    """A transaction, pending while `block_hash` is None.

    `gas_price` is what the sender pays per gas: for types 2 and 4 the effective price once included,
    before that the cap. `v` equals `y_parity` for types 1, 2 and 4; system transactions (0x7c, 0x7d, 0x7e)
    are unsigned and have zeros. `extra` holds further JSON members, ready to send, such as the
    `sourceHash`, `mint` and `isSystemTx` that clients know from OP-stack deposits.
    """

    hash: bytes
    type: int
    chain_id: int | None
    nonce: int
    from_: bytes
    to: bytes | None
    value: int
    gas: int
    gas_price: int
    max_fee_per_gas: int | None = None
    max_priority_fee_per_gas: int | None = None
    input: bytes = b""
    access_list: tuple[AccessListEntry, ...] | None = None
    authorization_list: tuple[SetCodeAuthorization, ...] | None = None
    y_parity: int | None = None
    v: int = 0
    r: int = 0
    s: int = 0
    block_hash: bytes | None = None
    block_number: int | None = None
    block_timestamp: int | None = None
    transaction_index: int | None = None
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogView:
    """One log; `log_index` counts through the block."""

    address: bytes
    topics: tuple[bytes, ...]
    data: bytes
    block_hash: bytes
    block_number: int
    block_timestamp: int
    transaction_hash: bytes
    transaction_index: int
    log_index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptView:
    """A receipt; `status` is 1 for success. `extra` as in `TransactionView`."""

    transaction_hash: bytes
    transaction_index: int
    block_hash: bytes
    block_number: int
    from_: bytes
    to: bytes | None
    cumulative_gas_used: int
    gas_used: int
    contract_address: bytes | None
    logs: tuple[LogView, ...]
    logs_bloom: bytes
    status: int
    effective_gas_price: int
    type: int
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockView:
    """A block with the hashes of its transactions or with the transactions themselves. It has the fields of
    Prague, and neither withdrawals nor uncles.

    `hash` and `nonce` are None for a pending block. `size` is that of the RLP in bytes.
    """

    number: int
    hash: bytes | None
    parent_hash: bytes
    nonce: bytes | None
    sha3_uncles: bytes
    logs_bloom: bytes
    transactions_root: bytes
    state_root: bytes
    receipts_root: bytes
    miner: bytes
    difficulty: int
    extra_data: bytes
    size: int
    gas_limit: int
    gas_used: int
    timestamp: int
    base_fee_per_gas: int
    mix_hash: bytes
    withdrawals_root: bytes
    blob_gas_used: int
    excess_blob_gas: int
    parent_beacon_block_root: bytes
    requests_hash: bytes
    transactions: tuple[bytes, ...] | tuple[TransactionView, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SimulatedFailure:
    """Why a simulated call failed; `data` is None where it did not revert."""

    code: int
    message: str
    data: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedCallResult:
    """The outcome of a call of `eth_simulateV1`. `peak_gas` is the gas used before refunds."""

    status: int
    return_data: bytes
    gas_used: int
    peak_gas: int
    logs: tuple[LogView, ...]
    error: SimulatedFailure | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedBlock:
    """A block that was simulated."""

    block: BlockView
    calls: tuple[SimulatedCallResult, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeHistory:
    """The answer of `eth_feeHistory` over n blocks: n + 1 base fees (the last is that of the block after
    the range), n ratios of gas used to gas limit, and n rows of rewards, one per asked percentile, or
    None if no percentiles were asked."""

    oldest_block: int
    base_fee_per_gas: tuple[int, ...]
    gas_used_ratio: tuple[float, ...]
    reward: tuple[tuple[int, ...], ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageProof:
    """The Merkle proof of one slot; `value` is zero where the proof is one of absence."""

    slot: int
    value: int
    proof: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountProof:
    """The answer of `eth_getProof` (EIP-1186): the account, and trie nodes from the root down."""

    address: bytes
    balance: int
    nonce: int
    code_hash: bytes
    storage_hash: bytes
    account_proof: tuple[bytes, ...]
    storage: tuple[StorageProof, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessListResult:
    """The accesses of a call, the gas it uses with that list, and the reason of its failure (None if it
    succeeds).
    """

    access_list: tuple[AccessListEntry, ...]
    gas_used: int
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolView:
    """Pooled transactions: `pending` can be included, `queued` waits for a missing nonce."""

    pending: tuple[TransactionView, ...]
    queued: tuple[TransactionView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedTransaction:
    """A transaction with everything filled in, and its encoding: signed or not."""

    raw: bytes
    view: TransactionView


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingPage:
    """Hashes of transactions that pools took in after a cursor, oldest first, and the next cursor.
    `missed` is set if there were more than are remembered."""

    cursor: int
    hashes: tuple[bytes, ...]
    missed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageFilter:
    """The events of messages that a subscription wants; a field of None selects all. A message matches an
    address that it is from or to, and a shard that it is of or for.
    """

    ids: frozenset[bytes] | None = None
    addresses: frozenset[bytes] | None = None
    shards: frozenset[int] | None = None
    events: frozenset[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageEvent:
    """Something that happened to a message: `sent`, `finalised` or `delivered`. `details` is ready for JSON."""

    event: str
    id: bytes
    addresses: tuple[bytes, bytes]
    shards: tuple[int, int]
    details: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class MessagePage:
    """Events after a cursor, oldest first, and the next cursor. `missed` is set if there were more than are
    remembered."""

    cursor: int
    events: tuple[MessageEvent, ...]
    missed: bool = False
