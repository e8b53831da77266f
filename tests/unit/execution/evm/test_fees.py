"""The base fee from block to block (EIP-1559)."""

import pytest

from node.execution.evm.fees import MAX_BASE_FEE, base_fee_after


@pytest.mark.parametrize(
    ("base_fee", "gas_used", "after"),
    [
        (1000, 500, 1000),  # as many as are aimed at
        (1000, 1000, 1125),
        (1000, 0, 875),
        (1000, 750, 1062),
        (1000, 250, 938),
        (7, 1000, 8),  # it rises by one wei at least: from nothing it gets back
        (1, 501, 2),
        (0, 1000, 1),
        (7, 0, 7),  # and falls by an eighth, rounded down
        (8, 0, 7),
        (0, 0, 0),
    ],
)
def test_it_moves_towards_blocks_that_are_half_full(base_fee, gas_used, after):
    assert base_fee_after(base_fee=base_fee, gas_used=gas_used, gas_limit=1000) == after


def test_whatever_a_header_says_it_is_a_word():
    """A committee may lie in headers; other shards ask what gas costs there, as a word of the EVM."""
    assert base_fee_after(base_fee=MAX_BASE_FEE, gas_used=1 << 63, gas_limit=2) == MAX_BASE_FEE


def test_without_a_limit_it_stays():
    assert base_fee_after(base_fee=5, gas_used=0, gas_limit=0) == 5
