"""The one error of this package, and the errors of others that mean the same here."""

from collections.abc import Iterator
from contextlib import contextmanager

from consensus.errors import ConsensusError
from node.execution.trie.errors import BadProof
from node.primitives.decoding import BAD_INPUT
from node.primitives.errors import AtollError, CorruptData

_WRONG: tuple[type[Exception], ...] = (*BAD_INPUT, BadProof, ConsensusError, CorruptData)


class InvalidProof(AtollError):
    """A proof proves nothing. `where` is the path of the part that is wrong, such as `sent.after`."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(f"{where}: {reason}" if where else reason)
        self.where = where
        self.reason = reason


@contextmanager
def part(where: str) -> Iterator[None]:
    """What is wrong with the bytes of this part makes the proof invalid.

    CorruptData is what the readers of our own state raise: there it would be a damaged disk, here the
    state comes with the proof. LookupError, of BAD_INPUT, is what they raise where a state has no such entry.
    """
    try:
        yield
    except _WRONG as error:
        raise InvalidProof(where, str(error)) from None
