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
# A precompile that answers from the beacon state that the block is anchored to.
BEACON: constant(address) = 0xa70110000000000000000000000000000000a703
BUCKETS: constant(uint256) = 1024  # of payers
SHARE: constant(uint256) = 4       # one of them may have this part of a window under way
LOW_24: constant(uint256) = 2**24 - 1
LOW_56: constant(uint256) = 2**56 - 1
LOW_128: constant(uint256) = 2**128 - 1

struct Lane:
    count: uint256  # messages
    head: bytes32   # of the hash chain of their hashes
    gas: uint256    # prepaid, for calls and replies, by those that were asked for
    amount: uint256 # wei that they all brought, gas included. Written by the protocol.
    asked: uint256  # how many were asked for, by `send` or a transaction, and do not just follow from an arrival

struct Facts:
    consumed: uint256     # of those that were asked for
    consumedGas: uint256
    baseFee: uint256
    frozen: bool

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
# By destination and bucket, what payers have sent: two generations of 128 bits, of which the older one, above, is
# dropped once it is consumed. Each is the number (of those asked for) after its last message (48 bits), how many
# (24), their gas (56). The protocol counts what it sends for users, and in buckets of its own, from BUCKETS on, what
# other shards have it pass on.
shares: HashMap[uint256, HashMap[uint256, uint256]]

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
    @param callGas Gas for the call, bought now, out of `msg.value`, at `priceTo` that shard.
    @param replyGas Gas for the callback, bought now likewise.
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
    facts: Facts = self._facts(dst)
    if facts.frozen:
        raw_revert(abi_encode(dst, method_id=method_id("Frozen(uint256)")))
    total: uint256 = callGas + replyGas
    seq: uint256 = self.outbox[dst].count
    asked: uint256 = self.outbox[dst].asked
    sent: uint256 = self.outbox[dst].gas
    # A shard could claim to have consumed more than there is: that must not stop ours.
    waiting: uint256 = asked - min(facts.consumed, asked)
    gas_waiting: uint256 = sent - min(facts.consumedGas, sent)
    if waiting >= laneWindow or gas_waiting + total > laneGasWindow:
        raw_revert(abi_encode(dst, method_id=method_id("LaneFull(uint256)")))
    self._take_share(dst, facts.consumed, asked, total)
    price: uint256 = self._price(facts)
    prepaid: uint256 = total * price
    if msg.value < prepaid:
        raw_revert(abi_encode(prepaid, method_id=method_id("Underpaid(uint256)")))
    self.outbox[dst].count = seq + 1
    self.outbox[dst].asked = asked + 1
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
        gasPrice=price,
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
def consumed(dst: uint256) -> (uint256, uint256):
    """
    @notice How many messages that were asked for a shard has consumed of those that this one sent to it, and
            their gas, as of the anchor. What was sent when `outbox(dst).asked` was n has arrived once this is n.
    """
    facts: Facts = self._facts(dst)
    return facts.consumed, facts.consumedGas


@external
@view
def priceTo(dst: uint256) -> uint256:
    """
    @notice What a unit of gas for a message to a shard costs in this transaction, in wei: the highest of
            `tx.gasprice`, the base fee here, and the base fee there as of the anchor.
    """
    return self._price(self._facts(dst))


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
    return convert(
        raw_call(
            BEACON,
            abi_encode(account, method_id=method_id("homeOf(address)")),
            max_outsize=32,
            is_static_call=True,
        ),
        uint256,
    )


@internal
@view
def _facts(shard: uint256) -> Facts:
    answer: Bytes[128] = raw_call(
        BEACON,
        abi_encode(shard, method_id=method_id("shard(uint256)")),
        max_outsize=128,
        is_static_call=True,
    )
    return abi_decode(answer, Facts)


@internal
@view
def _price(facts: Facts) -> uint256:
    """
    The gas of the call is burned where the message goes, that of the reply here: whoever sends pays no less than the
    base fee of both. A transaction pays that of this shard; the price of a message that arrives may be below it.
    """
    return max(max(tx.gasprice, block.basefee), facts.baseFee)


@internal
def _take_share(dst: uint256, consumed: uint256, number: uint256, amount: uint256):
    """
    Count the message of this number for who pays for it. Reverts where too much of theirs is under way; one always may be.
    """
    bucket: uint256 = convert(keccak256(convert(tx.origin, bytes32)), uint256) % BUCKETS
    share: uint256 = self.shares[dst][bucket]
    older: uint256 = share >> 128
    newer: uint256 = share & LOW_128
    if consumed >= newer >> 80:
        older = 0
        newer = 0
    elif consumed >= older >> 80:
        older = newer
        newer = 0
    count: uint256 = (newer >> 56) & LOW_24
    held: uint256 = newer & LOW_56
    under_way: uint256 = count + ((older >> 56) & LOW_24)
    if under_way != 0:
        gas_under_way: uint256 = held + (older & LOW_56)
        if under_way + 1 > laneWindow // SHARE or gas_under_way + amount > laneGasWindow // SHARE:
            raw_revert(abi_encode(dst, method_id=method_id("ShareUsed(uint256)")))
    newer = ((number + 1) << 80) | ((count + 1) << 56) | (held + amount)
    self.shares[dst][bucket] = (older << 128) | newer
