# pragma version ~=0.4.3
"""
@title Sharded pair
@license MIT
@notice A constant-product pair of two sharded tokens, on one shard, for traders of every shard. A trader sends
        tokens with `transferAcrossAndCall` (or `swapHere` on this shard); what they buy goes to where the trader
        lives. A price beyond the bound refuses the tokens, and they go back.
"""

interface Token:
    def balanceOf(account: address) -> uint256: view
    def transfer(to: address, amount: uint256) -> bool: nonpayable
    def transferFrom(sender: address, to: address, amount: uint256) -> bool: nonpayable
    def transferAcross(to: address, amount: uint256) -> bytes32: payable
    def fee(callGas: uint256) -> uint256: view

interface Messenger:
    def homeOf(account: address) -> uint256: view
    def shardId() -> uint256: view

event Swap:
    trader: indexed(address)
    bought: indexed(address)
    amountIn: uint256
    amountOut: uint256

MESSENGER: constant(address) = 0xa70110000000000000000000000000000000A701
FEE_PER_MILLE: constant(uint256) = 3

first: public(immutable(address))
second: public(immutable(address))
reserves: public(HashMap[address, uint256])
# Liquidity is its owner's, who made the pair: what this example is about is the trade.
owner: public(immutable(address))


@deploy
def __init__(first_token: address, second_token: address):
    assert first_token != second_token, "a pair is of two tokens"
    first = first_token
    second = second_token
    owner = msg.sender


@external
@view
def quote(sold: address, amount: uint256) -> uint256:
    """
    @notice What `amount` of one token buys of the other now.
    """
    return self._quote(sold, amount)


@internal
@view
def _other(token: address) -> address:
    assert token == first or token == second, "not a token of this pair"
    return second if token == first else first


@internal
@view
def _quote(sold: address, amount: uint256) -> uint256:
    reserve_in: uint256 = self.reserves[sold]
    reserve_out: uint256 = self.reserves[self._other(sold)]
    with_fee: uint256 = amount * (1000 - FEE_PER_MILLE)
    return with_fee * reserve_out // (reserve_in * 1000 + with_fee)


@external
def provide(first_amount: uint256, second_amount: uint256):
    assert msg.sender == owner, "only the owner provides"
    extcall Token(first).transferFrom(msg.sender, self, first_amount)
    extcall Token(second).transferFrom(msg.sender, self, second_amount)
    self.reserves[first] += first_amount
    self.reserves[second] += second_amount


@external
def withdraw(first_amount: uint256, second_amount: uint256):
    assert msg.sender == owner, "only the owner withdraws"
    self.reserves[first] -= first_amount
    self.reserves[second] -= second_amount
    extcall Token(first).transfer(msg.sender, first_amount)
    extcall Token(second).transfer(msg.sender, second_amount)


@external
def swapHere(sold: address, amount: uint256, least: uint256) -> uint256:
    """
    @notice Trade with tokens that the caller holds on this shard.
    """
    extcall Token(sold).transferFrom(msg.sender, self, amount)
    bought: address = self._other(sold)
    out: uint256 = self._trade(msg.sender, sold, bought, amount, least)
    extcall Token(bought).transfer(msg.sender, out)
    return out


@external
@payable
def onTokens(sender: address, amount: uint256, data: Bytes[1024]):
    """
    @notice Tokens of a trader on another shard; `data` is abi.encode(least they want to get). The value pays
            for the way back of what they buy.
    """
    least: uint256 = abi_decode(data, uint256)
    bought: address = self._other(msg.sender)
    out: uint256 = self._trade(sender, msg.sender, bought, amount, least)
    if staticcall Messenger(MESSENGER).homeOf(sender) == staticcall Messenger(MESSENGER).shardId():
        extcall Token(bought).transfer(sender, out)
    else:
        extcall Token(bought).transferAcross(sender, out, value=msg.value)


@external
@payable
def __default__():
    # What `transferAcross` did not need.
    pass


@internal
def _trade(
    trader: address, sold: address, bought: address, amount: uint256, least: uint256
) -> uint256:
    out: uint256 = self._quote(sold, amount)
    assert out > 0 and out >= least, "the price moved beyond the bound"
    self.reserves[sold] += amount
    self.reserves[bought] -= out
    log Swap(trader=trader, bought=bought, amountIn=amount, amountOut=out)
    return out
