# pragma version ~=0.4.3
"""
@title Arena
@license MIT
@notice One hot contract, players on every shard: ordinary transactions, whoever lives where. Each round a dragon
        has to be beaten; every strike costs a stake, and who strikes last takes the pot, paid to where they live.
"""

event Struck:
    player: indexed(address)
    round: indexed(uint256)
    life: uint256

event Won:
    player: indexed(address)
    round: indexed(uint256)
    pot: uint256

LIFE: constant(uint256) = 10
STAKE: constant(uint256) = 10**15

round: public(uint256)
life: public(uint256)
pot: public(uint256)
strikes: public(HashMap[address, uint256])
wins: public(HashMap[address, uint256])
total: public(uint256)


@deploy
def __init__():
    self.life = LIFE


@external
@payable
def strike():
    """
    @notice Strike the dragon with a stake of 0.001 ether.
    """
    assert msg.value == STAKE, "a strike costs 0.001 ether"
    self.strikes[msg.sender] += 1
    self.total += 1
    self.pot += msg.value
    self.life -= 1
    log Struck(player=msg.sender, round=self.round, life=self.life)
    if self.life == 0:
        won: uint256 = self.pot
        self.pot = 0
        self.wins[msg.sender] += 1
        log Won(player=msg.sender, round=self.round, pot=won)
        self.round += 1
        self.life = LIFE
        # A player of another shard: the protocol takes the wei home.
        send(msg.sender, won)
