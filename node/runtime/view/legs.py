"""The two ends of a cross-shard call, read off receipts."""

from collections.abc import Iterator, Sequence

from node.execution.receipts import Log, Receipt
from node.primitives.message import Message, MessageKind
from node.primitives.transaction import Transaction
from node.shard import messenger


def gas_used(receipts: Sequence[Receipt], index: int) -> int:
    """What one item of a block used: receipts count from the start of the block."""
    before = receipts[index - 1].cumulative_gas_used if index else 0
    return receipts[index].cumulative_gas_used - before


def sent_messages(logs: Sequence[Log]) -> Iterator[Message]:
    """The messages that the logs announce."""
    for log in logs:
        message = messenger.read_sent_log(log)
        if message is not None:
            yield message


def departure(tx: Transaction, receipt: Receipt) -> Message | None:
    """The CALL by which `tx` left its shard, None for one that ran there."""
    for message in sent_messages(receipt.logs):
        if (
            message.kind is MessageKind.CALL
            and message.origin_tx == tx.hash
            and message.sender == tx.sender
            and message.to == tx.to
        ):
            return message
    return None


def forwarded(arrival: Message, receipt: Receipt) -> Message | None:
    """The message that `arrival` became because its recipient had moved on, None if it was delivered."""
    for message in sent_messages(receipt.logs):
        if (
            message.kind is arrival.kind
            and message.origin_tx == arrival.origin_tx
            and message.to == arrival.to
            and message.sender == arrival.sender
            and message.dst != arrival.dst
        ):
            return message
    return None


def own_logs(logs: Sequence[Log]) -> tuple[Log, ...]:
    """The logs that contracts made: without those in which the protocol announces its messages."""
    return tuple(log for log in logs if not messenger.is_sent_log(log))
