# pragma version ~=0.4.3
"""
@title Savings
@license MIT
@notice Anybody on any shard pays in; nobody gets anything back before it opens.
"""

event Deposited:
    who: indexed(address)
    amount: uint256

opens: public(immutable(uint256))
savings: public(HashMap[address, uint256])


@deploy
def __init__(seconds: uint256):
    opens = block.timestamp + seconds


@external
@payable
def deposit():
    self.savings[msg.sender] += msg.value
    log Deposited(who=msg.sender, amount=msg.value)


@external
def withdraw():
    """
    @notice Pays to where the saver lives: on another shard the money arrives with a message of its own.
    """
    assert block.timestamp >= opens, "it is too early"
    amount: uint256 = self.savings[msg.sender]
    self.savings[msg.sender] = 0
    send(msg.sender, amount)
