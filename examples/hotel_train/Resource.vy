# pragma version ~=0.4.3
"""
@title Resource
@license MIT
@notice Places that can be reserved, confirmed and cancelled: rooms of a hotel, seats of a train. A reservation
        that is not confirmed in time is free again, so that an agency that is gone blocks nothing.
"""

event Reserved:
    booking: indexed(bytes32)
    agency: indexed(address)
    until: uint256

event Confirmed:
    booking: indexed(bytes32)

event Cancelled:
    booking: indexed(bytes32)

struct Reservation:
    agency: address
    until: uint256
    confirmed: bool

price: public(immutable(uint256))
capacity: public(immutable(uint256))
owner: public(immutable(address))
taken: public(uint256)
earned: public(uint256)
reservations: public(HashMap[bytes32, Reservation])


@deploy
def __init__(places: uint256, price_in_wei: uint256):
    capacity = places
    price = price_in_wei
    owner = msg.sender


@external
def reserve(booking: bytes32, until: uint256):
    """
    @notice Hold a place for the caller until a time (seconds since 1970).
    """
    assert self.reservations[booking].agency == empty(address), "this booking has a place"
    assert until > block.timestamp, "too late"
    assert self.taken < capacity, "sold out"
    self.taken += 1
    self.reservations[booking] = Reservation(agency=msg.sender, until=until, confirmed=False)
    log Reserved(booking=booking, agency=msg.sender, until=until)


@external
@payable
def confirm(booking: bytes32):
    """
    @notice Pay for a place that is held.
    """
    held: Reservation = self.reservations[booking]
    assert held.agency == msg.sender, "not the caller's"
    assert not held.confirmed, "confirmed already"
    assert block.timestamp <= held.until, "the reservation ran out"
    assert msg.value == price, "not the price"
    self.reservations[booking].confirmed = True
    self.earned += msg.value
    log Confirmed(booking=booking)


@external
def cancel(booking: bytes32):
    """
    @notice Give a place back; anyone may when its time is over. Nothing happens for one that is not held, so that
            an agency can cancel what it does not know to be reserved. A confirmed place is paid back.
    """
    held: Reservation = self.reservations[booking]
    if held.agency == empty(address):
        return
    late: bool = not held.confirmed and block.timestamp > held.until
    assert held.agency == msg.sender or late, "not the caller's"
    self.reservations[booking] = empty(Reservation)
    self.taken -= 1
    log Cancelled(booking=booking)
    if held.confirmed:
        self.earned -= price
        # An agency on another shard: the wei goes home by itself.
        send(held.agency, price)


@external
def collect():
    assert msg.sender == owner, "only the owner collects"
    amount: uint256 = self.earned
    self.earned = 0
    raw_call(owner, b"", value=amount)
