# pragma version ~=0.4.3
"""
@title A contract that calls other shards
@license MIT
@notice Calls a contract on another shard and remembers what came of it. docs/messages.md explains it.
"""

interface Messenger:
    def send(
        to: address, data: Bytes[16384], callGas: uint256, replyGas: uint256, callback: bytes4
    ) -> bytes32: payable
    def crossShardCall() -> (bytes32, uint256, address): view

MESSENGER: constant(address) = 0xa70110000000000000000000000000000000A701

struct Answer:
    known: bool
    ok: bool
    shard: uint256
    data: Bytes[1024]

asked: public(HashMap[bytes32, bool])
answers: public(HashMap[bytes32, Answer])
count: public(uint256)
last: public(bytes32)
refuses: public(bool)


@external
@payable
def ask(to: address, data: Bytes[1024], callGas: uint256, replyGas: uint256) -> bytes32:
    """
    @notice Call `to` with `data`. What `msg.value` exceeds the price of the gas by goes along.
    """
    callback: bytes4 = method_id("answered(bytes32,bool,bytes)", output_type=bytes4)
    id: bytes32 = extcall Messenger(MESSENGER).send(
        to, data, callGas, replyGas, callback, value=msg.value
    )
    self.asked[id] = True
    self.last = id
    return id


@external
def answered(id: bytes32, ok: bool, data: Bytes[1024]):
    """
    @notice What became of a call. Only MESSENGER may say so, and only of what we asked.
    """
    assert msg.sender == MESSENGER and self.asked[id]
    assert not self.refuses
    self.asked[id] = False
    shard: uint256 = (staticcall Messenger(MESSENGER).crossShardCall())[1]
    self.answers[id] = Answer(known=True, ok=ok, shard=shard, data=data)
    self.count += 1


@external
def refuse(on: bool):
    self.refuses = on


@external
@payable
def __default__():
    pass
