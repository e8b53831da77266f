"""The newest blocks in the database of a node that does not run."""

from pathlib import Path

from node.beacon import schema as beacon_schema
from node.beacon.block import BeaconBlock
from node.cluster.dumps.archive import Head
from node.primitives.decoding import BAD_INPUT
from node.primitives.errors import CorruptData
from node.primitives.header import Header
from node.shard import schema as shard_schema
from node.storage.level import LevelStore


def read_heads(database: Path) -> tuple[Head, Head]:
    """The heads of the beacon and of the shard. Opens the database, which changes its files.

    Raises StorageUnavailable or CorruptData.
    """
    store = LevelStore.open(database, create=False)
    beacon = shard = Head()
    try:
        if (raw := store.get(beacon_schema.HEAD)) is not None:
            height = beacon_schema.decode_height(raw)
            block = BeaconBlock.decode(store.get(beacon_schema.block_key(height)) or b"")
            beacon = Head(height=height, hash=f"0x{block.hash.hex()}")
        if (raw := store.get(shard_schema.HEAD)) is not None:
            height = int.from_bytes(raw, "big")
            key = shard_schema.header(height) if height else shard_schema.GENESIS
            header = Header.decode(store.get(key) or b"")
            shard = Head(height=height, hash=f"0x{header.hash.hex()}")
    except BAD_INPUT as error:
        raise CorruptData(f"{database}: the newest block cannot be read: {error}") from None
    finally:
        store.close()
    return beacon, shard
