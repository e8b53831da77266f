"""A load that goes on in a thread of its own while nodes come and go."""

import time
from collections.abc import Sequence
from itertools import count
from threading import Event, Lock, Thread
from typing import Any

import pytest

from node.cluster.client.client import call_each
from node.cluster.errors import RpcRefused, RpcUnreachable
from node.testing import Network
from tests.cluster.support.load import BATCH, Offer, Source

IN_FLIGHT = 60
OFFER_AGAIN_SECONDS = 3.0
DRAIN_SECONDS = 240.0
TURN_SECONDS = 0.05

PASSING = (
    "already known",
    "nonce too low",  # it is in a block, whose receipt is not seen yet
    "nonce too high",  # one before it went down with the pool of a killed node
    "unavailable",  # the node has just been started
    "is full",  # a lane, until what waits is delivered
)
"""What a node may say to a transaction or a question while the network is shaken."""


class Traffic:
    """Sends `load` through all nodes in turn, keeps what receipts it sees in `load.receipts`, and offers
    again what has none: a killed node takes its pool with it. That nodes do not answer is no error."""

    def __init__(self, network: Network, load: Source) -> None:
        self._network = network
        self._load = load
        self._outstanding: dict[str, Offer] = {}
        self._offered: dict[str, float] = {}
        self._left_out: set[str] = set()
        self._turn = Lock()
        self._draining, self._abandoned, self._over = Event(), Event(), Event()
        self._failure: BaseException | None = None
        self._thread = Thread(target=self._run, name="traffic", daemon=True)

    def __enter__(self) -> "Traffic":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._abandoned.set()
        self._thread.join()

    def go_on(self, seconds: float) -> None:
        """Let it run for this long; fails at once if it has failed."""
        self._over.wait(seconds)
        self._raise_failure()

    def leave_out(self, *names: str) -> None:
        """Ask these nodes nothing from now on, nor be waiting for them."""
        with self._turn:
            self._left_out = set(names)

    def drain(self) -> None:
        """Send nothing new, and wait until every transaction has its receipt."""
        self._draining.set()
        if not self._over.wait(DRAIN_SECONDS):
            missing = list(self._outstanding.values())
            pytest.fail(f"{len(missing)} receipts are missing: {missing[:5]}")
        self._raise_failure()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    # ------------------------------------------------------------------ in the thread

    def _run(self) -> None:
        try:
            for turn in count():
                if self._draining.is_set() and not self._outstanding:
                    return
                with self._turn:
                    self._take_turn(turn)
                if self._abandoned.wait(TURN_SECONDS):
                    return
        except BaseException as failure:  # noqa: BLE001 - raised again where the test waits
            self._failure = failure
        finally:
            self._over.set()

    def _take_turn(self, turn: int) -> None:
        nodes = [node for node in self._network.nodes if node.name not in self._left_out]
        endpoint = nodes[turn % len(nodes)].rpc
        if not self._draining.is_set() and len(self._outstanding) < IN_FLIGHT:
            self._outstanding |= {step.hash: step for step in self._load.draw(BATCH)}
        try:
            self._look(endpoint)
            self._offer(endpoint)
        except RpcUnreachable:
            pass  # it is down, or went down under way; the next one is asked

    def _look(self, endpoint: str) -> None:
        seen = read_receipts(endpoint, list(self._outstanding))
        self._load.receipts.update(seen)
        for tx_hash in seen:
            del self._outstanding[tx_hash]

    def _offer(self, endpoint: str) -> None:
        now = time.monotonic()
        due = [
            step
            for step in self._outstanding.values()
            if now - self._offered.get(step.hash, -OFFER_AGAIN_SECONDS) >= OFFER_AGAIN_SECONDS
        ]
        ask_many(endpoint, [("eth_sendRawTransaction", ["0x" + step.raw.hex()]) for step in due])
        self._offered |= {step.hash: now for step in due}


def ask_many(endpoint: str, calls: Sequence[tuple[str, list[Any]]]) -> list[Any]:
    """The results, None where the node gives a `PASSING` error. Raises RpcUnreachable; fails the test on any
    other error."""
    results = call_each(endpoint, calls)
    for call, result in zip(calls, results, strict=True):
        if isinstance(result, RpcRefused):
            assert any(passing in str(result) for passing in PASSING), (endpoint, call, result)
    return [None if isinstance(result, RpcRefused) else result for result in results]


def read_receipts(endpoint: str, hashes: Sequence[str]) -> dict[str, Any]:
    """Those receipts that a node has, by their transactions' hashes. Raises RpcUnreachable."""
    results = ask_many(endpoint, [("eth_getTransactionReceipt", [name]) for name in hashes])
    return {name: done for name, done in zip(hashes, results, strict=True) if done is not None}
