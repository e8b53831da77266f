"""A key-value store that loses what was not synced: the latest batches, whole, when the power fails."""

from collections.abc import Mapping

from tests.support.memory_store import MemoryStore


class ForgetfulStore(MemoryStore):
    """As `KeyValueStore.write` says it of LevelDB. It stays open when the power fails."""

    def __init__(self) -> None:
        super().__init__()
        self._undo: list[dict[bytes, bytes | None]] = []  # of the batches since the last sync
        self.lost = 0
        "Batches."

    def write(self, batch: Mapping[bytes, bytes | None], *, sync: bool) -> None:
        """See `KeyValueStore`."""
        self._undo.append({key: self.get(key) for key in batch})
        super().write(batch, sync=sync)
        if sync:
            self._undo.clear()

    def power_fails(self, survives: float = 0.0) -> None:
        """Of what was not synced this share is there, the oldest of it."""
        kept = int(survives * (len(self._undo) + 1))
        for before in reversed(self._undo[kept:]):
            super().write(before, sync=True)
            self.lost += 1
        self._undo.clear()
