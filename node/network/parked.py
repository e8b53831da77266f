"""Transactions from senders that are at a network block which this node does not show yet. Pure."""

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass

MAX_BYTES = 8 << 20
SECONDS = 10.0
"""Seconds to wait for the block. The batch of a sender that names a block that never comes is dropped."""
ITEM_BYTES, FRAME_BYTES = 64, 256
"""Memory of a transaction and of a batch besides their bytes: the transactions of a batch may all be empty."""


@dataclass(frozen=True, slots=True)
class _Frame:
    height: int
    until: float
    payload: list[bytes]
    size: int


def size_of(payload: list[bytes]) -> int:
    """The bytes that a batch takes."""
    return FRAME_BYTES + sum(ITEM_BYTES + len(raw) for raw in payload)


class Parked:
    """Batches of transactions that wait for a network block. If there is no room, the oldest of the peer with
    the most bytes gives way.
    """

    def __init__(self, *, max_bytes: int = MAX_BYTES, seconds: float = SECONDS) -> None:
        self._frames: dict[str, deque[_Frame]] = {}  # by peer
        self._held: Counter[str] = Counter()  # bytes
        self._max_bytes = max_bytes
        self._seconds = seconds
        self.forgotten = 0
        """Transactions that were given up."""

    def __len__(self) -> int:
        return sum(map(len, self._frames.values()))

    def put(self, height: int, peer: str, payload: list[bytes], now: float) -> None:
        """Keep a batch until this node shows network block `height`."""
        self._expire(now)
        frame = _Frame(height, now + self._seconds, payload, size_of(payload))
        self._frames.setdefault(peer, deque()).append(frame)
        self._held[peer] += frame.size
        while self._held.total() > self._max_bytes:
            self._give_up(max(self._held, key=self._held.__getitem__))

    def take(self, shown: int, now: float) -> Iterator[tuple[str, list[bytes]]]:
        """The batches whose block is shown now, those of each peer in the order in which they came."""
        self._expire(now)
        for peer, frames in list(self._frames.items()):
            for _ in range(len(frames)):
                frame = self._pop(peer)
                if frame.height <= shown:
                    yield peer, frame.payload
                else:
                    self._frames.setdefault(peer, frames).append(frame)
                    self._held[peer] += frame.size

    def _expire(self, now: float) -> None:
        for peer in list(self._frames):
            while peer in self._frames and self._frames[peer][0].until <= now:
                self._give_up(peer)

    def _give_up(self, peer: str) -> None:
        self.forgotten += len(self._pop(peer).payload)

    def _pop(self, peer: str) -> _Frame:
        """The oldest batch of a peer, taken out."""
        frames = self._frames[peer]
        frame = frames.popleft()
        self._held[peer] -= frame.size
        if not frames:
            del self._frames[peer], self._held[peer]
        return frame
