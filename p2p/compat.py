"""Everything that depends on how libp2p is written inside; with `_libp2p` (what is imported) and
`yamux` (one of the patches below) the only modules that know it.

Of libp2p we use the layers that make up its wire: multistream-select, Noise XX, Yamux and the key
and peer id formats. Its Swarm and Host are left out, and with them their traps: dials that block a
peer for a minute, a default host that accepts plaintext, stream handlers whose exceptions end the
process, background dialling, address discovery and their timers.

Each departure from the stock layers is listed in `Patches`, with its reason, and can be switched
off. They were written against one version; with any other the stock code is used.
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

import structlog
import trio

from p2p._libp2p import (
    ID,
    PATCHED_VERSION,
    VERSION,
    BaseLibp2pError,
    ConnectionClosedError,
    Identify,
    Multiaddr,
    MultiselectCommunicator,
    MultiselectCommunicatorError,
    NoiseTransport,
    RawConnection,
    TrioTCPStream,
    Yamux,
    encode_delim,
    encode_varint_prefixed,
    new_ed25519_pair,
    new_x25519_pair,
)
from p2p._libp2p import (
    NOISE_ID as NOISE_ID,
)
from p2p._libp2p import (
    YAMUX_ID as YAMUX_ID,
)
from p2p._libp2p import (
    Multiselect as Multiselect,
)
from p2p._libp2p import (
    MultiselectClient as MultiselectClient,
)
from p2p._libp2p import (
    ProtocolNotSupportedError as ProtocolNotSupportedError,
)
from p2p.types import PeerId
from p2p.yamux import SessionMuxer, Terms

_log = structlog.get_logger("p2p")

# libp2p logs a peer's ordinary failures as errors; ours are logged by the code that handles them.
logging.getLogger("libp2p").setLevel(logging.CRITICAL + 1)

IO_ERRORS: tuple[type[Exception], ...] = (
    BaseLibp2pError,
    OSError,
    trio.BrokenResourceError,
    trio.ClosedResourceError,
)
"""The errors that libp2p and trio raise when a connection breaks or a peer breaks the protocol."""

_MAX_NEGOTIATION_MESSAGE = 1024
_MAX_NEGOTIATION_MESSAGES = 16  # of a stream: the header, and as many protocols as a peer would try


@dataclass(frozen=True, slots=True, kw_only=True)
class Patches:
    """Departures from stock libp2p."""

    buffered_tcp: bool = True
    """Read 64 KiB from the socket at once and return the requested part: the stock stream makes a system call
    for every two-byte length and gives up on a message that took 100 reads.
    """
    session_muxer: bool = True
    """`p2p.yamux`: same Yamux wire, own read loop: windows and the number of streams are enforced, credit is
    returned once per half window rather than per read, a writer out of window waits for an event
    rather than polling, no ping timer, no log formatting per frame."""


def default_patches() -> Patches:
    """All patches on the version they were written for, none on another."""
    if VERSION == PATCHED_VERSION:
        return Patches()
    _log.warning("libp2p version is not the tested one", found=VERSION, tested=PATCHED_VERSION)
    return Patches(buffered_tcp=False, session_muxer=False)


# --- keys and ids ---------------------------------------------------------------------------------


def ed25519_pair(seed: bytes) -> Any:
    """libp2p's key pair for a 32-byte Ed25519 seed."""
    return new_ed25519_pair(seed)


def peer_id_of(pair: Any) -> PeerId:
    """The peer id of a key pair."""
    return PeerId(ID.from_pubkey(pair.public_key).to_base58())


def base58_id(peer: PeerId) -> Any:
    """libp2p's ID object; raises ValueError for anything that is not base58."""
    return ID.from_string(peer)


# --- identify -------------------------------------------------------------------------------------


def identify_message(
    pair: Any,
    *,
    protocol: str,
    agent: str,
    listen: tuple[str, int],
    observed: tuple[str, int] | None,
    protocols: Iterable[str],
) -> bytes:
    """The answer of `/ipfs/id/1.0.0`, with its length before it: the identity of this node for a peer.

    `protocol` and `agent` are the versions, `listen` is an IP address and port, `observed` the address of the
    peer as we see it.
    """
    message = Identify(
        protocol_version=protocol,
        agent_version=agent,
        public_key=pair.public_key.serialize(),
        listen_addrs=[_multiaddress(*listen)],
        protocols=list(protocols),
    )
    if observed is not None:
        message.observed_addr = _multiaddress(*observed)
    return bytes(encode_varint_prefixed(message.SerializeToString()))


def _multiaddress(host: str, port: int) -> bytes:
    address = ipaddress.ip_address(host.partition("%")[0])  # a link's name means nothing elsewhere
    return bytes(Multiaddr(f"/ip{address.version}/{address}/tcp/{port}").to_bytes())


# --- TCP ------------------------------------------------------------------------------------------


class _BufferedTcpStream(TrioTCPStream):  # type: ignore[misc]
    """`read(n)` returns exactly n bytes or raises; no locks, since Yamux already orders writes."""

    _MAX_READ = 65_535 + 2

    def __init__(self, stream: trio.SocketStream) -> None:
        super().__init__(stream)
        self._data = b""
        self._position = 0

    async def read(self, n: int | None = None) -> bytes:
        if n is None or n > self._MAX_READ:
            # Lengths announced before authentication end here, before any buffer is sized by them.
            raise ConnectionClosedError(f"refusing to read {n} bytes at once")
        while len(self._data) - self._position < n:
            try:
                more = await self.stream.receive_some(65_536)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise ConnectionClosedError(str(error) or "connection reset") from error
            if not more:
                raise ConnectionClosedError("closed by the peer")
            self._data = self._data[self._position :] + more
            self._position = 0
        start = self._position
        self._position = start + n
        return self._data[start : self._position]

    async def write(self, data: bytes) -> None:
        try:
            await self.stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise ConnectionClosedError(str(error) or "connection reset") from error


def raw_connection(stream: trio.SocketStream, *, initiator: bool, patches: Patches) -> Any:
    """libp2p's view of a TCP connection."""
    kind = _BufferedTcpStream if patches.buffered_tcp else TrioTCPStream
    return RawConnection(kind(stream), initiator)


# --- multistream-select ---------------------------------------------------------------------------


class Communicator(MultiselectCommunicator):  # type: ignore[misc]
    """Negotiation messages of at most 1 KiB, and a note of the last one for the log.

    The stock reader sizes its read by any length a stranger announces and lets undecodable bytes
    escape as an exception of another kind.
    """

    last: str = ""
    reads: int = 0
    writing: bool = False
    """A write has begun and not ended: if it was cancelled, the connection is of no more use."""

    async def read(self) -> str:
        self.reads += 1
        if self.reads > _MAX_NEGOTIATION_MESSAGES:  # each would have an answer
            raise MultiselectCommunicatorError("too many negotiation messages")
        length = shift = 0
        while True:
            byte = (await self._exactly(1))[0]
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
            if shift > 14:
                raise MultiselectCommunicatorError("negotiation message too long")
        if not 0 < length <= _MAX_NEGOTIATION_MESSAGE:
            raise MultiselectCommunicatorError(f"negotiation message of {length} bytes")
        message = await self._exactly(length)
        if message[-1:] != b"\n" or not message.isascii():
            raise MultiselectCommunicatorError("malformed negotiation message")
        self.last = message[:-1].decode("ascii")
        return self.last

    async def write(self, msg_str: str) -> None:
        self.writing = True
        try:
            await self.read_writer.write(encode_delim(msg_str.encode()))
        except IO_ERRORS as error:
            raise MultiselectCommunicatorError(str(error)) from error
        self.writing = False

    async def _exactly(self, n: int) -> bytes:
        data = b""
        while len(data) < n:
            try:
                more = await self.read_writer.read(n - len(data))
            except IO_ERRORS as error:
                raise MultiselectCommunicatorError(str(error)) from error
            if not more:
                raise MultiselectCommunicatorError("closed during negotiation")
            data += more
        return data


# --- Noise ----------------------------------------------------------------------------------------


class _AllowListNoise(NoiseTransport):  # type: ignore[misc]
    """Refuses a peer as soon as Noise has proven its identity."""

    admit: Callable[[PeerId], None]

    async def secure_inbound(self, conn: Any) -> Any:
        secured = await super().secure_inbound(conn)
        self.admit(PeerId(secured.get_remote_peer().to_base58()))
        return secured


def make_noise(pair: Any, admit: Callable[[PeerId], None]) -> Any:
    """Noise XX for an identity. `admit` raises for a remote that is not welcome.

    The static key is a fresh X25519 key signed by the identity: libp2p requires nothing lasting.
    """
    transport = _AllowListNoise(pair, noise_privkey=new_x25519_pair().private_key)
    transport.admit = admit
    return transport


# --- Yamux ----------------------------------------------------------------------------------------


async def _never_called() -> None:
    """Yamux insists on an on_close callback."""


def make_muxer(secured: Any, peer: Any, *, initiator: bool, patches: Patches, terms: Terms) -> Any:
    """A Yamux session over a secured connection; run its `start()` for as long as it is used.

    Without `Patches.session_muxer` nothing holds the peer to `terms`.
    """
    on_close: Callable[[], Awaitable[None]] = _never_called
    if not patches.session_muxer:
        return Yamux(secured, peer, is_initiator=initiator, on_close=on_close)
    return SessionMuxer(secured, peer, is_initiator=initiator, on_close=on_close, terms=terms)
