"""The streams that a peer opens on one session: ours, and those that every libp2p node answers.

`/ipfs/id/1.0.0` (identify) gives our identity, `/ipfs/ping/1.0.0` sends back 32 bytes at a time, both as
https://github.com/libp2p/specs says. The muxer limits the streams that a peer may open.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import structlog
import trio

from p2p import compat
from p2p.compat import IO_ERRORS, Communicator
from p2p.errors import LinkLost, PeerFault, WrongNetwork
from p2p.pacing import TokenBucket, pace
from p2p.types import NetworkLimits, PeerId

_log = structlog.get_logger("p2p")

FAMILY = "/atoll/"
IDENTIFY = "/ipfs/id/1.0.0"
PING = "/ipfs/ping/1.0.0"

_PING_BYTES = 32
_AT_ONCE = {IDENTIFY: 1, PING: 2}
# multistream-select has timeouts of its own; ours is the one that acts
NEVER = 3600


class InboundStreams:
    """Negotiates and serves each stream in a task of its own.

    `own` are the protocols whose streams the session itself uses, once each; `identify` is the answer to that
    protocol, `on_asked` is called whenever the peer has been given it, or a ping back.
    """

    def __init__(
        self,
        peer: PeerId,
        muxer: Any,
        *,
        own: tuple[str, ...],
        identify: bytes,
        limits: NetworkLimits,
    ) -> None:
        self._peer = peer
        self._muxer = muxer
        self._missing = set(own)
        self._own: dict[str, Any] = {}
        self._whole = trio.Event()
        self._identify = identify
        self._limits = limits
        self._pings = TokenBucket(limits.pings_per_second, limits.pings_burst, trio.current_time())
        self._offered = dict.fromkeys((*own, IDENTIFY, PING))
        self._running = dict.fromkeys(_AT_ONCE, 0)
        self._failure: PeerFault | None = None
        self._scope = trio.CancelScope()
        self.on_asked: Callable[[], None] = lambda: None

    async def run(self) -> PeerFault | None:
        """Serve until the connection ends; returns what the peer did to end it here, if it did."""
        with self._scope:
            async with trio.open_nursery() as nursery:
                await self._accept(nursery)
        return self._failure

    async def _accept(self, nursery: trio.Nursery) -> None:
        while True:
            try:
                stream = await self._muxer.accept_stream()
            except IO_ERRORS:
                return  # the task that runs the muxer has the reason
            nursery.start_soon(self._serve, stream)

    async def own(self) -> dict[str, Any]:
        """The streams of our own protocols, as soon as the peer has opened all of them."""
        await self._whole.wait()
        return self._own

    async def _serve(self, stream: Any) -> None:
        try:
            name = await self._negotiate(stream)
            if name in self._missing:
                self._take(name, stream)
                return  # the session's from now on
            try:
                if name is not None:
                    await self._answer(name, stream)
            finally:
                if not stream.closed:
                    await self._write(stream.close if stream.recv_closed else stream.reset)
        except PeerFault as error:
            self._failure = self._failure or error
            self._scope.cancel()
        except IO_ERRORS as error:
            _log.debug("stream ended", peer=self._peer, reason=str(error))
        except Exception:  # noqa: BLE001 - one stream, not the process
            _log.exception("stream failed", peer=self._peer)

    async def _negotiate(self, stream: Any) -> str | None:
        """The protocol of a stream; None if the peer wants none that we serve."""
        communicator = Communicator(stream)
        with trio.move_on_after(self._limits.handshake_timeout) as scope:
            try:
                name, _ = await compat.Multiselect(self._offered).negotiate(communicator, NEVER)
                return str(name)
            except IO_ERRORS as error:
                if self._missing and communicator.last.startswith(FAMILY):
                    raise WrongNetwork(
                        f"the peer asks for {communicator.last}, we serve "
                        f"{', '.join(self._missing)}: it belongs to another network, or runs "
                        f"another version"
                    ) from error
                _log.debug("stream refused", peer=self._peer, protocol=communicator.last)
        if communicator.writing:
            self._check_taken(scope)
        return None

    def _take(self, name: str, stream: Any) -> None:
        self._own[name] = stream
        self._missing.remove(name)
        del self._offered[name]
        if not self._missing:
            self._whole.set()

    # --- what every libp2p peer is answered ---------------------------------------------------------

    async def _answer(self, name: str, stream: Any) -> None:
        answers = {IDENTIFY: self._say_who_we_are, PING: self._return_pings}
        if name not in answers or self._running[name] >= _AT_ONCE[name]:
            return
        self._running[name] += 1
        try:
            await answers[name](stream)
        finally:
            self._running[name] -= 1

    async def _say_who_we_are(self, stream: Any) -> None:
        await self._write(partial(stream.write, self._identify))
        await self._write(stream.close)
        self.on_asked()
        with trio.move_on_after(self._limits.handshake_timeout):  # it may be reading still
            await stream.read(1)

    async def _return_pings(self, stream: Any) -> None:
        while True:
            payload = b""
            while len(payload) < _PING_BYTES:
                more = await stream.read(_PING_BYTES - len(payload))
                if not more:
                    return
                payload += more
            await pace(self._pings)
            await self._write(partial(stream.write, payload))
            self.on_asked()

    async def _write(self, write: Callable[[], Awaitable[None]]) -> None:
        with trio.move_on_after(self._limits.write_timeout) as scope:
            await write()
        self._check_taken(scope)

    def _check_taken(self, scope: trio.CancelScope) -> None:
        # A write cut short leaves half a message behind: the connection is of no more use.
        if scope.cancelled_caught:
            raise LinkLost("the peer did not take an answer in time")
