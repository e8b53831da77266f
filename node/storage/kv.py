"""The ordered key-value store that everything durable is written to, and its contract.

`LevelStore` holds to it, and what tests put in its place. One suite of contract tests runs over both.
"""

from collections.abc import Iterator, Mapping
from typing import Protocol


class KeyValueStore(Protocol):
    """Keys and values are byte strings, keys in lexicographic order of their bytes.

    Calls after `close` raise RuntimeError (a bug of ours). A store may be read by one thread
    while another writes.
    """

    def get(self, key: bytes) -> bytes | None:
        """The value, or None if the key is absent. Raises CorruptData if the disk returns other bytes than were
        written.
        """
        ...

    def write(self, batch: Mapping[bytes, bytes | None], *, sync: bool) -> None:
        """Write all entries atomically; a value of None deletes the key.

        With `sync` the batch, and every batch before it, is durable when the call returns; without it a power
        failure (not the end of the process) may lose the latest batches, in whole batches and never a batch
        before one that stayed. Raises StorageUnavailable when the disk refuses; the store then takes no further
        batch.
        """
        ...

    def iterate(
        self, prefix: bytes, *, start: bytes = b"", reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Entries whose key has `prefix`, in key order, with whole keys, as of the moment of the call.

        `start`, if given, is a whole key: the first entry is the first one at or after it, and with
        `reverse` (descending order) the first one at or before it.
        """
        ...

    def close(self) -> None:
        """Release the files. Idempotent."""
        ...


def prefix_end(prefix: bytes) -> bytes | None:
    """The smallest key that is greater than all keys with `prefix`; None if there is none (0xff...)."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else None
