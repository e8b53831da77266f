"""On whose behalf a task works."""

from collections.abc import Hashable
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import count

NUMBERS = 1 << 32
_numbers = count()


@dataclass(frozen=True, slots=True)
class Caller:
    """A user: a connection by a number that this process gave it, or that another node, `via`, gave to one of
    its own. Compare callers to share something out between users.
    """

    number: int
    via: Hashable = None


CALLER: ContextVar[Caller | None] = ContextVar("CALLER", default=None)
"""The user that the task serves, None for the node itself. Tasks that are started inherit it."""


def new_caller() -> Caller:
    """A caller of a new number; numbers repeat after some four thousand million."""
    return Caller(next(_numbers) % (NUMBERS - 1) + 1)


def caller_number() -> int:
    """The number under which another node is asked on behalf of the task's user; 0 for the node itself."""
    caller = CALLER.get()
    return 0 if caller is None else caller.number
