# pragma version ~=0.4.3
"""
@title Vault of a channel
@license MIT
@notice Holds Bob's deposit on his shard and pays it as the judge on Alice's shard says.
"""

interface Messenger:
    def send(
        to: address, data: Bytes[128], callGas: uint256, replyGas: uint256, callback: bytes4
    ) -> bytes32: payable
    def homeOf(account: address) -> uint256: view
    def priceTo(dst: uint256) -> uint256: view
    def crossShardCall() -> (bytes32, uint256, address): view

event Paid:
    alices: uint256
    bobs: uint256

MESSENGER: constant(address) = 0xa70110000000000000000000000000000000A701
FUND_GAS: constant(uint256) = 200_000
TOLD_GAS: constant(uint256) = 100_000

alice: public(immutable(address))
bob: public(immutable(address))
judge: public(immutable(address))
deposit: public(uint256)
isFunded: public(bool)


@deploy
def __init__(other: address, judge_address: address):
    alice = other
    bob = msg.sender
    judge = judge_address


@external
@view
def fee() -> uint256:
    """
    @notice What `fund` needs beside the deposit at this gas price.
    """
    return self._fee()


@internal
@view
def _fee() -> uint256:
    there: uint256 = staticcall Messenger(MESSENGER).homeOf(judge)
    return (FUND_GAS + TOLD_GAS) * staticcall Messenger(MESSENGER).priceTo(there)


@external
@payable
def fund():
    """
    @notice Bob's deposit: the value without the fee. It comes back if the judge refuses it.
    """
    assert msg.sender == bob and self.deposit == 0, "Bob funds once"
    cost: uint256 = self._fee()
    assert msg.value > cost, "the value does not pay for the message"
    self.deposit = msg.value - cost
    extcall Messenger(MESSENGER).send(
        judge,
        abi_encode(self.deposit, method_id=method_id("fund(uint256)")),
        FUND_GAS,
        TOLD_GAS,
        method_id("told(bytes32,bool,bytes)", output_type=bytes4),
        value=cost,
    )


@external
def told(id: bytes32, ok: bool, data: Bytes[1024]):
    assert msg.sender == MESSENGER, "only the messenger tells"
    if ok:
        self.isFunded = True
    else:
        refund: uint256 = self.deposit
        self.deposit = 0
        send(bob, refund)


@external
def pay(alices: uint256, bobs: uint256):
    """
    @notice The judge's word. Alice's part goes home to her shard.
    """
    id: bytes32 = empty(bytes32)
    source: uint256 = 0
    sender: address = empty(address)
    (id, source, sender) = staticcall Messenger(MESSENGER).crossShardCall()
    assert id != empty(bytes32) and sender == judge and msg.sender == sender, "not the judge"
    assert alices + bobs == self.deposit, "not what is here"
    self.deposit = 0
    log Paid(alices=alices, bobs=bobs)
    send(alice, alices)
    send(bob, bobs)
