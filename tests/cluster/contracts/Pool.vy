# pragma version 0.4.3
"""Reserves of two tokens, as a pair of Uniswap V2 shows them."""

reserve0: public(uint112)
reserve1: public(uint112)


@deploy
def __init__(first: uint112, second: uint112):
    self.reserve0 = first
    self.reserve1 = second


@external
@view
def getReserves() -> (uint112, uint112, uint32):
    return self.reserve0, self.reserve1, 0


@external
def set_reserves(first: uint112, second: uint112):
    self.reserve0 = first
    self.reserve1 = second
