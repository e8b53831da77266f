"""Exceptions of the network layer.

::

    P2PError
    ├── NetworkConfigError     a user's mistake: fix the configuration, nothing was started
    │   ├── PeerPortInUse          another process listens on the address
    │   ├── ListenFailed       the address cannot be bound at all
    │   └── IdentityError      a key file or key that is not one
    ├── PeerFault              a peer's fault, or its absence; never ends our process
    │   ├── PeerUnavailable    not connected, or the connection went away meanwhile
    │   ├── RequestTimeout     no complete response in time
    │   ├── RemoteRefused      the peer answered with an error: code, message
    │   ├── HandshakeFailed    no authenticated session came about
    │   │   └── WrongNetwork   authenticated, but it serves another network or version
    │   ├── LinkLost           closed, silent, or too slow to be written to
    │   └── ProtocolViolation  malformed, oversized or unexpected input: the peer is penalised
    ├── RequestError           raised by a request handler: code and message for the peer
    └── Misuse                 a bug of the caller in this process: an unknown channel, too much data
"""

from __future__ import annotations


class P2PError(Exception):
    """Base of everything this package raises on purpose."""


class NetworkConfigError(P2PError):
    """A user's mistake."""


class ListenFailed(NetworkConfigError):
    """The listening address cannot be bound."""

    def __init__(self, address: str, cause: str) -> None:
        super().__init__(f"cannot listen on {address}: {cause}")
        self.address = address


class PeerPortInUse(NetworkConfigError):
    """Another process listens on our address."""

    def __init__(self, address: str) -> None:
        super().__init__(
            f"{address} is already in use: stop the process that listens there "
            f"(find it with 'ss -ltnp'), or choose another p2p port"
        )
        self.address = address


class IdentityError(NetworkConfigError):
    """Bytes or a file that do not hold an Ed25519 identity."""


class PeerFault(P2PError):
    """A peer's fault, or its absence."""


class PeerUnavailable(PeerFault):
    """The peer is not connected, or went away before it answered."""


class RequestTimeout(PeerFault):
    """No complete response arrived in time."""


class RemoteRefused(PeerFault):
    """The peer answered with an error; codes from 0xFF00 up are `p2p.types.RefusalCode`."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"refused with code {code}: {message}")
        self.code = code
        self.message = message


class HandshakeFailed(PeerFault):
    """No authenticated session came about."""


class WrongNetwork(HandshakeFailed):
    """The peer proved its identity but does not speak the protocols of our network."""


class LinkLost(PeerFault):
    """An established connection ended, fell silent, or could not be written to in time."""


class ProtocolViolation(PeerFault):
    """The peer sent something no correct peer sends."""


class RequestError(P2PError):
    """Raised by a request handler; `code` (0..0xFEFF) and `message` reach the requester."""

    def __init__(self, code: int, message: str) -> None:
        if not 0 <= code < 0xFF00:
            raise ValueError(f"request error codes are 0..0xFEFF, not {code}")
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class Misuse(P2PError):
    """Our own process called the network in a way that can never work."""
