"""The one error of this package, and the errors of others that mean the same here."""

from collections.abc import Iterator
from contextlib import contextmanager

from consensus.errors import ConsensusError
from node.execution.trie.errors import BadProof
from node.primitives.decoding import BAD_INPUT
from node.primitives.errors import AtollError, CorruptData

_WRONG: tuple[type[Exception], ...] = (*BAD_INPUT, BadProof, ConsensusError, CorruptData)


class InvalidProof(AtollError):
    """A proof is invalid. `where` is the path of the wrong part, such as `sent.after`."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(f"{where}: {reason}" if where else reason)
        self.where = where
        self.reason = reason


@contextmanager
def part(where: str) -> Iterator[None]:
    """Turn errors in the bytes of this part into InvalidProof.

    The readers of our own state raise CorruptData: there it means a damaged disk, but here the state comes with
    the proof. They raise LookupError, one of BAD_INPUT, if a state has no such entry.
    """
    try:
        yield
    except _WRONG as error:
        raise InvalidProof(where, str(error)) from None
