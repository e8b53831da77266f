# pragma version ~=0.4.3
"""
@title Judge of a channel
@license MIT
@notice One end of a payment channel between two people of different shards. Alice opens it here with her deposit,
        Bob puts his into the vault on his shard. They then pay each other off-chain by signing states
        (number, what is Alice's). Whoever wants to end it brings a state signed by both; for a while the other
        may bring a later one; then it is settled, each deposit by the contract that has it.
"""

interface Messenger:
    def send(
        to: address, data: Bytes[128], callGas: uint256, replyGas: uint256, callback: bytes4
    ) -> bytes32: payable
    def homeOf(account: address) -> uint256: view
    def priceTo(dst: uint256) -> uint256: view
    def crossShardCall() -> (bytes32, uint256, address): view

event Opened:
    total: uint256

event Brought:
    number: uint256
    alices: uint256
    until: uint256

event Settled:
    alices: uint256
    bobs: uint256

MESSENGER: constant(address) = 0xa70110000000000000000000000000000000A701
PAY_GAS: constant(uint256) = 150_000

alice: public(immutable(address))
bob: public(immutable(address))
window: public(immutable(uint256))  # seconds in which a later state may be brought

vault: public(address)
deposit: public(uint256)            # Alice's, here
vaulted: public(uint256)            # Bob's, in the vault
isOpen: public(bool)
number: public(uint256)
alices: public(uint256)
until: public(uint256)              # 0: nobody has brought a state
isSettled: public(bool)


@deploy
@payable
def __init__(other: address, seconds: uint256):
    alice = msg.sender
    bob = other
    window = seconds
    self.deposit = msg.value


@external
def link(vault: address):
    """
    @notice Name the vault, once.
    """
    assert msg.sender == alice and self.vault == empty(address), "Alice names the vault once"
    self.vault = vault


@external
def fund(amount: uint256):
    """
    @notice Bob's deposit is in the vault. Told by the vault; refusing gives it back to him.
    """
    id: bytes32 = empty(bytes32)
    source: uint256 = 0
    sender: address = empty(address)
    (id, source, sender) = staticcall Messenger(MESSENGER).crossShardCall()
    assert id != empty(bytes32) and sender == self.vault and msg.sender == sender, "not the vault"
    assert not self.isOpen and not self.isSettled, "it has been opened"
    self.vaulted = amount
    self.alices = self.deposit
    self.isOpen = True
    log Opened(total=self.deposit + amount)


@external
@view
def digest(number: uint256, alices: uint256) -> bytes32:
    """
    @notice What both sign (as an Ethereum message): of this channel on this chain, state `number`.
    """
    return self._digest(number, alices)


@internal
@view
def _digest(number: uint256, alices: uint256) -> bytes32:
    state: bytes32 = keccak256(abi_encode(chain.id, self, number, alices))
    return keccak256(concat(b"\x19Ethereum Signed Message:\n32", state))


@external
def bring(
    number: uint256, alices: uint256, v: uint256[2], r: uint256[2], s: uint256[2]
):
    """
    @notice Bring a state that both have signed, to end the channel or against an older one.
    """
    assert self.isOpen, "not open"
    assert self.until == 0 or block.timestamp <= self.until, "too late"
    assert number > self.number, "not later than what was brought"
    assert alices <= self.deposit + self.vaulted, "more than there is"
    signed: bytes32 = self._digest(number, alices)
    assert ecrecover(signed, v[0], r[0], s[0]) == alice, "Alice has not signed this"
    assert ecrecover(signed, v[1], r[1], s[1]) == bob, "Bob has not signed this"
    self._accept(number, alices)


@external
def leave():
    """
    @notice End a channel with what was brought last; with the deposits if nothing was ever signed.
    """
    assert msg.sender == alice or msg.sender == bob, "only Alice and Bob"
    assert self.isOpen and self.until == 0, "not open, or ending already"
    self._accept(self.number, self.alices)


@internal
def _accept(number: uint256, alices: uint256):
    self.number = number
    self.alices = alices
    if self.until == 0:
        self.until = block.timestamp + window
    log Brought(number=number, alices=alices, until=self.until)


@external
@view
def fee() -> uint256:
    """
    @notice What `settle` needs as value at this gas price. More comes back.
    """
    return self._fee()


@internal
@view
def _fee() -> uint256:
    there: uint256 = staticcall Messenger(MESSENGER).homeOf(self.vault)
    return PAY_GAS * staticcall Messenger(MESSENGER).priceTo(there)


@external
@payable
def settle():
    """
    @notice Pay out when the time for later states is over: what is here here, what is in the vault there. Wei
            for somebody on the other shard goes home by itself.
    """
    assert self.isOpen and self.until != 0 and block.timestamp > self.until, "not over"
    cost: uint256 = self._fee()
    assert msg.value >= cost, "the value does not pay for the message"
    self.isOpen = False
    self.isSettled = True
    bobs: uint256 = self.deposit + self.vaulted - self.alices
    here_for_alice: uint256 = min(self.alices, self.deposit)
    there_for_alice: uint256 = self.alices - here_for_alice
    extcall Messenger(MESSENGER).send(
        self.vault,
        abi_encode(
            there_for_alice, self.vaulted - there_for_alice, method_id=method_id("pay(uint256,uint256)")
        ),
        PAY_GAS,
        0,
        empty(bytes4),
        value=cost,
    )
    log Settled(alices=self.alices, bobs=bobs)
    send(alice, here_for_alice)
    send(bob, self.deposit - here_for_alice)
    raw_call(msg.sender, b"", value=msg.value - cost)
