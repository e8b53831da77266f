"""The network as the services of one era see it: peers of other eras are not there.

Every frame and every request begins with the era of its sender. A message of another era is not passed on: a
node that is behind is told so, one that is ahead is remembered, for `EraFollower` to go after it.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any

import structlog
import trio

from node import wire
from p2p.errors import PeerUnavailable, RemoteRefused, RequestError
from p2p.peer_network import PeerNetwork
from p2p.types import MethodSpec, PeerId

OTHER_ERA = 2
"""Code of a request that is refused since it is of another era."""
NOTICE_SECONDS = 0.1  # between two of them to one peer
MEETING_SECONDS = 2.0  # how long a request waits for its peer to be in our era

EraHandler = Callable[[PeerId, int, bytes], Awaitable[bytes]]
"""Serves requests of any era: peer, its era, payload."""


class EraNetwork:
    """A `p2p.network.PeerNetwork` with eras; `links` is that network, which has none.

    `era` is ours, `on_peer` is told of a peer that is in our era, and of those that disconnect, `on_wanted` of
    rewinds that peers ask for. `options` are those of `links`.
    """

    def __init__(
        self,
        *,
        era: Callable[[], int],
        on_frame: Callable[[PeerId, int, bytes], Awaitable[None]],
        on_peer: Callable[[PeerId, bool], None],
        on_wanted: Callable[[PeerId, bytes], None],
        methods: Mapping[MethodSpec, Callable[[PeerId, bytes], Awaitable[bytes]]],
        era_methods: Mapping[MethodSpec, EraHandler],
        **options: Any,
    ) -> None:
        self._era = era
        self._on_frame = on_frame
        self._on_peer = on_peer
        self._on_wanted = on_wanted
        self._eras: dict[PeerId, int] = {}  # of connected peers that have said it
        self._noticed: dict[PeerId, float] = {}
        self._changed = trio.Event()
        self._paused = False
        handlers = {spec: partial(self._same_era, handler) for spec, handler in methods.items()}
        handlers |= {spec: partial(self._any_era, handler) for spec, handler in era_methods.items()}
        self.links = PeerNetwork(
            on_frame=self._received, on_peer=self._peer, methods=handlers, **options
        )
        self._log = structlog.get_logger()

    # ------------------------------------------------------------------ eras

    def pause(self) -> None:
        """Our era ends: nothing is passed on until `begin`."""
        self._paused = True

    def begin(self) -> None:
        """Begin the new era: tell every peer, and meet the peers that are in it already."""
        self._paused = False
        for peer in self.links.connected:
            self._notice(peer)
        for peer in self.connected:
            self._on_peer(peer, True)
        self._change()

    def ahead(self) -> list[PeerId]:
        """Peers that say that they are in a later era."""
        return [peer for peer, era in self._eras.items() if era > self._era()]

    async def changed(self) -> None:
        """Return when a peer has come, gone, or begun an era."""
        await self._changed.wait()

    async def met(self, seconds: float) -> None:
        """Return when all connected peers are in our era or a later one, or after so long."""
        with trio.move_on_after(seconds):
            while any(self._eras.get(p, -1) < self._era() for p in self.links.connected):
                await self._changed.wait()

    def _change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    def _notice(self, peer: PeerId) -> None:
        self._noticed[peer] = trio.current_time()
        self.links.send(peer, wire.ERAS.id, self._prefix())

    def _prefix(self) -> bytes:
        return self._era().to_bytes(wire.ERA_BYTES, "big")

    def _note(self, peer: PeerId, era: int) -> None:
        if era <= self._eras.get(peer, -1):
            return  # what waited longer may come later
        self._eras[peer] = era
        self._change()
        if era == self._era() and not self._paused:
            self._on_peer(peer, True)

    # ------------------------------------------------------------------ in

    def _peer(self, peer: PeerId, up: bool) -> None:
        if up:
            self._notice(peer)
            self._change()
        else:
            self._eras.pop(peer, None)
            self._change()
            self._on_peer(peer, False)

    async def _received(self, peer: PeerId, channel: int, payload: bytes) -> None:
        if len(payload) < wire.ERA_BYTES:
            self._log.info("bad frame", peer=peer, reason="it is too short to have an era")
            return
        era, ours = int.from_bytes(payload[: wire.ERA_BYTES], "big"), self._era()
        self._note(peer, era)
        if era != ours:
            late = trio.current_time() - self._noticed.get(peer, float("-inf")) > NOTICE_SECONDS
            if era < ours and late:
                self._notice(peer)
            return
        if self._paused:
            return
        body = payload[wire.ERA_BYTES :]
        if channel != wire.ERAS.id:
            await self._on_frame(peer, channel, body)
        elif body:
            self._on_wanted(peer, body)

    async def _same_era(
        self, handler: Callable[[PeerId, bytes], Awaitable[bytes]], peer: PeerId, payload: bytes
    ) -> bytes:
        era, body = _split(payload)
        await self._resumed()
        if era != self._era():
            raise RequestError(OTHER_ERA, f"this node is in era {self._era()}, not in {era}")
        return await handler(peer, body)

    async def _any_era(self, handler: EraHandler, peer: PeerId, payload: bytes) -> bytes:
        era, body = _split(payload)
        await self._resumed()
        return await handler(peer, era, body)

    async def _resumed(self) -> None:
        """Wait until our era has changed: a peer's question is answered after that."""
        while self._paused:
            await self._changed.wait()

    # ------------------------------------------------------------------ out

    @property
    def linked(self) -> frozenset[PeerId]:
        """Connected peers of any era."""
        return self.links.connected

    @property
    def connected(self) -> frozenset[PeerId]:
        """Those of our era."""
        ours = self._era()
        return frozenset(p for p in self.links.connected if self._eras.get(p) == ours)

    def send(self, peer: PeerId, channel: int, payload: bytes) -> bool:
        """As `PeerNetwork.send`; False also if the peer is in another era."""
        if self._eras.get(peer) != self._era():
            return False
        return self.links.send(peer, channel, self._prefix() + payload)

    def broadcast(self, channel: int, payload: bytes, peers: Iterable[PeerId]) -> int:
        """As `PeerNetwork.broadcast`."""
        ours = self._era()
        here = [peer for peer in peers if self._eras.get(peer) == ours]
        return self.links.broadcast(channel, self._prefix() + payload, here) if here else 0

    async def request(
        self,
        peer: PeerId,
        method: MethodSpec,
        payload: bytes,
        *,
        timeout: float,  # noqa: ASYNC109
    ) -> bytes:
        """As `PeerNetwork.request`. A peer that begins another era than ours is waited for a moment."""
        deadline = trio.current_time() + timeout
        await self._meet(peer, min(timeout, MEETING_SECONDS))
        try:
            left = deadline - trio.current_time()
            return await self.links.request(
                peer, method, self._prefix() + payload, timeout=max(left, 0.01)
            )
        except RemoteRefused as error:
            if error.code != OTHER_ERA:
                raise
            raise PeerUnavailable(f"{peer} is in another era: {error}") from error

    async def request_any(
        self,
        peer: PeerId,
        method: MethodSpec,
        payload: bytes,
        *,
        timeout: float,  # noqa: ASYNC109
    ) -> bytes:
        """As `request`, of a peer whose era does not matter."""
        return await self.links.request(peer, method, self._prefix() + payload, timeout=timeout)

    async def _meet(self, peer: PeerId, seconds: float) -> None:
        with trio.move_on_after(seconds) as scope:
            while peer in self.links.connected and self._eras.get(peer) != self._era():
                await self._changed.wait()
        if scope.cancelled_caught:
            raise PeerUnavailable(f"{peer} is in era {self._eras.get(peer)}, not in {self._era()}")


def _split(payload: bytes) -> tuple[int, bytes]:
    if len(payload) < wire.ERA_BYTES:
        raise RequestError(OTHER_ERA, "the request has no era")
    return int.from_bytes(payload[: wire.ERA_BYTES], "big"), payload[wire.ERA_BYTES :]
