"""The store of a network's eras."""

from node.beacon import schema
from node.beacon.eras import EraRecord, Eras
from node.primitives.decoding import decoding
from node.primitives.errors import CorruptData
from node.storage.kv import KeyValueStore


def load_eras(store: KeyValueStore) -> Eras:
    """Load the eras. Raises CorruptData."""
    found = []
    for key, raw in store.iterate(schema.ERA_PREFIX):
        with decoding(f"the record {key.hex()} of an era", CorruptData):
            found.append(EraRecord.decode(raw).rewind)
    return Eras(tuple(found))


def begin_era(store: KeyValueStore, record: EraRecord) -> None:
    """Record, durably, that the network goes back: one atomic write. `node.chains.rewinding.finish` deletes the
    undone blocks afterwards, however often it is interrupted.
    """
    batch: dict[bytes, bytes | None] = {
        schema.era_key(era): None for era in load_eras(store).forgotten(record.rewind)
    }
    batch[schema.era_key(record.era)] = record.encoded
    batch[schema.REWINDING] = schema.encode_height(record.era)
    store.write(batch, sync=True)


def era_record(store: KeyValueStore, era: int) -> bytes | None:
    """The encoded record of an era that is not forgotten."""
    return store.get(schema.era_key(era))
