"""Deterministic timing rules: redial backoff and inbound rate. Pure but for `pace`: times are arguments."""

from __future__ import annotations

import hashlib

import trio

from p2p.types import NetworkLimits, PeerId

_GROWTH = 1.4


def backoff_delay(attempt: int, local: PeerId, remote: PeerId, limits: NetworkLimits) -> float:
    """Seconds to wait before redial number `attempt` (0, 1, ...).

    Exponential from `backoff_first` to `backoff_max`. The jitter (50..100 %) comes from the two
    peer ids, so that nodes restarted together spread out, and a run can be repeated exactly.
    """
    whole = min(limits.backoff_max, limits.backoff_first * _GROWTH ** min(attempt, 32))
    digest = hashlib.blake2b(f"{local}|{remote}|{attempt}".encode(), digest_size=2).digest()
    return whole * (0.5 + int.from_bytes(digest, "big") / 131_072)


class TokenBucket:
    """At most `rate` units per second over time, `burst` at once."""

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._at = now

    def take(self, units: float, now: float) -> float:
        """Spend `units`; returns the seconds to wait until the debt is paid (0 if none)."""
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate) - units
        self._at = now
        return -self._tokens / self._rate if self._tokens < 0 else 0.0


async def pace(bucket: TokenBucket, units: float = 1) -> None:
    """Spend `units`, and wait until the debt is paid."""
    pause = bucket.take(units, trio.current_time())
    if pause > 0:
        await trio.sleep(pause)
