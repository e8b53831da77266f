"""The faults that are in force in a network: DIR/faults.json, which outlives the command that caused them."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec

from node.cluster.fault_model import ActiveFault
from node.cluster.layout import FAULTS, FAULTS_LOCK, NetworkLayout
from node.primitives.decoding import decoder
from node.primitives.errors import UserError
from node.primitives.files import read_file
from node.storage.errors import StorageInUse
from node.storage.files import FileLock, remove, write_atomically

LOCK_DEADLINE = 180.0
POLL_INTERVAL = 0.05

MAX_BYTES = 16 << 20

_decode = msgspec.json.Decoder(list[ActiveFault]).decode


@decoder("not a list of faults", UserError)
def _decoded(content: bytes) -> list[ActiveFault]:
    return _decode(content)


class FaultBook:
    """Reads and writes the file; the writer holds the lock."""

    def __init__(self, layout: NetworkLayout) -> None:
        self._path = layout.directory / FAULTS
        self._lock = layout.directory / FAULTS_LOCK
        self._directory = layout.directory

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Allow one change at a time. Raises UserError if another one takes too long."""
        deadline = time.monotonic() + LOCK_DEADLINE
        while True:
            try:
                lock = FileLock(self._lock, guards=f"the faults of {self._directory}")
                break
            except StorageInUse:
                if time.monotonic() > deadline:
                    raise UserError(
                        f"another `atoll fault` has been busy in {self._directory} for {LOCK_DEADLINE:g} s"
                    ) from None
                time.sleep(POLL_INTERVAL)
        with lock:
            yield

    def read(self) -> list[ActiveFault]:
        """Oldest first. Raises UserError if the file makes no sense."""
        if not self._path.exists():
            return []
        try:
            return _decoded(read_file(self._path, what="the faults", limit=MAX_BYTES))
        except UserError as error:
            raise UserError(
                f"{self._path}: {error}; delete it, and start the network again"
            ) from None

    def write(self, active: Sequence[ActiveFault]) -> None:
        if active:
            text = msgspec.json.format(msgspec.json.encode(active), indent=2) + b"\n"
            write_atomically(self._path, text)
        else:
            remove(self._path)
