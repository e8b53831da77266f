"""The events that wait for a consensus host: frames with a quota for every peer, and our own.

A peer whose quota is used up is read more slowly, which slows that peer alone. Frames are never
dropped here: what one peer sends cannot push out what another has sent.
"""

from collections import deque
from dataclasses import dataclass
from typing import Any

import trio

PEER_FRAMES = 512
PEER_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class PeerFrame:
    """kind | body of a consensus frame, and the peer that sent it."""

    peer: str
    body: bytes


class _Quota:
    __slots__ = ("bytes", "frames", "room")

    def __init__(self) -> None:
        self.frames = 0
        self.bytes = 0
        self.room = trio.Event()


class Mailbox:
    """First in, first out; one reader."""

    def __init__(self, *, peer_frames: int = PEER_FRAMES, peer_bytes: int = PEER_BYTES) -> None:
        self._peer_frames = peer_frames
        self._peer_bytes = peer_bytes
        self._events: deque[Any] = deque()
        self._arrived = trio.Event()
        self._quotas: dict[str, _Quota] = {}  # of peers that the network admits: few
        self._closed = False

    def __len__(self) -> int:
        return len(self._events)

    def post(self, event: object) -> None:
        """An event of our own; there are few at a time."""
        self._events.append(event)
        self._arrived.set()

    async def deliver(self, frame: PeerFrame) -> None:
        """Queue a frame once its peer has room; a peer always has room for one frame."""
        quota = self._quotas.setdefault(frame.peer, _Quota())
        while (
            not self._closed
            and quota.frames
            and (
                quota.frames >= self._peer_frames
                or quota.bytes + len(frame.body) > self._peer_bytes
            )
        ):
            await quota.room.wait()
        if self._closed:
            return
        quota.frames += 1
        quota.bytes += len(frame.body)
        self.post(frame)

    def close(self) -> None:
        """End the reading: frames are dropped, and no task waits for room."""
        self._closed = True
        self._events.clear()
        for quota in self._quotas.values():
            quota.room.set()

    async def get(self) -> Any:
        """The next event. Cancelling loses none."""
        while not self._events:
            self._arrived = trio.Event()
            await self._arrived.wait()
        return self.get_nowait()

    def get_nowait(self) -> Any:
        """The next event, or None."""
        if not self._events:
            return None
        event = self._events.popleft()
        if isinstance(event, PeerFrame):
            quota = self._quotas[event.peer]
            quota.frames -= 1
            quota.bytes -= len(event.body)
            quota.room.set()
            quota.room = trio.Event()
        return event
