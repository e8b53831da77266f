"""Messages of every kind between four shards while nodes are killed at random: each is delivered once and in
order, each answer is told once, and every wei is where the books outside say that it is.

ATOLL_MESSAGES says how many transactions send them (150; 5000 for a long run), ATOLL_MESSAGES_KILLS how many
nodes are killed (1; 10), ATOLL_MESSAGES_VALIDATORS how many validators each shard has (1). ATOLL_MESSAGES_SEED
repeats the choices of a run.
"""

import os
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from node.testing import Network
from node.testing.shared import SharedNetworks
from tests.cluster.support.history import History
from tests.cluster.support.load import fund, make_accounts
from tests.cluster.support.messages import ETHER, MessageLoad, deploy_books
from tests.cluster.support.network import names_of
from tests.cluster.support.traffic import Traffic

COUNT = int(os.environ.get("ATOLL_MESSAGES", "150"))
KILLS = int(os.environ.get("ATOLL_MESSAGES_KILLS", "1" if COUNT <= 150 else "10"))
VALIDATORS = int(os.environ.get("ATOLL_MESSAGES_VALIDATORS", "1"))
SEED = int(os.environ.get("ATOLL_MESSAGES_SEED", "0")) or random.SystemRandom().randrange(1, 2**32)
SHARDS, ACCOUNTS = 4, 24
EACH_SECONDS = 60


@pytest.fixture
def network(networks: SharedNetworks) -> Iterator[Network]:
    network = networks.shared(shards=SHARDS, validators=VALIDATORS)
    yield network
    network.invariants.check()


@pytest.mark.timeout(600 + EACH_SECONDS * KILLS + COUNT)
def test_every_message_is_delivered_once(network: Network, compiled_books: dict[str, Any]) -> None:
    print(f"ATOLL_MESSAGES_SEED={SEED}")
    draw = random.Random(SEED)
    books = deploy_books(network, compiled_books)
    accounts = make_accounts(seed=SEED, count=ACCOUNTS)
    fund(network, accounts, 200 * ETHER)
    network.invariants.wait_until_quiet()
    load = MessageLoad(network, accounts, books, seed=draw.getrandbits(32), limit=COUNT)

    with Traffic(network, load) as traffic:
        for number in range(1, KILLS + 1):
            due = COUNT * number // (KILLS + 1)  # receipts after which the next one is killed
            while len(load.receipts) < due:
                traffic.go_on(0.05)
            traffic.go_on(draw.uniform(0, 1))
            victim = draw.choice(names_of(network))
            print(f"kill {number} of {KILLS}: {victim} after {len(load.receipts)} receipts")
            network.faults.kill(victim)
            network.up()
        while not load.is_spent:
            traffic.go_on(0.05)
        traffic.drain()

    network.invariants.wait_until_quiet()
    history = History.read(network)
    print(dict(Counter(order.kind for order in load.orders)))
    print(history.summary())
    history.check()
    load.check(history)
