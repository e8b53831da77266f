"""Bad links on purpose: what one side of a link sends is lost or comes late, as netem does to packets.

The connection below is a reliable stream, so whole messages are lost or held back (frames, requests,
responses), never bytes of them, and those that arrive do so in the order in which they were sent. Pure: the
time is an argument, and randomness comes from a generator with a seed.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from p2p.errors import Misuse

MAX_DELAY: Final = 600.0
MAX_HELD_BYTES: Final = 64 << 20
"""Of messages on their way to one peer; what does not fit is lost."""
_OVERHEAD: Final = 64

Deliver = Callable[[], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkFault:
    """The faults of the link to a peer, applied to the messages that we send.

    `cut`: there is no connection. `delay` and `jitter` in seconds: a message takes from `delay` to `delay +
    jitter`. `loss`: the share of them that never arrives; with 1 nothing does, though a connection that is
    there stays until the peer finds it silent. Raises `Misuse` for values out of range.
    """

    cut: bool = False
    delay: float = 0.0
    jitter: float = 0.0
    loss: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.loss <= 1:
            raise Misuse(f"loss is a share from 0 to 1, not {self.loss}")
        if not 0 <= self.delay <= MAX_DELAY or not 0 <= self.jitter <= MAX_DELAY:
            raise Misuse(f"delay and jitter are 0 to {MAX_DELAY:g} s")

    @property
    def blocks(self) -> bool:
        """True if no connection can be made: a handshake would not get through."""
        return self.cut or self.loss >= 1


SOUND: Final = LinkFault()


class BadLine:
    """Messages under way to one peer."""

    __slots__ = ("_draw", "_held", "_held_bytes", "fault")

    def __init__(self, fault: LinkFault, draw: random.Random) -> None:
        self.fault = fault
        self._draw = draw
        self._held: deque[tuple[float, int, Deliver]] = deque()
        self._held_bytes = 0

    def put(self, now: float, size: int, deliver: Deliver) -> bool:
        """Send a message of `size` bytes, which arrives by a call of `deliver`; False if it is lost."""
        fault = self.fault
        if fault.cut or (fault.loss and self._draw.random() < fault.loss):
            return False
        at = now + fault.delay + (self._draw.uniform(0, fault.jitter) if fault.jitter else 0.0)
        if self._held:
            at = max(at, self._held[-1][0])
        elif at <= now:
            deliver()
            return True
        size += _OVERHEAD
        if self._held_bytes + size > MAX_HELD_BYTES:
            return False
        self._held.append((at, size, deliver))
        self._held_bytes += size
        return True

    def release(self, now: float) -> float | None:
        """Deliver the messages that are due; the time of the next one, None if none is under way."""
        held = self._held
        while held and held[0][0] <= now:
            _, size, deliver = held.popleft()
            self._held_bytes -= size
            deliver()
        return held[0][0] if held else None

    def flush(self) -> None:
        """Deliver everything at once, in order."""
        self.release(float("inf"))
