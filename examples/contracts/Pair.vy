# pragma version ~=0.4.3
"""
@title A constant-product market for two ERC-20 tokens
@license MIT
@notice The rules of Uniswap v2: x * y does not fall, 0.3 % of what comes in stays with the liquidity.
@dev Both tokens must be on the shard of the pair: calls between contracts do not cross shards.
"""

interface ERC20:
    def balanceOf(owner: address) -> uint256: view
    def transfer(receiver: address, amount: uint256) -> bool: nonpayable
    def transferFrom(sender: address, receiver: address, amount: uint256) -> bool: nonpayable

event Mint:
    provider: indexed(address)
    amount0: uint256
    amount1: uint256

event Burn:
    provider: indexed(address)
    amount0: uint256
    amount1: uint256

event Swap:
    trader: indexed(address)
    amount0_in: uint256
    amount1_in: uint256
    amount0_out: uint256
    amount1_out: uint256

event Sync:
    reserve0: uint256
    reserve1: uint256

FEE_NUMERATOR: constant(uint256) = 997
FEE_DENOMINATOR: constant(uint256) = 1000
# Locked for ever, so that a share can never become too dear to buy.
MINIMUM_LIQUIDITY: constant(uint256) = 1000

token0: public(immutable(address))
token1: public(immutable(address))
reserve0: public(uint256)
reserve1: public(uint256)
totalSupply: public(uint256)
balanceOf: public(HashMap[address, uint256])


@deploy
def __init__(first: address, second: address):
    assert first != second, "Pair: identical tokens"
    token0 = first
    token1 = second


@internal
def _sync(balance0: uint256, balance1: uint256):
    self.reserve0 = balance0
    self.reserve1 = balance1
    log Sync(reserve0=balance0, reserve1=balance1)


@external
@nonreentrant
def add_liquidity(amount0: uint256, amount1: uint256) -> uint256:
    """
    @notice Put in both tokens; shares are minted by the scarcer of the two.
    @dev The caller has approved both amounts.
    """
    before0: uint256 = staticcall ERC20(token0).balanceOf(self)
    before1: uint256 = staticcall ERC20(token1).balanceOf(self)
    extcall ERC20(token0).transferFrom(msg.sender, self, amount0)
    extcall ERC20(token1).transferFrom(msg.sender, self, amount1)
    balance0: uint256 = staticcall ERC20(token0).balanceOf(self)
    balance1: uint256 = staticcall ERC20(token1).balanceOf(self)
    added0: uint256 = balance0 - before0
    added1: uint256 = balance1 - before1
    supply: uint256 = self.totalSupply
    shares: uint256 = 0
    if supply == 0:
        shares = isqrt(added0 * added1) - MINIMUM_LIQUIDITY
        self.balanceOf[empty(address)] = MINIMUM_LIQUIDITY
        self.totalSupply = MINIMUM_LIQUIDITY
    else:
        shares = min(added0 * supply // self.reserve0, added1 * supply // self.reserve1)
    assert shares > 0, "Pair: too little liquidity"
    self.totalSupply += shares
    self.balanceOf[msg.sender] += shares
    self._sync(balance0, balance1)
    log Mint(provider=msg.sender, amount0=added0, amount1=added1)
    return shares


@external
@nonreentrant
def remove_liquidity(shares: uint256) -> (uint256, uint256):
    """
    @notice Give shares back for their part of both reserves.
    """
    supply: uint256 = self.totalSupply
    amount0: uint256 = shares * self.reserve0 // supply
    amount1: uint256 = shares * self.reserve1 // supply
    assert amount0 > 0 and amount1 > 0, "Pair: too few shares"
    self.balanceOf[msg.sender] -= shares
    self.totalSupply = supply - shares
    extcall ERC20(token0).transfer(msg.sender, amount0)
    extcall ERC20(token1).transfer(msg.sender, amount1)
    self._sync(
        staticcall ERC20(token0).balanceOf(self), staticcall ERC20(token1).balanceOf(self)
    )
    log Burn(provider=msg.sender, amount0=amount0, amount1=amount1)
    return amount0, amount1


@internal
@pure
def _out(amount_in: uint256, reserve_in: uint256, reserve_out: uint256) -> uint256:
    with_fee: uint256 = amount_in * FEE_NUMERATOR
    return with_fee * reserve_out // (reserve_in * FEE_DENOMINATOR + with_fee)


@external
@view
def quote(zero_for_one: bool, amount_in: uint256) -> uint256:
    """
    @notice What `swap` would give for `amount_in` now.
    """
    if zero_for_one:
        return self._out(amount_in, self.reserve0, self.reserve1)
    return self._out(amount_in, self.reserve1, self.reserve0)


@external
@nonreentrant
def swap(zero_for_one: bool, amount_in: uint256, least_out: uint256) -> uint256:
    """
    @notice Trade `amount_in` of one token, which the caller has approved, for the other.
    """
    paid: address = token0
    bought: address = token1
    reserve_in: uint256 = self.reserve0
    reserve_out: uint256 = self.reserve1
    if not zero_for_one:
        paid = token1
        bought = token0
        reserve_in = self.reserve1
        reserve_out = self.reserve0
    extcall ERC20(paid).transferFrom(msg.sender, self, amount_in)
    balance_in: uint256 = staticcall ERC20(paid).balanceOf(self)
    amount_out: uint256 = self._out(balance_in - reserve_in, reserve_in, reserve_out)
    assert amount_out >= least_out and amount_out > 0, "Pair: too little comes out"
    extcall ERC20(bought).transfer(msg.sender, amount_out)
    balance_out: uint256 = staticcall ERC20(bought).balanceOf(self)
    assert balance_in * balance_out >= reserve_in * reserve_out, "Pair: the product falls"
    if zero_for_one:
        self._sync(balance_in, balance_out)
        log Swap(
            trader=msg.sender, amount0_in=balance_in - reserve_in, amount1_in=0,
            amount0_out=0, amount1_out=amount_out,
        )
    else:
        self._sync(balance_out, balance_in)
        log Swap(
            trader=msg.sender, amount0_in=0, amount1_in=balance_in - reserve_in,
            amount0_out=amount_out, amount1_out=0,
        )
    return amount_out
