"""The shard port answered by a node of that shard over the network."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import trio

from node.primitives.errors import DecodeError
from node.query.codec import (
    INVALID_QUESTION,
    MAX_QUESTION_BYTES,
    TOO_LARGE,
    decode_answer,
    encode_question,
)
from node.query.port import BUSY, Refused, ShardUnavailable
from node.query.question import Question
from rpc.caller import CALLER
from rpc.errors import LimitExceeded
from rpc.threads import SMALL, Threads
from rpc.times import TURN
from rpc.turns import Turns

T = TypeVar("T")
Ask = Callable[[bytes, float], Awaitable[bytes]]
"""Sends a question to a healthy node of the shard and waits so many seconds; raises ShardUnavailable or
Refused."""

ATTEMPTS = 2
EXECUTIONS = 16
THREADS = 2
"""Which check what users ask and read long answers."""


class RemoteSource:
    """A `ShardSource` over `ask`, and `execute` (the same if it is left out) for what takes long there: so many
    of these are under way at a time, of users in turn. An answer that is none, or a node that lags behind, is
    asked once more: the next node may do better."""

    def __init__(self, shard: int, ask: Ask, execute: Ask | None = None) -> None:
        self.shard = shard
        self._ask_node = ask
        self._execute_on_node = execute or ask
        self._turns = Turns(EXECUTIONS, CALLER.get)
        self._aside = Threads(THREADS)

    async def ask(self, question: Question[T]) -> T:
        if question.executes:
            return await self._execute(question)
        return await self._put(self._ask_node, question, encode_question(question))

    async def _execute(self, question: Question[T]) -> T:
        """Send questions that users can make long one after the other. Raises Refused for one that every node
        would refuse.
        """

        def encode() -> bytes:
            question.check()
            return encode_question(question)

        try:
            payload = await self._aside.run(encode)
        except (ValueError, OverflowError) as error:
            raise Refused(str(error), INVALID_QUESTION) from None
        try:
            with trio.fail_after(TURN):
                async with self._turns.turn():
                    return await self._put(self._execute_on_node, question, payload)
        except LimitExceeded as error:
            raise Refused(f"shard {self.shard}: {error.message}", error.code) from None
        except trio.TooSlowError:
            raise Refused(
                f"shard {self.shard}: too much to do: it did not come to this in {TURN:g} s", BUSY
            ) from None

    async def _put(self, ask: Ask, question: Question[T], payload: bytes) -> T:
        if len(payload) > MAX_QUESTION_BYTES:
            raise Refused(f"the request is larger than {MAX_QUESTION_BYTES} bytes", TOO_LARGE)
        for attempt in range(1, ATTEMPTS + 1):
            answer = await ask(payload, question.patience.node)
            try:
                large = len(answer) > SMALL
                return await self._aside.run_if(large, partial(decode_answer, question, answer))
            except ShardUnavailable:
                if attempt == ATTEMPTS:
                    raise
            except DecodeError as error:
                if attempt == ATTEMPTS:
                    raise ShardUnavailable(
                        f"a node of shard {self.shard} answered nonsense: {error}"
                    ) from error
        raise AssertionError("unreachable")
