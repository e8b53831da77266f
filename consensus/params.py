"""Durations of the timeouts."""

from dataclasses import dataclass
from math import isfinite
from typing import assert_never

from consensus.errors import InvalidTimeouts
from consensus.types import Timeout, TimeoutKind


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeoutParams:
    """Timeouts in seconds: linear in the round, capped, and scaled as a whole.

    ``duration = scale * min(cap, base + delta * round)``, where base and delta are ``propose`` and
    ``propose_delta`` for PROPOSE and REBROADCAST, ``vote`` and ``vote_delta`` for the other two.
    They grow so that some round outlasts whatever the network's delay turns out to be (section
    III-D of the paper) and are capped so that a long stall ends soon after its cause.

    Raises:
        InvalidTimeouts: a base, the cap or the scale is not a positive number, or a delta is
            negative.
    """

    propose: float = 1.0
    propose_delta: float = 0.5
    vote: float = 0.5
    vote_delta: float = 0.25
    cap: float = 10.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        for name in ("propose", "vote", "cap", "scale"):
            value = getattr(self, name)
            if not (isfinite(value) and value > 0):
                raise InvalidTimeouts(f"{name} = {value} is not a positive number")
        for name in ("propose_delta", "vote_delta"):
            value = getattr(self, name)
            if not (isfinite(value) and value >= 0):
                raise InvalidTimeouts(f"{name} = {value} is negative or not a number")

    def duration(self, timeout: Timeout) -> float:
        """Seconds from arming the timeout to its elapsing."""
        match timeout.kind:
            case TimeoutKind.PROPOSE | TimeoutKind.REBROADCAST:
                base, delta = self.propose, self.propose_delta
            case TimeoutKind.PREVOTE | TimeoutKind.PRECOMMIT:
                base, delta = self.vote, self.vote_delta
            case _:
                assert_never(timeout.kind)
        return self.scale * min(self.cap, base + delta * timeout.round)
