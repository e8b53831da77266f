"""A room on shard 0 and a seat on shard 1, both or neither: reserve, confirm, cancel, with a time limit.

.venv/bin/python examples/hotel_train/run.py [--dir .atoll]
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from devnet import Devnet, devnet_from_arguments
from web3.contract import Contract

ROOM, SEAT = 10**17, 2 * 10**16
STAGES = {1: "reserving", 2: "confirming", 4: "booked", 8: "cancelled"}


def main(net: Devnet) -> None:
    hotel = net.deploy(net.person(0), "hotel_train/Resource.vy", 5, ROOM)
    train = net.deploy(net.person(1), "hotel_train/Resource.vy", 1, SEAT)
    agency = net.deploy(net.person(0), "hotel_train/Agency.vy")
    customers = [net.person(0), net.person(0)]

    def book(number: int, title: str) -> str:
        booking = number.to_bytes(32, "big")
        until = net.w3.eth.get_block("latest")["timestamp"] + 600
        sent = net.send(
            customers[number - 1],
            agency.functions.book(booking, [hotel.address, train.address], [ROOM, SEAT], until),
            value=ROOM + SEAT,
            fee=agency.functions.fee([hotel.address, train.address]),
        )
        net.tell(title, sent)
        stage = STAGES[agency.functions.trips(booking).call()[1]]
        print(f"  {stage}; rooms taken {taken(hotel)}, seats taken {taken(train)}")
        return stage

    assert book(1, "the first customer books a room and the only seat") == "booked"
    assert (taken(hotel), taken(train)) == (1, 1)
    assert book(2, "the second customer finds the train sold out") == "cancelled"
    assert (taken(hotel), taken(train)) == (1, 1)
    owed = agency.functions.owed(customers[1].address).call()
    net.settle(net.send(customers[1], agency.functions.claim()))
    print(
        f"  the second customer took back {owed / 10**18:.6f} ether, prices and unused gas included"
    )
    assert owed >= ROOM + SEAT
    assert hotel.functions.earned().call() == ROOM
    assert train.functions.earned().call() == SEAT


def taken(resource: Contract) -> int:
    return int(resource.functions.taken().call())


if __name__ == "__main__":
    main(devnet_from_arguments(__doc__))
