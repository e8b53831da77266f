"""The rules by which a message may be sent now: the window of its lane, its sender's share of it, its price.
Pure.

Windows count messages that were asked for (`Message.is_asked`). A message that only follows from an arrival is
always sent, and takes no room from users. MESSENGER has the same rules for `send` (contracts/Messenger.vy). The
reasons here are what users see of transactions that wait.
"""

from dataclasses import dataclass

from node.primitives.basics import ShardId
from node.primitives.errors import InvalidTransaction
from node.primitives.genesis import Params
from node.primitives.message import LanePosition

CREDIT_WINDOWS = 2
"""Windows that may be full before a transaction that pays accounts beyond the lane fails."""
SHARE = 4
"""One payer may have this part of a window under way; and so may what one shard has another pass on."""


class MustWait(InvalidTransaction):
    """Not in this block; the transaction can wait in the pool.

    MustWait
    |-- LaneFull       the lane has no room, or its payer's share is used
    `-- Underpriced    gas costs more on the recipient's shard
    """


class LaneFull(MustWait):
    """The lane to the recipient's shard has no room now."""


class Underpriced(MustWait):
    """The transaction does not pay the base fee of the shard on which its call is to run."""

    def __init__(self, dst: ShardId, most: int, floor: int) -> None:
        super().__init__(
            f"max fee per gas less than base fee of shard {dst}: its call pays for gas there; "
            f"maxFeePerGas: {most}, baseFee: {floor}"
        )


class ShardFrozen(InvalidTransaction):
    """The recipient's shard has stopped for good: a message to it would be lost."""

    def __init__(self, shard: ShardId) -> None:
        super().__init__(
            f"shard {shard} is frozen: it was proven to have forked, and what is sent to its accounts "
            "never arrives; send to an account of another shard (atoll_evidence lists frozen shards)"
        )


def lane_full(
    params: Params,
    sent: LanePosition,
    consumed_asked: int,
    consumed_gas: int,
    gas: int,
    *,
    windows: int = 1,
) -> str | None:
    """The reason why a message that prepays `gas` has no room on a lane now; None if it has."""
    waiting = max(
        sent.asked - consumed_asked, 0
    )  # a shard may claim to have consumed what was never sent
    if waiting >= windows * params.lane_window:
        return f"{waiting} messages are under way"
    gas_waiting = max(sent.gas - consumed_gas, 0)
    if windows == 1 and gas_waiting + gas > params.lane_gas_window:
        return f"messages with {gas_waiting} gas are under way, at most {params.lane_gas_window} may be"
    return None


@dataclass(frozen=True, slots=True)
class Generation:
    """Messages of one bucket on one lane: all are below `until`, a number of the lane. Those of payers are
    numbered by what was asked for, those that are passed on by all.

    In 128 bits: `until` has 48, `count` 24, `gas` 56.
    """

    until: int = 0
    count: int = 0
    gas: int = 0

    @property
    def word(self) -> int:
        return self.until << 80 | self.count << 56 | self.gas

    @classmethod
    def of(cls, word: int) -> "Generation":
        return cls(word >> 80, word >> 56 & (1 << 24) - 1, word & (1 << 56) - 1)


@dataclass(frozen=True, slots=True)
class LaneShare:
    """The messages that the payers of a bucket have under way on a lane, or that a shard has this one pass on.

    The count is never below the true one, and at most the number sent since the older generation began.

    One word for each of `SHARE_BUCKETS` buckets and each shard (`node.primitives.messenger`), whatever happens:
    a generation is dropped as a whole once all of it is consumed, and then a new one begins.
    """

    older: Generation = Generation()
    newer: Generation = Generation()

    @property
    def word(self) -> int:
        return self.older.word << 128 | self.newer.word

    @classmethod
    def of(cls, word: int) -> "LaneShare":
        return cls(Generation.of(word >> 128), Generation.of(word & (1 << 128) - 1))

    def after(self, consumed: int) -> "LaneShare":
        """When the destination has consumed the lane up to this number."""
        if consumed >= self.newer.until:
            return LaneShare()
        if consumed >= self.older.until:
            return LaneShare(self.newer, Generation())
        return self

    def sent(self, number: int, gas: int) -> "LaneShare":
        """With one more message, which has this number and prepays `gas`."""
        newer = self.newer
        return LaneShare(self.older, Generation(number + 1, newer.count + 1, newer.gas + gas))

    def used(self, params: Params, gas: int) -> str | None:
        """The reason why a message that prepays `gas` has no room; None if it has. A single message
        always has.
        """
        count, held = self.older.count + self.newer.count, self.older.gas + self.newer.gas
        most, most_gas = params.lane_window // SHARE, params.lane_gas_window // SHARE
        if count and count + 1 > most:
            return f"{count} of its messages are under way, at most {max(most, 1)} of one sender may be"
        if count and held + gas > most_gas:
            return f"its messages under way prepaid {held} gas, at most {most_gas} of one sender may be"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class PayerLane:
    """A lane as its source can see it at an anchor, for one payer."""

    dst: ShardId
    sent: LanePosition
    consumed_asked: int
    consumed_gas: int
    share: LaneShare

    def check(self, params: Params, gas: int) -> None:
        """Raise LaneFull if a message that prepays `gas` has to wait."""
        reason = lane_full(params, self.sent, self.consumed_asked, self.consumed_gas, gas)
        if reason is not None:
            raise LaneFull(f"the lane to shard {self.dst} is full: {reason}")
        reason = self.share.used(params, gas)
        if reason is not None:
            raise LaneFull(f"the sender's share of the lane to shard {self.dst} is full: {reason}")
