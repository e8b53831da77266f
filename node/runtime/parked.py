"""What came before the network block that its sender had already. Pure."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

MAX_BYTES = 8 << 20
SECONDS = 10.0
"""How long the block is waited for. A sender that names a block that never comes has sent nothing."""


@dataclass(frozen=True, slots=True)
class _Frame:
    height: int
    until: float
    peer: str
    payload: list[bytes]
    size: int


class Parked:
    """Batches of transactions that wait for a network block; the oldest give way where there is no room."""

    def __init__(self, *, max_bytes: int = MAX_BYTES, seconds: float = SECONDS) -> None:
        self._frames: deque[_Frame] = deque()
        self._bytes = 0
        self._max_bytes = max_bytes
        self._seconds = seconds
        self.forgotten = 0
        "How many transactions were given up."

    def __len__(self) -> int:
        return len(self._frames)

    def put(self, height: int, peer: str, payload: list[bytes], now: float) -> None:
        """Keep a batch until this node shows network block `height`."""
        size = sum(map(len, payload))
        self._frames.append(_Frame(height, now + self._seconds, peer, payload, size))
        self._bytes += size
        while self._bytes > self._max_bytes or self._frames[0].until <= now:
            self._give_up()
            if not self._frames:
                return

    def take(self, shown: int, now: float) -> Iterator[tuple[str, list[bytes]]]:
        """The batches whose block is shown now, in the order in which they came."""
        for _ in range(len(self._frames)):
            if self._frames[0].until <= now:
                self._give_up()
                continue
            frame = self._frames.popleft()
            if frame.height > shown:
                self._frames.append(frame)
                continue
            self._bytes -= frame.size
            yield frame.peer, frame.payload

    def _give_up(self) -> None:
        frame = self._frames.popleft()
        self._bytes -= frame.size
        self.forgotten += len(frame.payload)
