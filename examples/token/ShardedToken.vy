# pragma version ~=0.4.3
"""
@title Sharded token
@license MIT
@notice An ERC-20 whose holders live on all shards: one of these contracts on each. A balance is kept on its
        holder's shard. `transfer` moves tokens on this shard; `transferAcross` burns here and mints there,
        and gives back what could not be minted.
@dev Over all shards, supplies and what is under way add up to what was issued:
     sum(totalSupply) + sum(inFlight) is constant.
"""

interface Messenger:
    def send(
        to: address, data: Bytes[4096], callGas: uint256, replyGas: uint256, callback: bytes4
    ) -> bytes32: payable
    def homeOf(account: address) -> uint256: view
    def priceTo(dst: uint256) -> uint256: view
    def shardId() -> uint256: view
    def crossShardCall() -> (bytes32, uint256, address): view

interface Receiver:
    def onTokens(sender: address, amount: uint256, data: Bytes[1024]): payable

event Transfer:
    sender: indexed(address)
    receiver: indexed(address)
    amount: uint256

event Approval:
    owner: indexed(address)
    spender: indexed(address)
    amount: uint256

event Departed:
    id: indexed(bytes32)
    sender: indexed(address)
    receiver: indexed(address)
    amount: uint256

event Settled:
    id: indexed(bytes32)
    ok: bool

struct Departure:
    sender: address
    amount: uint256
    callValue: uint256

MESSENGER: constant(address) = 0xa70110000000000000000000000000000000A701
MINT_GAS: constant(uint256) = 120_000
SETTLE_GAS: constant(uint256) = 100_000

name: public(String[32])
symbol: public(String[8])
decimals: public(constant(uint8)) = 18

totalSupply: public(uint256)
inFlight: public(uint256)
balanceOf: public(HashMap[address, uint256])
allowance: public(HashMap[address, HashMap[address, uint256]])

owner: public(address)
# The contract of each other shard. Set once: whoever could change it could mint.
peers: public(HashMap[uint256, address])
departures: public(HashMap[bytes32, Departure])
# Accounts that must not be paid, as regulated tokens have them.
blocked: public(HashMap[address, bool])


@deploy
def __init__(name: String[32], symbol: String[8], supply: uint256):
    self.name = name
    self.symbol = symbol
    self.owner = msg.sender
    self._mint(msg.sender, supply)


@external
def link(shard: uint256, peer: address):
    """
    @notice Name the contract of another shard.
    """
    assert msg.sender == self.owner, "only the owner links"
    assert self.peers[shard] == empty(address), "already linked"
    self.peers[shard] = peer


@external
def block(account: address, yes: bool):
    assert msg.sender == self.owner, "only the owner blocks"
    self.blocked[account] = yes


# ------------------------------------------------------------------ on this shard


@external
def transfer(to: address, amount: uint256) -> bool:
    self._move(msg.sender, to, amount)
    return True


@external
def transferFrom(sender: address, to: address, amount: uint256) -> bool:
    self.allowance[sender][msg.sender] -= amount
    self._move(sender, to, amount)
    return True


@external
def approve(spender: address, amount: uint256) -> bool:
    self.allowance[msg.sender][spender] = amount
    log Approval(owner=msg.sender, spender=spender, amount=amount)
    return True


@internal
def _move(sender: address, to: address, amount: uint256):
    # The holder could not use tokens on a shard that is not its own.
    assert self._lives_here(to), "lives elsewhere: transferAcross"
    assert not self.blocked[to], "blocked"
    self.balanceOf[sender] -= amount
    self.balanceOf[to] += amount
    log Transfer(sender=sender, receiver=to, amount=amount)


@internal
@view
def _lives_here(account: address) -> bool:
    here: uint256 = staticcall Messenger(MESSENGER).shardId()
    return staticcall Messenger(MESSENGER).homeOf(account) == here


@internal
def _mint(to: address, amount: uint256):
    self.totalSupply += amount
    self.balanceOf[to] += amount
    log Transfer(sender=empty(address), receiver=to, amount=amount)


@internal
def _burn(sender: address, amount: uint256):
    self.balanceOf[sender] -= amount
    self.totalSupply -= amount
    log Transfer(sender=sender, receiver=empty(address), amount=amount)


# ------------------------------------------------------------------ to another shard


@external
@view
def fee(dst: uint256, callGas: uint256) -> uint256:
    """
    @notice What `transferAcross` and `transferAcrossAndCall` to a shard need as value at this gas price. What is
            not used comes back.
    """
    return self._fee(dst, callGas)


@internal
@view
def _fee(dst: uint256, callGas: uint256) -> uint256:
    return (MINT_GAS + SETTLE_GAS + callGas) * staticcall Messenger(MESSENGER).priceTo(dst)


@external
@payable
def transferAcross(to: address, amount: uint256) -> bytes32:
    """
    @notice Send tokens to a holder on another shard.
    @return The id of the message; `atoll_message` follows it.
    """
    return self._depart(msg.sender, to, amount, b"", 0, 0)


@external
@payable
def transferAcrossAndCall(
    to: address, amount: uint256, data: Bytes[1024], callGas: uint256, callValue: uint256
) -> bytes32:
    """
    @notice Send tokens to a contract on another shard and tell it (`onTokens`). If it refuses, the tokens and
            `callValue` come back.
    """
    return self._depart(msg.sender, to, amount, data, callGas, callValue)


@internal
@payable
def _depart(
    sender: address, to: address, amount: uint256, data: Bytes[1024], callGas: uint256, callValue: uint256
) -> bytes32:
    dst: uint256 = staticcall Messenger(MESSENGER).homeOf(to)
    peer: address = self.peers[dst]
    assert peer != empty(address), "no peer on that shard"
    needed: uint256 = self._fee(dst, callGas) + callValue
    assert msg.value >= needed, "the value does not pay for the message"
    self._burn(sender, amount)
    self.inFlight += amount
    id: bytes32 = extcall Messenger(MESSENGER).send(
        peer,
        abi_encode(sender, to, amount, data, method_id=method_id("arrive(address,address,uint256,bytes)")),
        MINT_GAS + callGas,
        SETTLE_GAS,
        method_id("settle(bytes32,bool,bytes)", output_type=bytes4),
        value=needed,
    )
    self.departures[id] = Departure(sender=sender, amount=amount, callValue=callValue)
    log Departed(id=id, sender=sender, receiver=to, amount=amount)
    if msg.value > needed:
        raw_call(sender, b"", value=msg.value - needed)
    return id


@external
@payable
def arrive(sender: address, to: address, amount: uint256, data: Bytes[1024]):
    """
    @notice What the contract of another shard burned. Reverting sends it back there.
    """
    id: bytes32 = empty(bytes32)
    source: uint256 = 0
    caller: address = empty(address)
    (id, source, caller) = staticcall Messenger(MESSENGER).crossShardCall()
    assert id != empty(bytes32) and caller == msg.sender and self.peers[source] == caller, "not a peer"
    assert not self.blocked[to], "blocked"
    self._mint(to, amount)
    if len(data) > 0:
        extcall Receiver(to).onTokens(sender, amount, data, value=msg.value)


@external
def settle(id: bytes32, ok: bool, data: Bytes[1024]):
    """
    @notice The outcome of a departure: refunds it where nothing was minted.
    """
    assert msg.sender == MESSENGER, "only the messenger settles"
    departure: Departure = self.departures[id]
    assert departure.sender != empty(address), "unknown departure"
    self.departures[id] = empty(Departure)
    self.inFlight -= departure.amount
    if not ok:
        self._mint(departure.sender, departure.amount)
        # The messenger has given back the value of the call before it called here.
        paid: bool = raw_call(
            departure.sender, b"", value=departure.callValue, revert_on_failure=False
        )
        assert paid or departure.callValue == 0, "the sender takes no wei"
    log Settled(id=id, ok=ok)

