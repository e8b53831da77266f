"""A few threads, shared out between many users."""

from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from typing import Any

import trio

from rpc.errors import LimitExceeded

MOST = 1024
"""Jobs that wait."""


class Turns:
    """At most `total` jobs at a time, of which one user has no more than `total - 1` (at least one).

    So the next user need not wait for the jobs of a user that asks for much. Users take turns; the jobs of each
    come in their order. `user` names the user for whom the current task works. No more than `most` jobs wait:
    when there are so many, the last one of the user with the most makes room for a user that has fewer.

    For `trio.to_thread.run_sync`, in the place of a `CapacityLimiter`.
    """

    def __init__(self, total: int, user: Callable[[], Hashable], *, most: int = MOST) -> None:
        self._free = total
        self._most = most
        self._share = max(1, total - 1)
        self._user = user
        self._running: dict[Any, Hashable] = {}
        self._held: Counter[Hashable] = Counter()
        self._waiting: OrderedDict[Hashable, deque[tuple[Any, trio.Event]]] = OrderedDict()
        self._refused: set[trio.Event] = set()  # of those that have not noticed yet

    @property
    def running(self) -> int:
        return len(self._running)

    @property
    def waiting(self) -> int:
        return sum(map(len, self._waiting.values()))

    async def acquire_on_behalf_of(self, borrower: Any) -> None:
        """Wait until `borrower` may run. Raises LimitExceeded where too many wait, at once or later."""
        user, turn = self._user(), trio.Event()
        await trio.lowlevel.checkpoint_if_cancelled()
        if self.waiting >= self._most:
            self._make_room(user)
        self._waiting.setdefault(user, deque()).append((borrower, turn))
        self._go_on()
        try:
            await turn.wait()
        except trio.Cancelled:
            if turn in self._refused:
                self._refused.discard(turn)
            elif turn.is_set():
                self.release_on_behalf_of(borrower)
            else:
                self._forget(user, (borrower, turn))
            raise
        if turn in self._refused:
            self._refused.discard(turn)
            raise self._too_many()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """The same for what runs in no thread."""
        borrower = object()
        await self.acquire_on_behalf_of(borrower)
        try:
            yield
        finally:
            self.release_on_behalf_of(borrower)

    def release_on_behalf_of(self, borrower: Any) -> None:
        """`borrower` has run."""
        user = self._running.pop(borrower)
        self._held[user] -= 1
        if not self._held[user]:
            del self._held[user]
        self._free += 1
        self._go_on()

    def _make_room(self, user: Hashable) -> None:
        """Refuse one of the user with the most that wait, or raise if that is `user`."""
        greedy = max(self._waiting, key=lambda each: len(self._waiting[each]), default=user)
        if len(self._waiting.get(greedy, ())) <= len(self._waiting.get(user, ())) + 1:
            raise self._too_many()  # in its place, `user` would be no better
        last = self._waiting[greedy][-1]
        self._forget(greedy, last)
        self._refused.add(last[1])
        last[1].set()

    def _too_many(self) -> LimitExceeded:
        return LimitExceeded(f"too much to do: {self._most} wait already, try again later")

    def _go_on(self) -> None:
        """Start the jobs of the users whose turn it is; a user that has had its turn is last in line."""
        for user in list(self._waiting):
            if not self._free:
                return
            if self._held[user] >= self._share:
                continue
            first = self._waiting[user][0]
            self._forget(user, first)
            if user in self._waiting:
                self._waiting.move_to_end(user)
            borrower, turn = first
            self._free -= 1
            self._held[user] += 1
            self._running[borrower] = user
            turn.set()

    def _forget(self, user: Hashable, entry: tuple[Any, trio.Event]) -> None:
        self._waiting[user].remove(entry)
        if not self._waiting[user]:
            del self._waiting[user]
