"""From a message to where it was sent and where it was delivered."""

from collections.abc import Callable
from dataclasses import dataclass

from node.primitives.message import Message
from node.query.port import ShardUnavailable
from node.query.questions import ArrivalQuestion, FindMessageQuestion, SentQuestion
from node.query.records import ItemRecord, MessageBrief
from node.view.shards import Shards
from rpc.errors import ResourceUnavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class SentMessage:
    """A message and the item that sent it: its place on the message's source."""

    message: Message
    height: int
    index: int


async def sent_message(shards: Shards, message_id: bytes) -> SentMessage | None:
    """A message as its source sent it, None where no shard knows the id."""
    found = await shards.find(FindMessageQuestion(message_id=message_id))
    if found is None:
        return None
    named, lane = found
    if lane.src not in shards or lane.dst not in shards:
        raise ResourceUnavailable(f"shard {named} named a lane that does not exist")

    with shards.source(lane.src) as source:
        at = await source.ask(SentQuestion(dst=lane.dst, seq=lane.seq))
        if at is None:  # the destination is ahead of the node of the source that answered
            raise ShardUnavailable("it is behind")
        message = Message.decode(at.message)
    if message.id != message_id:
        raise ResourceUnavailable(f"shard {lane.src} is unavailable: it named another message")
    return SentMessage(message=message, height=at.height, index=at.index)


Consumed = Callable[[int, int], int]
"""The number of delivered messages of the lane from one shard to another, as the beacon knows."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """The item that delivered a message, None while none has. `unavailable` says why its shard cannot tell
    whether one has in a block that the beacon does not have yet."""

    item: ItemRecord | None
    unavailable: str | None = None

    @property
    def members(self) -> dict[str, str]:
        """The members that a document has besides those of the item."""
        return {} if self.unavailable is None else {"unavailable": self.unavailable}


async def arrival_of(
    shards: Shards, consumed: Consumed, message: MessageBrief, *, logs: bool = False
) -> Arrival:
    """The progress of the delivery of a message.

    A shard that cannot be asked does not hide the messages on their way to it. Raises ResourceUnavailable if
    that shard has delivered the message.
    """
    if message.src not in shards or message.dst not in shards:
        raise ResourceUnavailable(f"shard {message.src} named a lane that does not exist")
    try:
        item = await shards.ask(
            message.dst, ArrivalQuestion(src=message.src, seq=message.seq, logs=logs)
        )
    except ResourceUnavailable as error:
        if message.seq < consumed(message.src, message.dst):
            raise
        return Arrival(None, error.message)
    if item is not None and item.hash != message.id:
        raise ResourceUnavailable(f"shard {message.dst} is unavailable: it named another message")
    return Arrival(item)


def outcome(item: ItemRecord) -> str:
    """`ok` or `failed` for what ran, `departed` or `forwarded` for what went on to another shard."""
    if item.departed:
        return "departed"
    if item.forwarded:
        return "forwarded"
    return "ok" if item.success else "failed"
