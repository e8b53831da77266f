"""The choice of the connection that makes room when all places of a server are taken."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeVar

T = TypeVar("T")


class WaitKind(IntEnum):
    """The action of the client that a connection waits for, in the order in which the connections go."""

    LEAVING = 0
    """Everything is said."""
    ARRIVING = 1
    """No request of it is here whole."""
    IDLE = 2
    """Its requests are answered, and it asks for no more."""
    QUIET = 3
    """A WebSocket that asks for nothing and listens to nothing. Its clients may not expect to open another."""
    UNREAD = 4
    """An answer is not read."""


GRACE = {
    WaitKind.LEAVING: 0.0,
    WaitKind.ARRIVING: 0.0,
    WaitKind.IDLE: 1.0,
    WaitKind.QUIET: 1.0,
    WaitKind.UNREAD: 5.0,
}
"""Seconds for which a connection keeps its place: a client that asks again so soon is at work all the same, and
an answer takes time to be read.
"""


@dataclass(frozen=True, slots=True)
class ClientWait:
    """The kind of a connection's wait for its client, and its start (seconds)."""

    kind: WaitKind
    since: float


def first_to_go(waits: Iterable[tuple[T, ClientWait | None]], now: float) -> T | None:
    """The connection whose place a newcomer gets: of the first kind that there is, the one that has waited
    longest. Connections that wait for us (None) keep their places, and so do those that have not waited for
    their grace.
    """
    going = [
        (wait.kind, wait.since, index, who)
        for index, (who, wait) in enumerate(waits)
        if wait is not None and now >= wait.since + GRACE[wait.kind]
    ]
    return min(going)[-1] if going else None
