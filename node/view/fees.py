"""The fees that a view shows: figures of a range of blocks, and suggestions. Pure. In wei per gas.

A client without settings of its own offers maxFeePerGas = 2 * base fee + tip (ethers, web3.py, go-ethereum) or
1.2 * base fee + tip (viem), with the base fee of the newest block and the tip of eth_maxPriorityFeePerGas. The
view of the network shows the base fee of its dearest shard, so that such a transaction can depart for every
shard. It pays the base fee of the shard where it runs, and the tip. A message that its contract sends has a
price of its own (`priceTo` of MESSENGER), out of the value.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from node.view.entries import Entry
from rpc.wire import FeeHistory

GWEI = 10**9
PRIORITY_FEE = GWEI
"""The tip that we suggest: blocks have room, so any tip is enough; this one is what wallets expect to see."""
HEADROOM = 8
"""The part of the base fee that eth_gasPrice adds: a full block between the answer and the inclusion raises the
base fee by it. (For prices with a cap of their own, EIP-1559, the answer is the base fee as it is, and clients
double it.)
"""
MAX_REWARD_BLOCKS = 128
"""Blocks of one history with rewards: each has to be read whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockFees:
    """The fees of a block of a view: the gas of the shard blocks in it, against their limits."""

    base_fee: int
    gas_used: int = 0
    gas_limit: int = 0

    @property
    def ratio(self) -> float:
        return self.gas_used / self.gas_limit if self.gas_limit else 0.0


@dataclass(frozen=True, slots=True)
class FeeRange:
    """Consecutive blocks, and the base fee of the block after them: of the dearest shard of the view."""

    blocks: tuple[BlockFees, ...]
    next_base_fee: int

    @property
    def gas_price(self) -> int:
        """The highest price of a transaction with the suggested tip, wherever it runs, one block later. It is
        also the highest price of a unit of gas of a message, wherever that goes.
        """
        return self.next_base_fee + self.next_base_fee // HEADROOM + PRIORITY_FEE


def rewards(entries: Sequence[Entry], percentiles: Sequence[float]) -> tuple[int, ...]:
    """The tip at each percentile of a block's gas, cheapest first (as in geth); zeros without gas."""
    paid = sorted((entry.tip, entry.gas_used) for entry in entries if entry.gas_used)
    if not paid:
        return (0,) * len(percentiles)
    total = sum(gas for _, gas in paid)
    out = []
    at, passed = 0, paid[0][1]
    for percentile in percentiles:
        threshold = total * percentile / 100
        while passed < threshold and at < len(paid) - 1:
            at += 1
            passed += paid[at][1]
        out.append(paid[at][0])
    return tuple(out)


def fee_history(
    oldest: int, fees: FeeRange, reward: tuple[tuple[int, ...], ...] | None
) -> FeeHistory:
    return FeeHistory(
        oldest_block=oldest,
        base_fee_per_gas=(*(block.base_fee for block in fees.blocks), fees.next_base_fee),
        gas_used_ratio=tuple(block.ratio for block in fees.blocks),
        reward=reward,
    )
