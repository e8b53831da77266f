"""Length-prefixed frames: 4-byte big-endian payload length, 1-byte kind, payload.

The same framing carries the channel frames and the request messages. Pure: bytes in, frames out.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from p2p.errors import ProtocolViolation

_HEADER = struct.Struct(">IB")
FRAME_HEADER_SIZE = _HEADER.size


def frame_header(kind: int, length: int) -> bytes:
    """Header of a frame with `length` bytes of payload."""
    return _HEADER.pack(length, kind)


class FrameDecoder:
    """Cuts a byte stream into frames. A length is checked before its payload is waited for.

    `max_payload` maps each known kind to the largest payload it may carry.
    """

    __slots__ = ("_buffer", "_max", "_need")

    def __init__(self, max_payload: Mapping[int, int]) -> None:
        self._max = dict(max_payload)
        self._buffer = bytearray()
        self._need = FRAME_HEADER_SIZE

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Frames (kind, payload) completed by `data`, in order.

        Raises `ProtocolViolation` on an unknown kind or an oversized length.
        """
        buffer = self._buffer
        source: bytes | bytearray = data
        if buffer:
            buffer += data
            # A large frame arrives in many pieces: do not parse before it can be complete.
            if len(buffer) < self._need:
                return []
            source = buffer
        frames: list[tuple[int, bytes]] = []
        position, size = 0, len(source)
        view = memoryview(source)
        try:
            self._need = FRAME_HEADER_SIZE
            while size - position >= FRAME_HEADER_SIZE:
                length, kind = _HEADER.unpack_from(view, position)
                limit = self._max.get(kind)
                if limit is None:
                    raise ProtocolViolation(f"frame of unknown kind {kind}")
                if length > limit:
                    raise ProtocolViolation(
                        f"frame of kind {kind} with {length} bytes, at most {limit} allowed"
                    )
                end = position + FRAME_HEADER_SIZE + length
                if end > size:
                    self._need = end - position
                    break
                frames.append((kind, bytes(view[position + FRAME_HEADER_SIZE : end])))
                position = end
        finally:
            view.release()
        if source is buffer:
            del buffer[:position]
        elif position < size:
            buffer += data[position:]
        return frames
