# pragma version ~=0.4.3
"""
Keeps books of calls between shards: by whom, with what, in which order; and what became of those it made.
A call that comes a second time, or an answer that nobody waits for, reverts.
"""

interface Messenger:
    def send(
        to: address, data: Bytes[1024], callGas: uint256, replyGas: uint256, callback: bytes4
    ) -> bytes32: payable
    def crossShardCall() -> (bytes32, uint256, address): view

event Noted:
    id: indexed(bytes32)
    sender: indexed(address)
    number: indexed(uint256)
    place: uint256  # how many calls of that shard came before
    value: uint256

event Asked:
    id: indexed(bytes32)
    number: indexed(uint256)

event Told:
    id: indexed(bytes32)
    number: indexed(uint256)
    ok: bool

MESSENGER: constant(address) = 0xa70110000000000000000000000000000000A701

noted: public(HashMap[bytes32, bool])
notes: public(HashMap[uint256, uint256])
asked: public(HashMap[bytes32, uint256])
waiting: public(uint256)


@internal
@payable
def _note(number: uint256):
    id: bytes32 = empty(bytes32)
    source: uint256 = 0
    sender: address = empty(address)
    (id, source, sender) = staticcall Messenger(MESSENGER).crossShardCall()
    assert id != empty(bytes32) and sender == msg.sender, "not from another shard"
    assert not self.noted[id], "delivered twice"
    self.noted[id] = True
    log Noted(id=id, sender=sender, number=number, place=self.notes[source], value=msg.value)
    self.notes[source] += 1


@internal
@payable
def _ask(
    number: uint256, to: address, data: Bytes[1024], call_gas: uint256, reply_gas: uint256,
    callback: bytes4
):
    id: bytes32 = extcall Messenger(MESSENGER).send(to, data, call_gas, reply_gas, callback, value=msg.value)
    if callback != empty(bytes4):
        self.asked[id] = number
        self.waiting += 1
    log Asked(id=id, number=number)


@external
@payable
def note(number: uint256):
    self._note(number)


@external
@payable
def refuse(number: uint256):
    raise "refused on purpose"


@external
@payable
def spin(number: uint256):
    """
    Uses all the gas there is.
    """
    for _: uint256 in range(max_value(uint256)):
        pass


@external
@payable
def ask(
    number: uint256, to: address, data: Bytes[1024], call_gas: uint256, reply_gas: uint256,
    callback: bytes4
):
    self._ask(number, to, data, call_gas, reply_gas, callback)


@external
@payable
def relay(
    number: uint256, to: address, data: Bytes[1024], call_gas: uint256, reply_gas: uint256,
    callback: bytes4
):
    """
    A call from one shard that makes a call to another.
    """
    self._note(number)
    self._ask(number, to, data, call_gas, reply_gas, callback)


@external
@payable
def told(id: bytes32, ok: bool, data: Bytes[1024]):
    assert msg.sender == MESSENGER, "only the messenger tells"
    assert self.asked[id] != 0, "told twice, or not asked"
    log Told(id=id, number=self.asked[id], ok=ok)
    self.asked[id] = 0
    self.waiting -= 1


@external
@payable
def deaf(id: bytes32, ok: bool, data: Bytes[1024]):
    raise "deaf on purpose"


@external
@payable
def pay(to: DynArray[address, 8]):
    """
    Splits the value over `to`.
    """
    share: uint256 = msg.value // len(to)
    for who: address in to:
        send(who, share)


@external
@payable
def __default__():
    pass
