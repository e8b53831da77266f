"""Takes the shard chain in a store back to an earlier block. Trie nodes stay: they are named by content."""

from node.execution.state.receipts import decode_receipt
from node.primitives import rlp
from node.primitives.basics import keccak256
from node.primitives.errors import CorruptData
from node.primitives.message import Message
from node.shard import messenger, schema
from node.shard.block import ARRIVAL_TYPE, BEACON_OPS_TYPE, ShardBlock
from node.storage.kv import KeyValueStore

CHUNK_KEYS = 20_000
"""Deleted at a time. Between two chunks the store holds a sound chain of some height."""


def rewind_shard(store: KeyValueStore, height: int) -> None:
    """Undo every block above `height`, from the head down; does nothing if the head is not above it."""
    raw = store.get(schema.HEAD)
    head = int.from_bytes(raw, "big") if raw else 0
    batch: dict[bytes, bytes | None] = {}
    while head > height:
        batch |= dict.fromkeys(_keys(store, head))
        head -= 1
        if len(batch) >= CHUNK_KEYS or head == height:
            batch[schema.HEAD] = head.to_bytes(8, "big") if head else None
            store.write(batch, sync=True)
            batch = {}


def _keys(store: KeyValueStore, height: int) -> list[bytes]:
    """The keys that `ShardChain.commit` wrote for a block, except the trie nodes."""
    block = ShardBlock.decode(_read(store, schema.block(height), height))
    keys = [
        schema.block(height),
        schema.header(height),
        schema.certificate(height),
        schema.requests(height),
        schema.receipts(height),
        schema.by_hash(block.hash),
    ]
    for raw in block.items:
        if raw[0] == ARRIVAL_TYPE:
            message = Message.decode(raw[1:])
            keys += [schema.inbox(message.src, message.seq), schema.message(message.id)]
        elif raw[0] != BEACON_OPS_TYPE:
            keys.append(schema.transaction(keccak256(raw)))
    for item in rlp.decode_list(_read(store, schema.receipts(height), height)):
        for log in decode_receipt(rlp.as_bytes(item)).logs:
            sent = messenger.read_sent_log(log)
            if sent is not None:
                keys += [schema.outbox(sent.dst, sent.seq), schema.message(sent.id)]
    return keys


def _read(store: KeyValueStore, key: bytes, height: int) -> bytes:
    raw = store.get(key)
    if raw is None:
        raise CorruptData(f"the database lacks a part of block {height} of the shard")
    return raw
