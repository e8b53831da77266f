"""Carries out the rewind that the beginning of an era orders: the chains in the store go back."""

from node.beacon import schema
from node.beacon.era_store import load_eras
from node.beacon.rewind import Rewind
from node.beacon.rewinding import rewind_beacon
from node.primitives.basics import ShardId
from node.primitives.errors import CorruptData
from node.shard.rewinding import rewind_shard
from node.storage.kv import KeyValueStore


def finish(store: KeyValueStore, shard: ShardId) -> Rewind | None:
    """Carry out the rewind that `begin_era` recorded, if it is not yet carried out; None if there is none. It
    may be interrupted anywhere and called again. To be called before the chains are opened.
    """
    if store.get(schema.REWINDING) is None:
        return None
    rewind = load_eras(store).newest
    if rewind is None:
        raise CorruptData("the database lacks the record of the era that it goes on to")
    # The shard first: its blocks name beacon blocks, and those must be there for as long as it is.
    rewind_shard(store, rewind.tips[shard])
    rewind_beacon(store, rewind.height)
    store.write({schema.REWINDING: None}, sync=True)
    return rewind
