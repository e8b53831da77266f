# pragma version ==0.4.3
# pragma evm-version prague
"""
@title Messenger
@license MIT
@notice Calls to contracts and accounts on other shards. Every shard has this contract at
        0xa70110000000000000000000000000000000a701.
@dev The protocol reads and writes this storage and reads the `Send` logs (docs/protocol.md, "Messages and
     lanes"); node/primitives/messenger.py knows its layout. What the protocol writes is marked below.
"""

MAX_DATA: constant(uint256) = 16384  # bytes of call data
HIGHEST_PRECOMPILE: constant(uint160) = 17

struct Lane:
    count: uint256  # messages
    head: bytes32   # of the hash chain of their hashes
    gas: uint256    # prepaid by them, for calls and replies

struct Consumed:
    count: uint256
    gas: uint256

event Send:
    id: indexed(bytes32)
    sender: indexed(address)
    to: indexed(address)
    dst: uint256
    seq: uint256
    value: uint256
    gas: uint256
    replyGas: uint256
    callback: bytes4
    gasPrice: uint256
    refundTo: address
    data: Bytes[MAX_DATA]

# Sent to each shard. `send` counts; the protocol moves the head, and counts what it sends itself.
outbox: public(HashMap[uint256, Lane])
# Consumed of what each shard sent. Written by the protocol.
inbox: public(HashMap[uint256, Lane])
# Wei destroyed on this shard since genesis. Written by the protocol.
burned: public(uint256)
# How far each shard has consumed our outbox, as of the anchor. Written by the protocol.
consumed: public(HashMap[uint256, Consumed])
# Contracts that live outside their range: shard + 1. Written by the protocol.
directory: HashMap[address, uint256]

# The message that the execution is caused by, where it is caused by one. Written by the protocol.
causeId: transient(bytes32)
causeSource: transient(uint256)
causeSender: transient(address)

shardId: public(immutable(uint256))
shards: public(immutable(uint256))
maxMessageGas: public(immutable(uint256))
laneWindow: public(immutable(uint256))
laneGasWindow: public(immutable(uint256))


@deploy
def __init__(shard: uint256, count: uint256, max_gas: uint256, window: uint256, gas_window: uint256):
    shardId = shard
    shards = count
    maxMessageGas = max_gas
    laneWindow = window
    laneGasWindow = gas_window


@external
@payable
def send(
    to: address, data: Bytes[MAX_DATA], callGas: uint256, replyGas: uint256, callback: bytes4
) -> bytes32:
    """
    @notice Call an account of another shard.
    @param to Whom to call, with `msg.sender` being the caller of this function.
    @param data What to call it with.
    @param callGas Gas for the call, paid now at the price of this transaction.
    @param replyGas Gas for the callback, paid now likewise.
    @param callback Selector of a function (bytes32 id, bool ok, bytes data) of the caller that is told the
           outcome; zero for none.
    @return The id of the message. What `msg.value` exceeds the gas by goes along as the call's value.
    """
    dst: uint256 = self._home(to)
    if dst == shardId:
        raw_revert(abi_encode(to, method_id=method_id("NotRemote(address)")))
    if max(callGas, replyGas) > maxMessageGas:
        raw_revert(
            abi_encode(
                max(callGas, replyGas), maxMessageGas, method_id=method_id("GasTooHigh(uint256,uint256)")
            )
        )
    total: uint256 = callGas + replyGas
    seq: uint256 = self.outbox[dst].count
    sent: uint256 = self.outbox[dst].gas
    # A shard could claim to have consumed more than there is: that must not stop ours.
    waiting: uint256 = seq - min(self.consumed[dst].count, seq)
    gas_waiting: uint256 = sent - min(self.consumed[dst].gas, sent)
    if waiting >= laneWindow or gas_waiting + total > laneGasWindow:
        raw_revert(abi_encode(dst, method_id=method_id("LaneFull(uint256)")))
    prepaid: uint256 = total * tx.gasprice
    if msg.value < prepaid:
        raw_revert(abi_encode(prepaid, method_id=method_id("Underpaid(uint256)")))
    self.outbox[dst].count = seq + 1
    self.outbox[dst].gas = sent + total
    id: bytes32 = keccak256(abi_encode(shardId, dst, seq))
    log Send(
        id=id,
        sender=msg.sender,
        to=to,
        dst=dst,
        seq=seq,
        value=msg.value - prepaid,
        gas=callGas,
        replyGas=replyGas,
        callback=callback,
        gasPrice=tx.gasprice,
        refundTo=tx.origin,
        data=data,
    )
    return id


@external
@view
def homeOf(account: address) -> uint256:
    """
    @notice The shard on which an account lives.
    """
    return self._home(account)


@external
@view
def isCrossShardCall() -> bool:
    """
    @notice Whether a message from another shard caused this execution.
    """
    return self.causeId != empty(bytes32)


@external
@view
def crossShardCall() -> (bytes32, uint256, address):
    """
    @notice The message that caused this execution: its id, the shard it came from, and who sent it there. All
            are zero where none did.
    """
    return self.causeId, self.causeSource, self.causeSender


@internal
@view
def _home(account: address) -> uint256:
    entry: uint256 = self.directory[account]
    if entry != 0:
        return entry - 1
    digest: bytes32 = keccak256(slice(convert(account, bytes32), 12, 20))
    shard: uint256 = (convert(digest, uint256) >> 240) * shards >> 16
    # The newest contracts of this shard are not in the directory yet, and some accounts are everywhere.
    number: uint160 = convert(account, uint160)
    if shard != shardId and (account.is_contract or (number != 0 and number <= HIGHEST_PRECOMPILE)):
        return shardId
    return shard
