"""The shard chain on disk: reads, and one atomic write per block."""

import math
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import TypeVar

from consensus.codec import decode_certificate, encode_certificate
from consensus.types import Certificate
from node.execution.evm.evm import Evm
from node.execution.state.guests import Border, Guests, SpanningState
from node.execution.state.receipts import Receipt, decode_receipt
from node.execution.state.state import State
from node.execution.state.state_store import StateStore
from node.execution.trie.trie_cache import DEFAULT_CACHE_NODES
from node.primitives import rlp
from node.primitives.basics import Address, Hash32, ShardId, keccak256
from node.primitives.decoding import decoder, decoding
from node.primitives.dev_operation import DEV_OPERATION_TYPE, DevOperation
from node.primitives.errors import CorruptData, InvalidBlock, UserError
from node.primitives.genesis import Genesis
from node.primitives.header import Header
from node.primitives.message import Message
from node.primitives.requests import ShardRequests
from node.primitives.transaction import Transaction, decode_transaction
from node.shard import messenger, schema
from node.shard.block import ShardBlock
from node.shard.block_frame import BlockEnv, ShardRules
from node.shard.genesis import shard_genesis
from node.shard.judge import BuiltBlock, build, judge
from node.shard.lanes import InboundLane, Tails
from node.shard.ports import Anchor
from node.shard.recent import RecentBlock, RecentBlocks
from node.shard.run import BlockRun, ExecutedBlock, no_clock
from node.shard.selection import TransactionSource
from node.storage.kv import KeyValueStore

_T = TypeVar("_T")

CACHED_BLOCKS = 64
CACHED_HEADERS = 1024  # above the 256 that BLOCKHASH reaches
_REMEDY = ": delete the node's data directory and start it; it syncs from its peers"


class ShardChain:
    """Blocks, receipts, messages and state of one shard, with single-block finality."""

    def __init__(
        self,
        store: KeyValueStore,
        genesis: Genesis,
        shard: ShardId,
        *,
        cache_nodes: int = DEFAULT_CACHE_NODES,
    ) -> None:
        """`cache_nodes` bounds the decoded nodes of the state in memory."""
        self._store = store
        self.shard = shard
        self.rules = ShardRules(
            chain_id=genesis.chain_id, shard=shard, shards=genesis.shards, params=genesis.params
        )
        self.evm = Evm(genesis.chain_id)
        self._states = StateStore(self._read_node, cache_nodes=cache_nodes)
        self.genesis_header = self._open_genesis(genesis)
        self._headers: Callable[[int], Header] = lru_cache(CACHED_HEADERS)(self._load_header)
        self._blocks: Callable[[int], ShardBlock] = lru_cache(CACHED_BLOCKS)(self._load_block)
        self._receipts: Callable[[int], tuple[Receipt, ...]] = lru_cache(CACHED_BLOCKS)(
            self._load_receipts
        )
        self._recent = RecentBlocks()
        raw = store.get(schema.HEAD)
        self._head = self.header(int.from_bytes(raw, "big")) if raw else self.genesis_header

    # ------------------------------------------------------------------ opening

    def _read_node(self, key: bytes) -> bytes | None:
        return self._store.get(schema.NODE + key)

    def _open_genesis(self, genesis: Genesis) -> Header:
        header, delta = shard_genesis(genesis, self.shard)
        known = self._store.get(schema.GENESIS)
        if known is None:
            batch: dict[bytes, bytes | None] = {schema.NODE + k: v for k, v in delta.nodes.items()}
            batch[schema.GENESIS] = header.encoded
            batch[schema.by_hash(header.hash)] = (0).to_bytes(8, "big")
            self._store.write(batch, sync=True)
        elif known != header.encoded:
            raise UserError(
                "the data directory belongs to another network: the genesis block of shard "
                f"{self.shard} is 0x{Header.decode(known).hash.hex()}, this network's is "
                f"0x{header.hash.hex()}; use the genesis file it was made with, "
                "or an empty data directory"
            )
        return header

    def _must(self, key: bytes, what: str, decode: Callable[[bytes], _T]) -> _T:
        raw = self._store.get(key)
        if raw is None:
            raise CorruptData(f"the database lacks {what}{_REMEDY}")
        with decoding(
            "",
            lambda reason: CorruptData(f"the database holds a damaged {what}: {reason}{_REMEDY}"),
        ):
            return decode(raw)

    # ------------------------------------------------------------------ reads

    @property
    def head(self) -> Header:
        return self._head

    def _load_header(self, height: int) -> Header:
        return self._must(schema.header(height), f"header of block {height}", Header.decode)

    def _load_block(self, height: int) -> ShardBlock:
        return self._must(schema.block(height), f"block {height}", ShardBlock.decode)

    def block(self, height: int) -> ShardBlock | None:
        """The block at `height`, None above the head."""
        if not 0 <= height <= self._head.number:
            return None
        if height == 0:
            return ShardBlock(header=self.genesis_header, items=())
        recent = self._recent.get(height)
        return self._blocks(height) if recent is None else recent.block

    def recent(self, height: int) -> RecentBlock | None:
        """A block that was decided a moment ago, decoded; None for older ones."""
        return self._recent.get(height)

    def is_recent(self, tx_hash: bytes) -> bool:
        """True if the transaction is in a block that `recent` gives."""
        return self._recent.place(tx_hash) is not None

    def header(self, height: int) -> Header:
        """The header at `height`. Raises CorruptData where the disk lacks it, as above the head."""
        return self._headers(height) if height else self.genesis_header

    def height_of(self, block_hash: bytes) -> int | None:
        raw = self._store.get(schema.by_hash(block_hash))
        return int.from_bytes(raw, "big") if raw is not None else None

    def hash_of(self, height: int) -> Hash32 | None:
        """The hash of the block at `height`, None above the head. A contract may ask for any of 256
        ancestors in every few gas, so this reads headers only."""
        return self.header(height).hash if 0 <= height <= self._head.number else None

    def certificate(self, height: int) -> Certificate:
        what = f"certificate of block {height}"
        return self._must(schema.certificate(height), what, decode_certificate)

    def requests(self, height: int) -> ShardRequests:
        what = f"requests of block {height}"
        return self._must(schema.requests(height), what, _decode_requests)

    def _load_receipts(self, height: int) -> tuple[Receipt, ...]:
        what = f"receipts of block {height}"
        return self._must(schema.receipts(height), what, _decode_receipts)

    def receipts(self, height: int) -> tuple[Receipt, ...]:
        recent = self._recent.get(height)
        if recent is not None:
            return recent.receipts
        return self._receipts(height) if height else ()

    def find_transaction(self, tx_hash: bytes) -> tuple[int, int] | None:
        """(height, index) of a transaction, or a development operation, included here."""
        recent = self._recent.place(tx_hash)
        if recent is not None:
            return recent
        raw = self._store.get(schema.transaction(tx_hash))
        return schema.read_place(raw) if raw else None

    def sent(self, dst: ShardId, seq: int) -> tuple[int, int, Message] | None:
        """(height, index, message) of what this shard sent as number `seq` of its lane to `dst`."""
        raw = self._store.get(schema.outbox(dst, seq))
        return (*schema.read_place(raw), Message.decode(raw[12:])) if raw else None

    def sent_range(self, dst: ShardId, start: int, count: int) -> Iterator[bytes]:
        """The encoded messages of a lane from `start` on, at most `count`, without a gap."""
        for seq in range(start, start + count):
            raw = self._store.get(schema.outbox(dst, seq))
            if raw is None:
                return
            yield raw[12:]

    def sent_in(self, height: int) -> list[tuple[int, Message]]:
        """(index, message) of everything the block at `height` sent, read from its receipts."""
        out = []
        for index, receipt in enumerate(self.receipts(height)):
            for log in receipt.logs:
                if (message := messenger.read_sent_log(log)) is not None:
                    out.append((index, message))
        return out

    def delivered(self, src: ShardId, seq: int) -> tuple[int, int] | None:
        """(height, index) where message `seq` of the lane from `src` was delivered here."""
        raw = self._store.get(schema.inbox(src, seq))
        return schema.read_place(raw) if raw else None

    def find_message(self, message_id: bytes) -> tuple[ShardId, ShardId, int] | None:
        """(src, dst, seq) of a message that was sent or delivered here."""
        raw = self._store.get(schema.message(message_id))
        if raw is None:
            return None
        src, dst = int.from_bytes(raw[:4], "big"), int.from_bytes(raw[4:8], "big")
        return ShardId(src), ShardId(dst), int.from_bytes(raw[8:], "big")

    def state(self, header: Header | None = None) -> State:
        """A state to read (or run calls on) as of `header`, the head by default."""
        return self._states.open((header or self._head).state_root)

    def spanning_state(self, header: Header, border: Border, guests: Guests) -> SpanningState:
        """The state as of `header` with accounts of other shards."""
        return self._states.open_spanning(header.state_root, border, guests)

    @property
    def cached_nodes(self) -> int:
        """The decoded nodes of the state in memory."""
        return self._states.cached_nodes

    @property
    def node_loads(self) -> tuple[int, int]:
        """See `StateStore.loads`."""
        return self._states.loads

    @property
    def read_node(self) -> Callable[[bytes], bytes | None]:
        return self._read_node

    # ------------------------------------------------------------------ blocks

    def _run(
        self, env: BlockEnv, parent: Header | None = None, clock: Callable[[], float] = no_clock
    ) -> BlockRun:
        parent = parent or self._head
        return BlockRun(
            rules=self.rules,
            evm=self.evm,
            state=self._states.open(parent.state_root),
            parent=parent,
            env=env,
            block_hash=self.hash_of,
            clock=clock,
        )

    def build(
        self,
        env: BlockEnv,
        lanes: dict[ShardId, InboundLane],
        source: TransactionSource,
        operations: Iterable[DevOperation] = (),
        *,
        clock: Callable[[], float] = no_clock,
        arrival_seconds: float = math.inf,
    ) -> BuiltBlock:
        """See `judge.build`; `clock` is in seconds."""
        new = [op for op in operations if self.find_transaction(op.hash) is None]
        run = self._run(env, clock=clock)
        return build(run, lanes, source, new, arrival_seconds=arrival_seconds)

    def judge(
        self,
        block: ShardBlock,
        anchor: Anchor,
        tails: Tails | None,
        decode: Callable[[bytes], Transaction] = decode_transaction,
        *,
        clock: Callable[[], float] = no_clock,
    ) -> ExecutedBlock:
        """Raises InvalidBlock. The anchor must be the one the header names; `decode` as in `judge.judge`."""
        header = block.header
        if header.number != self._head.number + 1 or header.parent_hash != self._head.hash:
            raise InvalidBlock(f"block {header.number} does not follow our head")
        if header.parent_beacon_block_root != anchor.hash:
            raise InvalidBlock("the anchor is not the one the header names")
        self._check_operations(block)
        return judge(self._run(_env(header, anchor), clock=clock), block, tails, decode)

    def _check_operations(self, block: ShardBlock) -> None:
        """A development operation stands in the chain once: its salt makes it another one."""
        seen: set[bytes] = set()
        for raw in block.items:
            if raw[:1] == bytes([DEV_OPERATION_TYPE]):
                name = keccak256(raw)
                if name in seen or self.find_transaction(name) is not None:
                    raise InvalidBlock("a development operation stands in the chain already")
                seen.add(name)

    def run_again(self, header: Header, anchor: Anchor) -> BlockRun:
        """The beginning of a decided block other than the genesis, to execute it once more."""
        return self._run(_env(header, anchor), self.header(header.number - 1))

    def commit(self, executed: ExecutedBlock, certificate: Certificate) -> None:
        """Make a decided block the head: one atomic, durable write.

        Raises InvalidBlock where it does not follow the head, ValueError where the certificate is for
        another block (a bug of ours), and whatever the store raises; nothing has changed then.
        """
        header, height = executed.header, executed.header.number
        if height != self._head.number + 1 or header.parent_hash != self._head.hash:
            raise InvalidBlock(f"block {height} does not follow our head {self._head.number}")
        if certificate.height != height or certificate.block_id != bytes(header.hash):
            raise ValueError("the certificate is for another block")
        batch: dict[bytes, bytes | None] = {
            schema.NODE + k: v for k, v in executed.delta.nodes.items()
        }
        batch[schema.block(height)] = executed.block.encoded
        batch[schema.header(height)] = header.encoded
        batch[schema.certificate(height)] = encode_certificate(certificate)
        batch[schema.requests(height)] = rlp.encode(list(executed.requests.encoded))
        batch[schema.receipts(height)] = rlp.encode([r.encoded for r in executed.receipts])
        batch[schema.by_hash(header.hash)] = height.to_bytes(8, "big")
        for index, tx in executed.decoded:
            batch[schema.transaction(tx.hash)] = schema.place(height, index)
        for index, operation in executed.operations:
            batch[schema.transaction(operation.hash)] = schema.place(height, index)
        for sent in executed.sent:
            message = sent.message
            batch[schema.outbox(message.dst, message.seq)] = (
                schema.place(height, sent.index) + message.encoded
            )
            batch[schema.message(message.id)] = _lane_key(message)
        for index, message in executed.delivered:
            batch[schema.inbox(message.src, message.seq)] = schema.place(height, index)
            batch[schema.message(message.id)] = _lane_key(message)
        batch[schema.HEAD] = height.to_bytes(8, "big")
        self._store.write(batch, sync=True)
        self._head = header
        self._recent.add(executed)


def _env(header: Header, anchor: Anchor) -> BlockEnv:
    return BlockEnv(coinbase=header.coinbase, timestamp=header.timestamp, anchor=anchor)


@decoder("requests")
def _decode_requests(raw: bytes) -> ShardRequests:
    return ShardRequests.decode([rlp.as_bytes(item) for item in rlp.decode_list(raw)])


@decoder("receipts")
def _decode_receipts(raw: bytes) -> tuple[Receipt, ...]:
    return tuple(decode_receipt(rlp.as_bytes(item)) for item in rlp.decode_list(raw))


def _lane_key(message: Message) -> bytes:
    return (
        message.src.to_bytes(4, "big")
        + message.dst.to_bytes(4, "big")
        + message.seq.to_bytes(8, "big")
    )


class HeadAccounts:
    """The pool's view of accounts: a state at one header."""

    def __init__(self, state: State) -> None:
        self._state = state

    def nonce(self, address: Address) -> int:
        return self._state.nonce(address)

    def balance(self, address: Address) -> int:
        return self._state.balance(address)
