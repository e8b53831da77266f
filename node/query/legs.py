"""The two ends of a cross-shard call, read off receipts."""

from collections.abc import Sequence

from node.execution.state.receipts import Log, Receipt
from node.light.receipts import announced, is_onward
from node.primitives.message import Message, MessageKind
from node.primitives.transaction import Transaction
from node.shard import messenger


def gas_used(receipts: Sequence[Receipt], index: int) -> int:
    """Gas of one item of a block: receipts count from the start of the block."""
    before = receipts[index - 1].cumulative_gas_used if index else 0
    return receipts[index].cumulative_gas_used - before


def departure(tx: Transaction, receipt: Receipt) -> Message | None:
    """The CALL by which `tx` left its shard, None for one that ran there."""
    for message in announced(receipt):
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
    return next((sent for sent in announced(receipt) if is_onward(arrival, sent)), None)


def own_logs(logs: Sequence[Log]) -> tuple[Log, ...]:
    """The logs that contracts made: without those in which the protocol announces its messages."""
    return tuple(log for log in logs if not messenger.is_sent_log(log))
