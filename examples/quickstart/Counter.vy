# pragma version ~=0.4.3
"""
@notice Counts, and remembers who counted last. It lives on one shard; callers come from all of them.
"""

event Counted:
    by: indexed(address)
    number: uint256

number: public(uint256)
last: public(address)


@external
def increment():
    self.number += 1
    self.last = msg.sender
    log Counted(by=msg.sender, number=self.number)
