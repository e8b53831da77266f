"""What any node can be asked about one shard's chain: the values, and the port.

The network view asks for shards by this port alone. For the node's own shard it is answered from its
own database, for the others by a node of that shard over the network (the values are msgpack there, so
amounts beyond 64 bits are byte strings). Every answer about decided blocks is final: it can be cached.
"""

from typing import Protocol

import msgspec

from node.query.records import BlockBrief, ItemRecord, ShardLanes, Traffic


class AccountAt(msgspec.Struct, frozen=True, kw_only=True):
    """An account at one height. `balance` is big endian."""

    nonce: int
    balance: bytes
    code: bytes = b""


class RawBlock(msgspec.Struct, frozen=True, kw_only=True):
    """A decided block as it is stored: encoded block, encoded receipts, encoded requests."""

    block: bytes
    receipts: list[bytes]


class Departure(msgspec.Struct, frozen=True, kw_only=True):
    """The CALL message by which a transaction (or a forwarded message) left."""

    dst: int
    seq: int


class Leg(msgspec.Struct, frozen=True, kw_only=True):
    """Where a transaction was included, what it used there, and where it went if it departed."""

    height: int
    index: int
    raw: bytes
    gas_used: int
    departure: Departure | None = None


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """Where a message was delivered, with its outcome; `forwarded` if its recipient had moved on."""

    height: int
    index: int
    success: bool
    gas_used: int
    forwarded: Departure | None = None


class AccountPatch(msgspec.Struct, frozen=True, kw_only=True):
    """What a simulated call finds of an account instead of the state's; None leaves a field as it is.

    `storage` holds slots with their values, 32 bytes each; with `replace_storage` the account has no
    others. `balance` is big endian. A precompile with `moved_to` is found there instead.
    """

    address: bytes
    balance: bytes | None = None
    nonce: int | None = None
    code: bytes | None = None
    storage: list[tuple[bytes, bytes]] = []
    replace_storage: bool = False
    moved_to: bytes | None = None


class BlockPatch(msgspec.Struct, frozen=True, kw_only=True):
    """What a simulated call finds of its block instead of the header's. Fees are big endian."""

    number: int | None = None
    time: int | None = None
    gas_limit: int | None = None
    fee_recipient: bytes | None = None
    prev_randao: bytes | None = None
    base_fee: bytes | None = None
    blob_base_fee: bytes | None = None


class SignedAuthorization(msgspec.Struct, frozen=True, kw_only=True):
    """An EIP-7702 authorization. `chain_id`, `r` and `s` are big endian."""

    chain_id: bytes
    address: bytes
    nonce: int
    y_parity: int
    r: bytes
    s: bytes


class CallSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A message call to simulate. Amounts are big endian. `credit` gives `sender` the value first,
    as an arriving message would; `to` is None for a creation."""

    sender: bytes
    to: bytes | None
    value: bytes
    data: bytes
    gas: int
    gas_price: bytes = b""
    access_list: list[tuple[bytes, list[bytes]]] = []
    authorizations: list[SignedAuthorization] = []
    accounts: list[AccountPatch] = []
    block: BlockPatch | None = None
    credit: bool = False


class BlockCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call of a simulated block. `gas` and `nonce` are None for those that follow; `call.gas_price` is
    the most that the call pays, `tip` its priority fee, big endian; `call` has no overrides of its own."""

    call: CallSpec
    type: int
    tip: bytes
    gas: int | None = None
    nonce: int | None = None


class BlockSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A block to simulate."""

    calls: list[BlockCall] = []
    accounts: list[AccountPatch] = []
    block: BlockPatch | None = None


class SimulationSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Blocks to simulate on top of one another. `beacon` is the beacon block whose directory says where
    accounts live, None for that to which the block is anchored on which they stand. `guests` are accounts
    of other shards, as they are there: for the simulation they live here."""

    blocks: list[BlockSpec]
    guests: list[AccountPatch] = []
    beacon: int | None = None
    validation: bool = False
    trace_transfers: bool = False


class CalledReport(msgspec.Struct, frozen=True, kw_only=True):
    """A call that was simulated: the transaction that it was, unsigned, and its outcome. `peak_gas` is what
    it had used before refunds. `logs` are in RLP: a list of [address, topics, data]."""

    raw: bytes
    sender: bytes
    outcome: "CallOutcome"
    peak_gas: int
    logs: bytes


class BlockReport(msgspec.Struct, frozen=True, kw_only=True):
    """A block that was simulated: its header, RLP."""

    header: bytes
    calls: list[CalledReport]


class TraceSpec(msgspec.Struct, frozen=True, kw_only=True):
    """How to trace: `tracer` is "" for the struct logger or one of geth's names; the options are geth's,
    those of other tracers are ignored. `limit` is of steps, 0 for none; `milliseconds` bounds the whole
    question."""

    tracer: str = ""
    milliseconds: int = 5000
    limit: int = 0
    stack: bool = True
    storage: bool = True
    memory: bool = False
    return_data: bool = False
    only_top_call: bool = False
    with_log: bool = False
    diff_mode: bool = False


class TracedItem(msgspec.Struct, frozen=True, kw_only=True):
    """An item of a block to trace. `paid` is gas that its transaction used on another shard before."""

    index: int
    paid: int = 0


class Accessed(msgspec.Struct, frozen=True, kw_only=True):
    """What a call accesses beyond what is warm from the start, and how the call with that list ends."""

    access_list: list[tuple[bytes, list[bytes]]]
    outcome: "CallOutcome"


class SlotProof(msgspec.Struct, frozen=True, kw_only=True):
    """The proof of one slot against the account's storage root; `value` is big endian."""

    slot: bytes
    value: bytes
    proof: list[bytes]


class ProvenAccount(msgspec.Struct, frozen=True, kw_only=True):
    """An account with the proof of it against the state root of its shard's header, nodes from the root
    down. `balance` is big endian."""

    nonce: int
    balance: bytes
    code_hash: bytes
    storage_root: bytes
    proof: list[bytes]
    slots: list[SlotProof]


class CallOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """`error` is None for success, "execution reverted" for a revert, else the EVM's reason."""

    error: str | None
    output: bytes
    gas_used: int


class PoolCounts(msgspec.Struct, frozen=True, kw_only=True):
    pending: int
    queued: int


class PoolDump(msgspec.Struct, frozen=True, kw_only=True):
    """Pooled transactions as signed, by sender and nonce; as many as an answer can hold. `reasons` says by
    hash why some of `pending` wait all the same."""

    pending: list[bytes]
    queued: list[bytes]
    reasons: dict[bytes, str] = {}


class PoolNews(msgspec.Struct, frozen=True, kw_only=True):
    """Hashes of transactions that came into the pool, oldest first. `position` in the news of `epoch` is
    where to go on; another node, or this one after a restart, has another epoch."""

    epoch: int
    position: int
    hashes: list[bytes]


class Supply(msgspec.Struct, frozen=True, kw_only=True):
    """Sum of all balances, and all wei ever destroyed on the shard, at one height; big endian. `issued` is
    what development operations made, less what they took away: 32 bytes, two's complement."""

    balances: bytes
    burned: bytes
    issued: bytes = bytes(32)


class MessageAt(msgspec.Struct, frozen=True, kw_only=True):
    """A message of this shard's outbox and the block that sent it."""

    height: int
    index: int
    message: bytes


class LaneKey(msgspec.Struct, frozen=True, kw_only=True):
    src: int
    dst: int
    seq: int


BUSY = -32005
"""The code of what is refused since there is too much to do."""


class Refused(Exception):
    """The shard understood and says no; `code` is that of JSON-RPC, the text is for the user."""

    def __init__(self, message: str, code: int = -32000) -> None:
        super().__init__(message)
        self.code = code


class ShardUnavailable(Exception):
    """No node of the shard answered in time."""


class ShardSource(Protocol):
    """One shard's chain. `height` names a decided block; a node that is not there yet waits a little.

    Raises Refused, or ShardUnavailable.
    """

    async def head(self) -> int: ...

    async def account(self, height: int, address: bytes, code: bool) -> AccountAt: ...

    async def storage(self, height: int, address: bytes, slot: bytes) -> bytes: ...

    async def block(self, height: int) -> RawBlock: ...

    async def height_of(self, block_hash: bytes) -> int | None: ...

    async def leg(self, tx_hash: bytes) -> Leg | None: ...

    async def legs(self, tx_hashes: list[bytes]) -> list[Leg | None]: ...

    async def delivery(self, src: int, seq: int) -> Delivery | None: ...

    async def call(self, height: int, spec: CallSpec) -> CallOutcome: ...

    async def estimate(self, height: int, spec: CallSpec) -> CallOutcome:
        """`gas_used` is the least gas limit that succeeds; with `credit` without intrinsic gas."""

    async def access_list(self, height: int, spec: CallSpec) -> Accessed: ...

    async def simulate_blocks(self, height: int, spec: SimulationSpec) -> list[BlockReport]:
        """Blocks on top of one, each call on what those before it left."""

    async def trace_items(self, height: int, items: list[TracedItem], trace: TraceSpec) -> bytes:
        """What items of a block did, in the order of `items`: a JSON array, compressed (zlib)."""

    async def trace_call(self, height: int, spec: CallSpec, trace: TraceSpec) -> bytes:
        """What a call would do: JSON, compressed."""

    async def prove(self, height: int, address: bytes, slots: list[bytes]) -> ProvenAccount: ...

    async def submit(self, raw: bytes, known: int = 0) -> bytes:
        """Take in a transaction of a user who can have seen network block `known`."""

    async def pool_nonce(self, address: bytes, known: int = 0) -> int:
        """The next nonce, `known` as for `submit`."""

    async def pooled(self, tx_hash: bytes) -> bytes | None: ...

    async def pool_counts(self) -> PoolCounts: ...

    async def pool_content(self, sender: bytes | None) -> PoolDump: ...

    async def pool_news(self, epoch: int, position: int) -> PoolNews:
        """What came after a position. An epoch of 0 (or another node's) starts at what comes from now on."""

    async def find_message(self, message_id: bytes) -> LaneKey | None: ...

    async def sent(self, dst: int, seq: int) -> MessageAt | None: ...

    async def item(self, height: int, index: int) -> ItemRecord | None: ...

    async def arrival(self, src: int, seq: int, logs: bool) -> ItemRecord | None:
        """The item that delivered a message here."""

    async def block_brief(self, height: int) -> BlockBrief: ...

    async def traffic(self, height: int) -> Traffic: ...

    async def lanes(self) -> ShardLanes: ...

    async def in_flight(self, dst: int, start: int, stop: int) -> bytes:
        """Wei (big endian) of the messages [start, stop) of the lane to `dst`."""

    async def supply(self, height: int) -> Supply: ...
