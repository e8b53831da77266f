"""The two things that benchmarks/decision.py runs: a chain that does nothing, and exchanges of messages."""

import hashlib
import os
import time
from collections import defaultdict
from functools import lru_cache
from typing import Any, BinaryIO

import trio

from consensus.types import (
    SIGNATURE_LENGTH,
    Address,
    BlockId,
    Certificate,
    ChainContext,
    Validator,
    ValidatorSet,
)
from node.primitives.basics import keccak_fast
from node.primitives.keys import KeccakSecp256k1, SigningKey

N = 4
QUORUM = 3
REAL, BARE, SIGNED, SAFE, READY = range(5)
"""Chains on the wire: the real one, the three exchanges, and "I have come to this phase"."""
VOTE_BYTES = 132
PAUSE = 0.04
"""Seconds between a decision and the next proposal, so that every process has finished."""
CONTEXT = ChainContext(genesis=b"g" * 32, tag=b"shard/0")
KEYS = [SigningKey(hashlib.sha256(b"validator %d" % i).digest()) for i in range(N)]
SET = ValidatorSet(Validator(address=Address(key.address), power=1) for key in KEYS)


class Checker:
    """As in the node: recovered signatures are kept a while."""

    def __init__(self) -> None:
        self._recover = lru_cache(maxsize=8192)(KeccakSecp256k1().recover)

    def recover(self, preimage: bytes, signature: bytes) -> Address | None:
        address = self._recover(preimage, signature)
        return None if address is None else Address(address)


class ToyChain:
    """An application whose blocks are bytes; nothing is executed or stored."""

    chain = REAL
    context = CONTEXT

    def __init__(self, size: int) -> None:
        self._size = size
        self._blocks: list[tuple[bytes, Certificate]] = []
        self.changed = trio.Event()
        self.begun: dict[int, float] = {}
        self.done: dict[int, float] = {}

    def head_height(self) -> int:
        return len(self._blocks)

    def validators(self) -> ValidatorSet:
        return SET

    def has_work(self) -> bool:
        return True

    async def build(self) -> tuple[BlockId, bytes]:
        height = len(self._blocks) + 1
        self.begun[height] = time.monotonic()
        value = height.to_bytes(8, "big") + os.urandom(self._size - 8)
        return self.identify(value), value

    def identify(self, value: bytes) -> BlockId:
        return BlockId(hashlib.sha256(value).digest())

    async def judge(self, value: bytes, *, decided: bool) -> BlockId:
        return self.identify(value)

    async def commit(self, block_id: BlockId, value: bytes, certificate: Certificate) -> None:
        self._blocks.append((value, certificate))
        self.done[len(self._blocks)] = time.monotonic()
        self.changed.set()
        self.changed = trio.Event()

    def objection(self, block_id: BlockId) -> str | None:
        return None

    def decided(self, height: int) -> tuple[bytes, Certificate]:
        return self._blocks[height - 1]


class Exchange:
    """Propose, vote, vote; nothing else. Messages of the next round wait until it begins.

    If `signed`, every message carries a signature, which is checked when it arrives. If `log` is given,
    every message is appended to it and on disk before it is sent.
    """

    def __init__(
        self, index: int, send: Any, size: int, *, signed: bool = False, log: BinaryIO | None = None
    ) -> None:
        self._index = index
        self._send = send
        self._proposal = os.urandom(size + 140)
        self._signed = signed
        self._log = log
        self._checker = KeccakSecp256k1()
        self._heard: dict[tuple[int, int], set[int]] = defaultdict(set)
        self._changed = trio.Event()
        self.begun: dict[int, float] = {}
        self.done: dict[int, float] = {}

    def received(self, sender: int, body: bytes) -> None:
        """step(1) | round(4) | signature(65), or none | padding"""
        if self._signed:
            preimage, signature = self._preimage(body[:5] + body[70:]), body[5:70]
            if self._checker.recover(preimage, signature) != KEYS[sender].address:
                raise RuntimeError("a signature is wrong")
        self._heard[int.from_bytes(body[1:5], "big"), body[0]].add(sender)
        self._changed.set()
        self._changed = trio.Event()

    @staticmethod
    def _preimage(content: bytes) -> bytes:
        return content if len(content) <= VOTE_BYTES else hashlib.sha256(content).digest()

    def _say(self, step: int, round: int, padding: bytes) -> None:
        head = bytes([step]) + round.to_bytes(4, "big")
        body = head + padding
        if self._signed:
            padding = padding[SIGNATURE_LENGTH:]
            digest = keccak_fast(self._preimage(head + padding))
            body = head + KEYS[self._index].sign_digest(digest) + padding
        if self._log is not None:
            self._log.write(body)
            os.fdatasync(self._log.fileno())
        self._send(body)
        self._heard[round, step].add(self._index)

    async def _wait(self, step: int, round: int, count: int) -> None:
        while len(self._heard[round, step]) < count:
            await self._changed.wait()

    async def run(self, first: int, rounds: int) -> None:
        vote = bytes(VOTE_BYTES - 5)
        for round in range(first, first + rounds):
            if round % N == self._index:
                await trio.sleep(PAUSE)
                self.begun[round] = time.monotonic()
                self._say(0, round, self._proposal)
            await self._wait(0, round, 1)
            self._say(1, round, vote)
            await self._wait(1, round, QUORUM)
            self._say(2, round, vote)
            await self._wait(2, round, QUORUM)
            self.done[round] = time.monotonic()
            for step in range(3):
                del self._heard[round, step]
