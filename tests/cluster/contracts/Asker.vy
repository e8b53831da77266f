# pragma version ~=0.4.3
"""
Calls accounts of other shards and is told the outcomes.
"""

interface Messenger:
    def send(
        to: address, data: Bytes[1024], callGas: uint256, replyGas: uint256, callback: bytes4
    ) -> bytes32: payable

event Answered:
    id: indexed(bytes32)
    ok: bool
    answer: Bytes[1024]

MESSENGER: constant(address) = 0xa70110000000000000000000000000000000A701

answers: public(uint256)


@external
@payable
def ask(to: address, data: Bytes[1024], call_gas: uint256, reply_gas: uint256) -> bytes32:
    callback: bytes4 = method_id("answered(bytes32,bool,bytes)", output_type=bytes4)
    return extcall Messenger(MESSENGER).send(to, data, call_gas, reply_gas, callback, value=msg.value)


@external
@payable
def answered(id: bytes32, ok: bool, answer: Bytes[1024]):
    assert msg.sender == MESSENGER
    self.answers += 1
    log Answered(id=id, ok=ok, answer=answer)


@external
@payable
def __default__():
    pass
