"""Values shared by the network layer: peers, channels, request methods, limits, counters.

Units: times in seconds, sizes in bytes.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import NewType

from p2p.errors import Misuse

PeerId = NewType("PeerId", str)
"""A libp2p peer id in base58: the multihash of the peer's public key."""

CONTROL_CHANNEL = 255
"""Reserved for the ping and pong of this package."""

MAX_FRAME = 16 * 1024 * 1024
MAX_MESSAGE = 16 * 1024 * 1024


class Overflow(enum.Enum):
    """The handling of a frame that finds its outbound queue full."""

    DROP_OLDEST = "drop_oldest"
    DROP_NEWEST = "drop_newest"
    DISCONNECT = "disconnect"


class RefusalCode(enum.IntEnum):
    """Codes of `RemoteRefused` that this package itself produces (handlers use 0..0xFEFF)."""

    UNKNOWN_METHOD = 0xFF00
    BUSY = 0xFF01
    DEADLINE = 0xFF02
    INTERNAL = 0xFF03


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerSpec:
    """A peer of the network. `address` is "host:port"; names are resolved at every dial."""

    peer_id: PeerId
    address: str
    name: str

    def __post_init__(self) -> None:
        split_address(self.address)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelSpec:
    """A kind of frames: its priority (lower goes first), and how many may wait for one peer."""

    id: int
    priority: int
    max_frame: int
    queue_frames: int
    queue_bytes: int
    overflow: Overflow

    def __post_init__(self) -> None:
        if not 0 <= self.id < CONTROL_CHANNEL:
            raise Misuse(f"channel ids are 0..{CONTROL_CHANNEL - 1}, not {self.id}")
        if not 0 < self.max_frame <= MAX_FRAME:
            raise Misuse(f"channel {self.id}: max_frame must be 1..{MAX_FRAME}")
        if self.queue_frames < 1 or self.queue_bytes < self.max_frame:
            raise Misuse(f"channel {self.id}: the queue must hold at least one largest frame")


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodSpec:
    """A request method. Responses above 1 MiB are better paged by the method itself.

    `concurrency` bounds the requests in flight per peer and direction.
    """

    name: str
    max_request: int
    max_response: int
    concurrency: int

    def __post_init__(self) -> None:
        if not 0 < len(self.name.encode()) <= 64:
            raise Misuse("method names are 1..64 bytes long")
        if not 0 < self.max_request <= MAX_MESSAGE or not 0 < self.max_response <= MAX_MESSAGE:
            raise Misuse(f"method {self.name}: sizes must be 1..{MAX_MESSAGE}")
        if self.concurrency < 1:
            raise Misuse(f"method {self.name}: concurrency must be at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkLimits:
    """Deadlines and bounds; every wait on the network is under one of them."""

    dial_timeout: float = 5.0
    """Name resolution and TCP connect."""
    handshake_timeout: float = 8.0
    """From an open socket to both streams negotiated."""
    write_timeout: float = 8.0
    """One write to one peer (at most 64 KiB, or one larger frame)."""
    ping_interval: float = 2.0
    """A peer not heard of for this long is pinged (half as long again by the side that was dialled)."""
    rtt_interval: float = 15.0
    """The round trip is measured at least this often, traffic or not."""
    silence_timeout: float = 8.0
    """A peer not heard of for this long is disconnected."""
    backoff_first: float = 0.1
    backoff_max: float = 2.0
    stable_after: float = 10.0
    """A connection that lived this long starts the backoff afresh."""
    penalty: float = 5.0
    """Seconds for which a peer that broke the protocol is kept out."""
    max_half_open: int = 64
    """Connections in handshake; the oldest gives way to a new one."""
    max_strangers: int = 8
    """Connections of peers that are not of our network, which are answered identify and ping; 0: none."""
    stranger_idle: float = 60.0
    """A stranger that asked for nothing for this long is disconnected."""
    pings_per_second: float = 10.0
    pings_burst: int = 20
    """libp2p's pings of one connection; above it we answer that peer more slowly."""
    frames_per_second: float = 20_000.0
    """Sustained inbound frames per peer; above it we read that peer more slowly."""
    frames_burst: int = 20_000
    handler_timeout: float = 30.0
    """Longest run of a request handler, whatever the requester asked for."""

    def __post_init__(self) -> None:
        if self.silence_timeout <= 2 * self.ping_interval:
            raise Misuse("silence_timeout must exceed two ping intervals")
        if (
            min(self.max_half_open, self.frames_burst, self.pings_burst) < 1
            or self.max_strangers < 0
        ):
            raise Misuse("bounds must be positive")
        if self.frames_per_second <= 0 or self.pings_per_second <= 0:
            raise Misuse("bounds must be positive")


@dataclass(slots=True, kw_only=True)
class PeerStats:
    """Counters of one peer since it was added; `rtt` in seconds, None before the first pong."""

    connected: bool = False
    connects: int = 0
    penalties: int = 0
    rtt: float | None = None
    frames_in: int = 0
    frames_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    drops: int = 0
    queued_bytes: int = 0
    requests_in: int = 0
    requests_out: int = 0
    last_error: str | None = None


@dataclass(slots=True, kw_only=True)
class ChannelStats:
    """Counters of one channel, all peers together; bytes are those of payloads."""

    frames_in: int = 0
    frames_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    drops: int = 0


@dataclass(slots=True, kw_only=True)
class MethodStats:
    """Counters of one request method, all peers together: requests served, and made."""

    requests_in: int = 0
    requests_out: int = 0


def split_address(address: str) -> tuple[str, int]:
    """Split "host:port" (IPv6 hosts in brackets); raises `Misuse` for anything else."""
    host, colon, port = address.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        colon = ""
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise Misuse(f"{address!r} is not host:port")
    return host, int(port)
