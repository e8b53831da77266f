# pragma version ~=0.4.3
"""
@title Agency
@license MIT
@notice Books two resources, wherever they live, both or neither: reserve both, then confirm both, else cancel.
        Each step is a message with a callback; a resource on this shard is simply called.
@dev    reserving --both ok--> confirming --both ok--> booked
            |                      |
            +----- a refusal ------+--> cancelled, what was paid is owed to the customer
"""

interface Messenger:
    def send(
        to: address, data: Bytes[256], callGas: uint256, replyGas: uint256, callback: bytes4
    ) -> bytes32: payable
    def homeOf(account: address) -> uint256: view
    def priceTo(dst: uint256) -> uint256: view
    def shardId() -> uint256: view

interface Resource:
    def reserve(booking: bytes32, until: uint256): nonpayable

event Step:
    booking: indexed(bytes32)
    stage: Stage

flag Stage:
    RESERVING
    CONFIRMING
    BOOKED
    CANCELLED

struct Trip:
    customer: address
    stage: Stage
    resources: address[2]
    prices: uint256[2]
    until: uint256
    waiting: uint256        # outcomes of this stage that have not come yet
    ok: bool[2]
    funds: uint256          # what is left of what the customer paid

struct Question:
    booking: bytes32
    which: uint256

MESSENGER: constant(address) = 0xa70110000000000000000000000000000000A701
CALL_GAS: constant(uint256) = 150_000
REPLY_GAS: constant(uint256) = 450_000
MESSAGES: constant(uint256) = 3  # at most, to each: reserve, confirm, cancel
RISE: constant(uint256) = 2      # times as much as now may gas cost when the later ones are sent

trips: public(HashMap[bytes32, Trip])
questions: HashMap[bytes32, Question]
owed: public(HashMap[address, uint256])


@external
@view
def fee(resources: address[2]) -> uint256:
    """
    @notice What a booking needs beside the two prices at this gas price. What is not used is owed back.
    """
    return self._fee(resources)


@internal
@view
def _fee(resources: address[2]) -> uint256:
    prices: uint256 = self._price(resources[0]) + self._price(resources[1])
    return RISE * MESSAGES * (CALL_GAS + REPLY_GAS) * prices


@internal
@view
def _price(resource: address) -> uint256:
    """
    What a unit of gas costs where a resource lives.
    """
    return staticcall Messenger(MESSENGER).priceTo(staticcall Messenger(MESSENGER).homeOf(resource))


@external
@payable
def book(booking: bytes32, resources: address[2], prices: uint256[2], until: uint256):
    """
    @notice Book both until a time. The outcome is the trip's stage.
    """
    assert self.trips[booking].customer == empty(address), "this booking exists"
    needed: uint256 = prices[0] + prices[1] + self._fee(resources)
    assert msg.value >= needed, "the value does not pay for the trip"
    self.trips[booking] = Trip(
        customer=msg.sender,
        stage=Stage.RESERVING,
        resources=resources,
        prices=prices,
        until=until,
        waiting=2,
        ok=[False, False],
        funds=msg.value,
    )
    log Step(booking=booking, stage=Stage.RESERVING)
    data: Bytes[256] = abi_encode(booking, until, method_id=method_id("reserve(bytes32,uint256)"))
    self._ask(booking, 0, data, 0)
    self._ask(booking, 1, data, 0)
    self._advance(booking)


@external
def claim():
    """
    @notice Take what is owed to the caller. What comes back from another shard may still be on its way.
    """
    amount: uint256 = self.owed[msg.sender]
    self.owed[msg.sender] = 0
    raw_call(msg.sender, b"", value=amount)


@external
def told(id: bytes32, ok: bool, data: Bytes[1024]):
    """
    @notice The outcome of a question to another shard.
    """
    assert msg.sender == MESSENGER, "only the messenger tells"
    question: Question = self.questions[id]
    self.questions[id] = empty(Question)
    if question.booking == empty(bytes32):
        return  # a cancellation: nothing depends on it
    if not ok and self.trips[question.booking].stage == Stage.CONFIRMING:
        # The messenger has given the price back.
        self.trips[question.booking].funds += self.trips[question.booking].prices[question.which]
    self._note(question.booking, question.which, ok)
    self._advance(question.booking)


@internal
def _note(booking: bytes32, which: uint256, ok: bool):
    self.trips[booking].waiting -= 1
    self.trips[booking].ok[which] = ok


@internal
@view
def _is_here(account: address) -> bool:
    here: uint256 = staticcall Messenger(MESSENGER).shardId()
    return staticcall Messenger(MESSENGER).homeOf(account) == here


@internal
def _ask(booking: bytes32, which: uint256, data: Bytes[256], amount: uint256):
    """
    Call a resource; its answer is noted now or when the message has been there.
    """
    resource: address = self.trips[booking].resources[which]
    if self._is_here(resource):
        ok: bool = raw_call(resource, data, value=amount, revert_on_failure=False)
        if ok:
            self.trips[booking].funds -= amount
        self._note(booking, which, ok)
        return
    cost: uint256 = (CALL_GAS + REPLY_GAS) * self._price(resource) + amount
    self.trips[booking].funds -= cost
    id: bytes32 = extcall Messenger(MESSENGER).send(
        resource,
        data,
        CALL_GAS,
        REPLY_GAS,
        method_id("told(bytes32,bool,bytes)", output_type=bytes4),
        value=cost,
    )
    self.questions[id] = Question(booking=booking, which=which)


@internal
def _cancel(booking: bytes32, which: uint256):
    resource: address = self.trips[booking].resources[which]
    data: Bytes[256] = abi_encode(booking, method_id=method_id("cancel(bytes32)"))
    if self._is_here(resource):
        ok: bool = raw_call(resource, data, revert_on_failure=False)
        return
    cost: uint256 = CALL_GAS * self._price(resource)
    self.trips[booking].funds -= cost
    extcall Messenger(MESSENGER).send(resource, data, CALL_GAS, 0, empty(bytes4), value=cost)


@internal
def _advance(booking: bytes32):
    """
    Go to the next stage if every outcome of this one is known.
    """
    if self.trips[booking].waiting != 0:
        return
    trip: Trip = self.trips[booking]
    if trip.stage == Stage.RESERVING and trip.ok[0] and trip.ok[1]:
        self.trips[booking].stage = Stage.CONFIRMING
        self.trips[booking].waiting = 2
        self.trips[booking].ok = [False, False]
        log Step(booking=booking, stage=Stage.CONFIRMING)
        data: Bytes[256] = abi_encode(booking, method_id=method_id("confirm(bytes32)"))
        self._ask(booking, 0, data, trip.prices[0])
        self._ask(booking, 1, data, trip.prices[1])
        if self.trips[booking].waiting != 0:
            return
        trip = self.trips[booking]
    if trip.stage == Stage.CONFIRMING and trip.ok[0] and trip.ok[1]:
        self.trips[booking].stage = Stage.BOOKED
    else:
        for which: uint256 in range(2):
            if trip.ok[which]:
                self._cancel(booking, which)
                if trip.stage == Stage.CONFIRMING:
                    # The resource pays it back; it is ours again when it has come home.
                    self.trips[booking].funds += trip.prices[which]
        self.trips[booking].stage = Stage.CANCELLED
    log Step(booking=booking, stage=self.trips[booking].stage)
    self.owed[trip.customer] += self.trips[booking].funds
    self.trips[booking].funds = 0


@external
@payable
def __default__():
    # Prices that resources pay back.
    pass
