"""The in-memory twin of LevelStore: the same contract, but nothing survives `close`."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping

from node.storage.kv import prefix_end


class MemoryStore:
    """A KeyValueStore in a dict with a list of its keys, sorted again at the first read after a write."""

    def __init__(self) -> None:
        self._data: dict[bytes, bytes] = {}
        self._keys: list[bytes] = []
        self._keys_are_current = True
        self._closed = False

    def get(self, key: bytes) -> bytes | None:
        self._check_open()
        return self._data.get(key)

    def write(self, batch: Mapping[bytes, bytes | None], *, sync: bool) -> None:
        self._check_open()
        entries = [  # checked before anything changes, so that a wrong type leaves the store as it was
            (bytes(key), None if value is None else bytes(value)) for key, value in batch.items()
        ]
        for key, value in entries:
            if value is None:
                if self._data.pop(key, None) is not None:
                    self._keys_are_current = False
            else:
                if key not in self._data:
                    self._keys_are_current = False
                self._data[key] = value

    def iterate(
        self, prefix: bytes, *, start: bytes = b"", reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        self._check_open()
        if not self._keys_are_current:
            self._keys = sorted(self._data)
            self._keys_are_current = True
        end = prefix_end(prefix)
        low = bisect_left(self._keys, prefix)
        high = len(self._keys) if end is None else bisect_left(self._keys, end)
        if start and reverse:
            high = min(high, bisect_right(self._keys, start))
        elif start:
            low = max(low, bisect_left(self._keys, start))
        snapshot = [(key, self._data[key]) for key in self._keys[low:high]]
        return reversed(snapshot) if reverse else iter(snapshot)

    def close(self) -> None:
        self._closed = True
        self._data = {}
        self._keys = []

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("the store is closed")
