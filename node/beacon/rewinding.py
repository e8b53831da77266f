"""Takes the beacon chain in a store back to an earlier block. Trie nodes stay: they are named by content."""

from node.beacon import schema
from node.beacon.block import BeaconBlock
from node.primitives.errors import CorruptData
from node.storage.kv import KeyValueStore

CHUNK_KEYS = 20_000
"""Deleted at a time. Between two chunks the store holds a sound chain of some height."""


def rewind_beacon(store: KeyValueStore, height: int) -> None:
    """Undo every block above `height`, from the head down; does nothing if the head is not above it."""
    raw = store.get(schema.HEAD)
    head = schema.decode_height(raw) if raw else 0
    batch: dict[bytes, bytes | None] = {}
    while head > height:
        block = _block(store, head)
        batch |= dict.fromkeys(_keys(block))
        head -= 1
        if len(batch) >= CHUNK_KEYS or head == height:
            batch[schema.HEAD] = schema.encode_height(head)
            store.write(batch, sync=True)
            batch = {}


def _block(store: KeyValueStore, height: int) -> BeaconBlock:
    raw = store.get(schema.block_key(height))
    if raw is None:
        raise CorruptData(f"beacon chain: block {height} is missing")
    return BeaconBlock.decode(raw)


def _keys(block: BeaconBlock) -> list[bytes]:
    """The keys that `BeaconChain.commit` wrote for a block, except the trie nodes."""
    height = block.height
    return [
        schema.block_key(height),
        schema.certificate_key(height),
        schema.height_key(block.hash),
        schema.evidence_key(height),
        schema.births_key(height),
        *(schema.crosslink_key(c.shard, c.height) for c in block.body.crosslinks),
    ]
