"""From a TCP connection to an authenticated session with its two streams.

A session is multistream-select -> Noise XX -> Yamux, and on it two streams opened by the dialer:
one for frames, one for requests. Both are used in both directions. Their protocol ids carry the
network id, so that nodes of different networks find out before the first frame. A peer that is not of our
network is only answered as `p2p.inbound` answers every peer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import trio

from p2p import compat
from p2p.compat import IO_ERRORS, NOISE_ID, YAMUX_ID, Communicator, Patches
from p2p.errors import (
    HandshakeFailed,
    LinkLost,
    P2PError,
    PeerFault,
    ProtocolViolation,
    WrongNetwork,
)
from p2p.inbound import FAMILY, NEVER, InboundStreams
from p2p.types import NetworkLimits, PeerId
from p2p.yamux import MEMBER, STRANGER


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocols:
    """libp2p protocol ids of the two streams."""

    frames: str
    requests: str

    @classmethod
    def of(cls, network_id: bytes) -> Protocols:
        """The ids of a network: its first 8 bytes in hex tell it from others."""
        network = network_id[:8].hex()
        return cls(frames=f"{FAMILY}{network}/frames/1", requests=f"{FAMILY}{network}/requests/1")

    @property
    def both(self) -> tuple[str, str]:
        return self.frames, self.requests


@dataclass(slots=True, kw_only=True)
class Session:
    """An authenticated connection. The streams have `read(n)` and `write(data)`; a stranger has none.

    `failure` says what broke the connection below the streams, once it is broken.
    """

    peer: PeerId
    member: bool
    muxer: Any
    inbound: InboundStreams
    frames: Any = None
    requests: Any = None
    failure: PeerFault | None = None


async def run_session(
    stream: trio.SocketStream,
    *,
    expected: PeerId | None,
    noise: Any,
    protocols: Protocols,
    limits: NetworkLimits,
    patches: Patches,
    serve: Callable[[Session], Awaitable[None]],
    is_member: Callable[[PeerId], bool] = lambda peer: True,
    introduce: Callable[[trio.SocketStream], bytes] = lambda stream: b"",
) -> None:
    """Establish a session over `stream` and serve it; the socket is closed on every way out.

    `expected` is the peer we dialled, None for an inbound connection. `introduce` gives the answer to identify.
    A peer that is no member is given neither of our streams. Raises `HandshakeFailed`, `WrongNetwork`, or what
    ended the session: `LinkLost`, `ProtocolViolation`.
    """
    failure: P2PError | None = None
    deadline = trio.current_time() + limits.handshake_timeout
    try:
        try:
            with trio.fail_at(deadline):
                secured, peer = await _secure(stream, expected, noise, patches)
        except Exception as error:
            # a stranger's bytes may break any layer below in any way
            raise _handshake_failure(error) from error
        dialled, member = expected is not None, is_member(peer)
        muxer = compat.make_muxer(
            secured,
            secured.get_remote_peer(),
            initiator=dialled,
            patches=patches,
            terms=MEMBER if member else STRANGER,
        )
        inbound = InboundStreams(
            peer,
            muxer,
            own=protocols.both if member and not dialled else (),
            identify=introduce(stream),
            limits=limits,
        )
        session = Session(peer=peer, member=member, muxer=muxer, inbound=inbound)
        async with trio.open_nursery() as nursery:

            async def pump() -> None:
                session.failure = await _run_muxer(muxer)
                nursery.cancel_scope.cancel()

            async def answer() -> None:
                ended = await inbound.run()
                if ended is not None:
                    session.failure = session.failure or ended
                    nursery.cancel_scope.cancel()

            nursery.start_soon(pump)
            nursery.start_soon(answer)
            try:
                with trio.fail_at(deadline):
                    if dialled:
                        await _open_streams(session, protocols)
                    elif member:
                        found = await inbound.own()
                        session.frames = found[protocols.frames]
                        session.requests = found[protocols.requests]
            except Exception as error:  # noqa: BLE001 - see above
                failure = _handshake_failure(error)
            else:
                try:
                    await serve(session)
                except P2PError as error:
                    failure = error
                except IO_ERRORS as error:
                    failure = LinkLost(str(error))
            nursery.cancel_scope.cancel()
        failure = session.failure or failure
        if failure is not None:
            raise failure
    finally:
        stream.socket.close()


async def _run_muxer(muxer: Any) -> PeerFault:
    """Run a muxer to its end; returns what ended it."""
    try:
        await muxer.start()
    except PeerFault as error:
        return error
    except IO_ERRORS as error:
        return LinkLost(str(error))
    except Exception as error:  # noqa: BLE001 - e.g. a forged Noise message
        return ProtocolViolation(f"{type(error).__name__}: {error}")
    return LinkLost("connection closed")


async def _secure(
    stream: trio.SocketStream, expected: PeerId | None, noise: Any, patches: Patches
) -> tuple[Any, PeerId]:
    initiator = expected is not None
    raw = compat.raw_connection(stream, initiator=initiator, patches=patches)
    await _select(Communicator(raw), NOISE_ID, initiator=initiator)
    if expected is not None:
        secured = await noise.secure_outbound(raw, compat.base58_id(expected))
    else:
        secured = await noise.secure_inbound(raw)
    await _select(Communicator(secured), YAMUX_ID, initiator=initiator)
    return secured, PeerId(secured.get_remote_peer().to_base58())


async def _select(communicator: Communicator, protocol: str, *, initiator: bool) -> None:
    if initiator:
        client = compat.MultiselectClient()
        await client.handshake(communicator)
        await client.try_select(communicator, protocol)
    else:
        await compat.Multiselect({protocol: None}).negotiate(communicator, NEVER)


async def _open_streams(session: Session, protocols: Protocols) -> None:
    muxer = session.muxer
    await muxer.event_started.wait()
    streams = []
    for protocol in protocols.both:
        stream = await muxer.open_stream()
        try:
            await _select(Communicator(stream), protocol, initiator=True)
        except compat.ProtocolNotSupportedError as error:
            raise WrongNetwork(
                f"the peer does not serve {protocol}: it belongs to another network, runs "
                f"another version, or does not have us among its peers"
            ) from error
        streams.append(stream)
    session.frames, session.requests = streams


def _handshake_failure(error: Exception) -> HandshakeFailed:
    if isinstance(error, HandshakeFailed):
        return error
    if isinstance(error, trio.TooSlowError):
        return HandshakeFailed("the handshake took too long")
    return HandshakeFailed(f"{type(error).__name__}: {error}" if str(error) else repr(error))
