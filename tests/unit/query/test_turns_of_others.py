"""No request keeps the event loop: how many functions are called at most until others have a turn.

Functions that are called on the event loop's thread are counted, and not seconds: it is the same on any
machine. What a step of a task calls is what others have to wait for.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trio

from node.primitives.transaction import decode_transaction
from rpc.dispatch import Dispatcher
from rpc.limits import Limits

pytestmark = pytest.mark.slow

MOST = 4_000
"""Calls of functions in one step: a few milliseconds."""
A = "0x" + "ee" * 20
B = "0x" + "11" * 20
"""Stands for an account of shard 0 whose key the node has."""
CALL = {"from": B, "to": A, "gas": "0x5208"}


class WorkMeter(trio.abc.Instrument):
    """Counts the calls of functions in each step of a task; `most` is the largest number."""

    def __init__(self) -> None:
        self.most = self._now = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._now = 0
        sys.setprofile(self._count)

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        sys.setprofile(None)
        self.most = max(self.most, self._now)

    def _count(self, frame: object, event: str, arg: object) -> None:
        if event in ("call", "c_call"):
            self._now += 1


@contextmanager
def metered() -> Iterator[WorkMeter]:
    meter = WorkMeter()
    trio.lowlevel.add_instrument(meter)
    try:
        yield meter
    finally:
        trio.lowlevel.remove_instrument(meter)
        sys.setprofile(None)


def words(count: int) -> list[str]:
    return [f"0x{n:064x}" for n in range(count)]


def addresses(count: int) -> list[str]:
    return [f"0x{n:040x}" for n in range(count)]


def listed(keys: int) -> list[dict]:
    return [{"address": A, "storageKeys": words(keys)}]


def typed(values: int) -> dict:
    return {
        "types": {"T": [{"name": "x", "type": "uint8[]"}]},
        "primaryType": "T",
        "domain": {},
        "message": {"x": [1] * values},
    }


DEAR = {
    "simulated calls": ("eth_simulateV1", [{"blockStateCalls": [{"calls": [CALL] * 5000}]}]),
    "simulated access lists": (
        "eth_simulateV1",
        [{"blockStateCalls": [{"calls": [{**CALL, "accessList": listed(12)}] * 600}]}],
    ),
    "simulated overrides": (
        "eth_simulateV1",
        [
            {
                "blockStateCalls": [
                    {"stateOverrides": {a: {"balance": "0x1"} for a in addresses(900)}}
                    for _ in range(10)
                ]
            }
        ],
    ),
    "a long access list": ("eth_call", [{**CALL, "accessList": listed(9000)}]),
    "an estimate with one": ("eth_estimateGas", [{**CALL, "accessList": listed(9000)}]),
    "many overrides": (
        "eth_call",
        [CALL, "latest", {A: {"stateDiff": dict.fromkeys(words(9000), words(2)[1])}}],
    ),
    "a filter of everything": (
        "eth_getLogs",
        [{"fromBlock": "0x0", "address": addresses(1000), "topics": [words(1000)] * 4}],
    ),
    "many proofs": ("eth_getProof", [B, words(1024)]),
    "many slots": ("eth_getStorageValues", [{B: words(1024)}]),
    "typed data": ("eth_signTypedData_v4", [B, typed(15_000)]),
    "a long transaction": ("eth_sendRawTransaction", ["0x02" + "f8" * 2_000_000]),
    "a transaction to be filled": (
        "eth_fillTransaction",
        [{**CALL, "nonce": "0x0", "gasPrice": None, "accessList": listed(9000)}],
    ),
    "fees": ("eth_feeHistory", ["0xffff", "latest", [n * 0.99 for n in range(100)]]),
    "a full block": ("eth_getBlockByNumber", ["0x1", True]),
    "all receipts of a block": ("eth_getBlockReceipts", ["0x1"]),
    "the same encoded": ("debug_getRawReceipts", ["0x1"]),
    "all votes": ("atoll_votes", ["latest", 64]),
    "the lanes": ("atoll_lanes", []),
    "a batch": [
        {"jsonrpc": "2.0", "id": n, "method": "eth_getProof", "params": [B, words(60)]}
        for n in range(50)
    ],
    "a batch of blocks": [
        {"jsonrpc": "2.0", "id": n, "method": "eth_getBlockByNumber", "params": ["0x1", True]}
        for n in range(300)
    ],
}


@pytest.fixture(scope="module")
def long_chain(devnet_class):
    """Blocks with transactions, and many without."""
    net = devnet_class()
    user, other = net.users[0][:2]
    for _ in range(3):
        for _ in range(400):
            tx = decode_transaction(user.sign(other.address, 1))
            net.pools[0].pool.add(tx, net.pools[0].accounts())
        net.round()
    for _ in range(60):
        net.crosslink()
    return net


@pytest.mark.parametrize("own", [0, 1], ids=["own", "remote"])
@pytest.mark.parametrize("dear", DEAR)
async def test_others_have_their_turns(long_chain, own, dear):
    """Whatever is asked, of our own shard or of another's."""
    dispatcher = Dispatcher(long_chain.views(own=own).backend, Limits())
    asked = DEAR[dear]
    if isinstance(asked, tuple):
        asked = {"jsonrpc": "2.0", "id": 1, "method": asked[0], "params": asked[1]}
    account = "0x" + long_chain.users[0][0].address.hex()
    body = json.dumps(asked).replace(B, account).encode()
    answers = []

    async def ask():
        answers.append(await dispatcher.handle(body, None))

    with metered() as meter:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
    answer = answers[0]
    assert meter.most <= MOST, (meter.most, answer[:200])
