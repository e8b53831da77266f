"""The base fee of the next block (EIP-1559)."""

from node.primitives.header import Header

ELASTICITY = 2
MAX_CHANGE_DENOMINATOR = 8
MAX_BASE_FEE = (1 << 256) - 1
"""A word. No account can pay that much, but a shard whose committee lies may tell headers that lead beyond it,
and every shard asks what gas costs there."""


def next_base_fee(parent: Header) -> int:
    """In wei per gas. It moves by at most an eighth, towards blocks that are half full."""
    return base_fee_after(
        base_fee=parent.base_fee_per_gas, gas_used=parent.gas_used, gas_limit=parent.gas_limit
    )


def base_fee_after(*, base_fee: int, gas_used: int, gas_limit: int) -> int:
    target = gas_limit // ELASTICITY
    if target == 0 or gas_used == target:
        return base_fee
    if gas_used > target:
        rise = base_fee * (gas_used - target) // target // MAX_CHANGE_DENOMINATOR
        return min(base_fee + max(rise, 1), MAX_BASE_FEE)
    return base_fee - base_fee * (target - gas_used) // target // MAX_CHANGE_DENOMINATOR
