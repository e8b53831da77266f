"""The values of one height's valid blocks, by id, as long as somebody may ask for them."""

from collections.abc import Collection

from consensus.types import BlockId
from consensus.votes import PAST_ROUNDS


class Values:
    """Bounded as the engine's proposals are: the last rounds, and what may come again."""

    def __init__(self) -> None:
        self._values: dict[BlockId, bytes] = {}
        self._seen_in: dict[BlockId, int] = {}  # the last round that proposed each

    def keep(self, block_id: BlockId, value: bytes, round_: int) -> None:
        """A round has proposed it."""
        self._values[block_id] = value
        self._seen_in[block_id] = max(round_, self._seen_in.get(block_id, 0))

    def get(self, block_id: BlockId) -> bytes | None:
        return self._values.get(block_id)

    def forget_old(self, round_: int, needed: Collection[BlockId | None]) -> None:
        """Drop what was proposed last before the rounds that the engine keeps, unless it is needed."""
        for block_id, seen in list(self._seen_in.items()):
            if seen < round_ - PAST_ROUNDS and block_id not in needed:
                del self._seen_in[block_id], self._values[block_id]
