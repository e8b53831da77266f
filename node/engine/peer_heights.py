"""The decided heights that peers claim, and how far each claim is believed. Pure."""

from collections.abc import Container

FIRST_BENCH = 2.0
LONGEST_BENCH = 60.0


class Claims:
    """Heights by peer. One that did not hold its claim is not believed for a while, longer each time."""

    def __init__(self) -> None:
        self._heights: dict[str, int] = {}  # of peers that the network admits: few
        self._benched: dict[str, tuple[float, float]] = {}  # until when, and for how long
        self._asked: dict[str, int] = {}
        self._questions = 0

    def heard(self, peer: str, height: int) -> None:
        if height > self._heights.get(peer, -1):
            self._heights[peer] = height

    def of(self, peer: str) -> int:
        return self._heights.get(peer, 0)

    def kept(self, peer: str, height: int) -> None:
        """The peer has delivered, and says that it has `height` now."""
        self._heights[peer] = height
        self._benched.pop(peer, None)

    def fault(self, peer: str, now: float) -> None:
        """Note that a peer did not deliver, or delivered wrong blocks."""
        self._heights.pop(peer, None)
        _, length = self._benched.get(peer, (0.0, FIRST_BENCH / 2))
        length = min(2 * length, LONGEST_BENCH)
        self._benched[peer] = (now + length, length)

    def highest(self, connected: Container[str], now: float) -> int:
        """The highest claim of a connected peer that is believed, 0 if there is none."""
        return max((h for _, h in self._believed(connected, now)), default=0)

    def next_above(self, height: int, connected: Container[str], now: float) -> str | None:
        """The peer to ask for the blocks after `height`: each in turn, so that we do not depend on
        a slow one.
        """
        peers = [peer for peer, claim in self._believed(connected, now) if claim > height]
        if not peers:
            return None
        chosen = min(peers, key=lambda peer: self._asked.get(peer, 0))
        self._questions += 1
        self._asked[chosen] = self._questions
        return chosen

    def _believed(self, connected: Container[str], now: float) -> list[tuple[str, int]]:
        return [
            (peer, height)
            for peer, height in self._heights.items()
            if peer in connected and self._benched.get(peer, (now, 0.0))[0] <= now
        ]
