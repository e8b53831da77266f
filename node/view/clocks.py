"""The clocks of the shards, as development operations have set them."""

from functools import partial

from node.concurrency.gather import gather
from node.primitives.basics import signed
from node.primitives.messenger import CLOCK_SLOT, MESSENGER, NEXT_TIME_SLOT
from node.query.questions import HeadQuestion, StorageQuestion
from node.view.shards import Shards


async def word(shards: Shards, shard: int, slot: int) -> int:
    """A word of a shard's MESSENGER at its head."""
    height = await shards.ask(shard, HeadQuestion())
    question = StorageQuestion(height=height, address=MESSENGER, slot=slot.to_bytes(32, "big"))
    return int.from_bytes(await shards.ask(shard, question), "big")


async def ahead(shards: Shards, shard: int) -> int:
    """Seconds that the clock of a shard is ahead of its validators' clocks."""
    return signed(await word(shards, shard, CLOCK_SLOT))


async def furthest(shards: Shards) -> int:
    """The clock of the shard that is furthest ahead, as `ahead`."""
    return max(await gather([partial(ahead, shards, shard) for shard in shards.ids]))


async def next_time(shards: Shards) -> int:
    """The timestamp that was set for the next block with content, 0 if none was. A block may have had it."""
    return max(await gather([partial(word, shards, shard, NEXT_TIME_SLOT) for shard in shards.ids]))
