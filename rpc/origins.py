"""The web pages that may use an endpoint, and the trust in each.

A browser sends the Origin header with whatever a page asks: a URL without a path, or "null". Programs send
none, or their name, as titanoboa does. Pages of this machine, which its user has started, and those that the
endpoint serves itself, are as good as a program. Pages of other machines are refused unless they are named.
If all are let in ("*"), the user has not chosen them. So they get what a public node gives: nothing that signs
with the node's keys or changes the chain as no transaction can.
"""

import re
from collections.abc import Iterable
from enum import IntEnum

ANY = "*"
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")

_ORIGIN = re.compile(rb"https?://(\[[0-9a-f:.]+\]|[^/\[\]:@?#\s]+)(:[0-9]{1,5})?")

_NAME = re.compile(rb"[A-Za-z][A-Za-z0-9_-]*")


class Trust(IntEnum):
    """The trust in the sender of a request; each level may do what those before it may."""

    ANYBODY = 0
    """A page of any machine, since all are let in: reads, and submits signed transactions."""
    NAMED = 1
    """A page whose origin is named: also development methods, and signing with the node's keys."""
    LOCAL = 2
    """A program, a page of this machine or of this endpoint: everything."""


class Origins:
    """The origins of pages that may use an endpoint, beside those of this machine: `https://app.example`, or
    "*" for all."""

    def __init__(self, origins: Iterable[str]) -> None:
        named = {origin.rstrip("/").lower() for origin in origins}
        self.any = ANY in named
        self._named = frozenset(origin.encode() for origin in named - {ANY})

    def trust(self, origin: bytes | None, host: bytes | None) -> Trust | None:
        """The trust in a request with these headers; None if it is refused. `host` is None unless it is known
        to be a name of the endpoint: a page from there is the endpoint's own.
        """
        if origin is None or (_NAME.fullmatch(origin) and origin.lower() != b"null"):
            return Trust.LOCAL
        origin = origin.lower()
        if _is_local(origin) or (host is not None and _is_own(origin, host.lower())):
            return Trust.LOCAL
        if origin in self._named:
            return Trust.NAMED
        return Trust.ANYBODY if self.any else None


def _is_local(origin: bytes) -> bool:
    match = _ORIGIN.fullmatch(origin)
    return match is not None and match[1].strip(b"[]").decode("ascii", "replace") in LOCAL_HOSTS


def _is_own(origin: bytes, host: bytes) -> bool:
    return origin.removeprefix(b"https://").removeprefix(b"http://") == host
