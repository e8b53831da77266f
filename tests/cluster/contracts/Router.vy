# pragma version 0.4.3
"""Quotes over several pools, as the library of Uniswap V2 computes them."""

interface Pool:
    def getReserves() -> (uint112, uint112, uint32): view
    def set_reserves(first: uint112, second: uint112): nonpayable


@external
@view
def amounts_out(amount: uint256, pools: DynArray[address, 16]) -> DynArray[uint256, 17]:
    amounts: DynArray[uint256, 17] = [amount]
    paid: uint256 = amount
    for pool: address in pools:
        first: uint112 = 0
        second: uint112 = 0
        when: uint32 = 0
        first, second, when = staticcall Pool(pool).getReserves()
        assert first > 0 and second > 0, "no liquidity"
        fee: uint256 = paid * 997
        paid = fee * convert(second, uint256) // (convert(first, uint256) * 1000 + fee)
        amounts.append(paid)
    return amounts


@external
def drain(pool: address):
    extcall Pool(pool).set_reserves(0, 0)
