"""The messages in the receipt of an item."""

from collections.abc import Iterator

from node.execution.state.receipts import Receipt
from node.primitives.message import Message
from node.primitives.messenger import decode_sent, is_sent


def announced(receipt: Receipt) -> Iterator[Message]:
    """The messages that the item sent. Raises DecodeError."""
    return (decode_sent(log.data) for log in receipt.logs if is_sent(log.address, log.topics))


def is_onward(arrival: Message, sent: Message) -> bool:
    """True if `sent` is `arrival` forwarded because its recipient lives on another shard by now."""
    return (
        (sent.kind, sent.origin_tx, sent.sender, sent.to)
        == (arrival.kind, arrival.origin_tx, arrival.sender, arrival.to)
    ) and sent.dst != arrival.dst
