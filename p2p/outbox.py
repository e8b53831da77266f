"""The frames waiting for one peer: bounded per channel, taken by priority. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

from p2p.errors import LinkLost, Misuse
from p2p.framing import frame_header
from p2p.types import CONTROL_CHANNEL, ChannelSpec, ChannelStats, Overflow


class _Queue:
    __slots__ = ("frames", "size", "spec", "stats")

    def __init__(self, spec: ChannelSpec, stats: ChannelStats) -> None:
        self.spec = spec
        self.stats = stats
        self.frames: deque[bytes] = deque()
        self.size = 0


class Outbox:
    """Per-channel queues towards one peer; `drops` counts the frames given up.

    Frames taken and given up are also counted in `stats`, by channel, which may be shared.
    """

    __slots__ = ("_by_id", "_by_priority", "_control", "drops")

    def __init__(
        self, channels: Iterable[ChannelSpec], stats: Mapping[int, ChannelStats] | None = None
    ) -> None:
        stats = stats or {}
        self._by_id = {
            spec.id: _Queue(spec, stats.get(spec.id) or ChannelStats()) for spec in channels
        }
        self._by_priority = sorted(
            self._by_id.values(), key=lambda queue: (queue.spec.priority, queue.spec.id)
        )
        self._control: dict[int, bytes] = {}
        self.drops = 0

    @property
    def queued_bytes(self) -> int:
        """Payload bytes waiting."""
        return sum(queue.size for queue in self._by_priority)

    def put(self, channel_id: int, payload: bytes) -> bool:
        """Queue a frame; False if it was dropped.

        Raises `LinkLost` when the channel's policy is to disconnect a peer that is too slow, and
        `Misuse` for an unknown channel or a payload above the channel's limit.
        """
        queue = self._by_id.get(channel_id)
        if queue is None:
            raise Misuse(f"unknown channel {channel_id}")
        spec, size = queue.spec, len(payload)
        if size > spec.max_frame:
            raise Misuse(f"frame of {size} bytes on channel {channel_id}, limit {spec.max_frame}")
        while len(queue.frames) >= spec.queue_frames or queue.size + size > spec.queue_bytes:
            self.drops += 1
            queue.stats.drops += 1
            if spec.overflow is Overflow.DROP_NEWEST:
                return False
            if spec.overflow is Overflow.DISCONNECT:
                raise LinkLost(f"the queue of channel {channel_id} is full")
            queue.size -= len(queue.frames.popleft())
        queue.frames.append(payload)
        queue.size += size
        return True

    def put_control(self, kind: int, payload: bytes) -> None:
        """Queue a control frame ahead of everything; a newer one of its kind replaces it."""
        self._control[kind] = payload

    def take(self, max_bytes: int) -> tuple[bytes, int]:
        """Encoded frames for one write, by priority, and their number; (b"", 0) when empty.

        At most `max_bytes`, unless the first frame alone is larger.
        """
        parts: list[bytes] = []
        total = count = 0
        if self._control:
            for payload in self._control.values():
                parts += (frame_header(CONTROL_CHANNEL, len(payload)), payload)
                total += len(parts[-2]) + len(payload)
                count += 1
            self._control.clear()
        for queue in self._by_priority:
            frames = queue.frames
            while frames:
                size = len(frames[0]) + 5
                if parts and total + size > max_bytes:
                    return b"".join(parts), count
                payload = frames.popleft()
                queue.size -= len(payload)
                parts += (frame_header(queue.spec.id, len(payload)), payload)
                total += size
                count += 1
                queue.stats.frames_out += 1
                queue.stats.bytes_out += len(payload)
        return b"".join(parts), count
