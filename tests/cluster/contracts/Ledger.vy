# pragma version ~=0.4.3
"""
What the cluster tests call: counts, logs, takes value, reverts on demand.
"""

event Added:
    who: indexed(address)
    amount: uint256
    value: uint256

total: public(uint256)
by: public(HashMap[address, uint256])


@external
@payable
def add(amount: uint256) -> uint256:
    self.total += amount
    self.by[msg.sender] += amount
    log Added(who=msg.sender, amount=amount, value=msg.value)
    return self.total


@external
@payable
def refuse():
    raise "refused on purpose"


@external
@payable
def pay(to: DynArray[address, 64]):
    """
    Splits the value over `to`; what does not divide stays here.
    """
    share: uint256 = msg.value // len(to)
    for who: address in to:
        send(who, share)
