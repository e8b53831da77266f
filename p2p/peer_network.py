"""The network of one node: the connected peers, and the messages between them."""

from __future__ import annotations

import ipaddress
import random
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Protocol

import structlog
import trio

from p2p import compat
from p2p.compat import Patches
from p2p.errors import (
    HandshakeFailed,
    LinkLost,
    Misuse,
    P2PError,
    PeerUnavailable,
    ProtocolViolation,
    WrongNetwork,
)
from p2p.identity import Identity
from p2p.inbound import IDENTIFY, PING
from p2p.link import Link, OnFrame
from p2p.listen import open_listeners
from p2p.netem import SOUND, LinkFault
from p2p.pacing import backoff_delay
from p2p.requests import Handler
from p2p.session import Protocols, Session, run_session
from p2p.strangers import Strangers
from p2p.types import (
    ChannelSpec,
    ChannelStats,
    MethodSpec,
    MethodStats,
    NetworkLimits,
    PeerId,
    PeerSpec,
    PeerStats,
    split_address,
)

_log = structlog.get_logger("p2p")

OnPeer = Callable[[PeerId, bool], None]

_PROTOCOL_VERSION = "atoll/1"  # of identify: the family of protocols
_CUT = "the link is cut on purpose, by a fault that was set"


class ListenerStatus(Protocol):
    """trio's task status of a task that starts with a string."""

    def started(self, value: str, /) -> None:
        """Report that the task is up."""


class _Peer:
    """The state that we keep of a peer of the allow-list, connected or not."""

    __slots__ = (
        "draw",
        "error_logged",
        "fault",
        "link",
        "penalty_until",
        "spec",
        "stats",
    )

    def __init__(self, spec: PeerSpec) -> None:
        self.spec = spec
        self.stats = PeerStats()
        self.link: Link | None = None
        self.penalty_until = float("-inf")
        self.error_logged: str | None = None
        self.fault = SOUND
        self.draw = random.Random(0)


class PeerNetwork:
    """Frames and requests between this node and the peers of its allow-list.

    Of each pair the node with the lower peer id dials; both use the connection. `on_frame` is
    awaited by the reader of that peer, so a slow one slows that peer's traffic only; while it
    blocks, pings of that peer wait too. `on_peer` is called synchronously at every connect and
    disconnect. Exceptions of either are logged and otherwise ignored. Any other libp2p peer may connect,
    too, and is answered identify (with `agent` as our version) and ping, in places of their own.

    Raises `Misuse` for contradictory channels, methods or addresses.
    """

    def __init__(
        self,
        *,
        identity: Identity,
        listen: str,
        network_id: bytes,
        channels: Iterable[ChannelSpec],
        methods: Mapping[MethodSpec, Handler],
        peers: Iterable[PeerSpec],
        on_frame: OnFrame,
        on_peer: OnPeer,
        agent: str = "atoll",
        limits: NetworkLimits | None = None,
        patches: Patches | None = None,
    ) -> None:
        split_address(listen)
        if not network_id:
            raise Misuse("the network id is empty")
        self.peer_id = identity.peer_id
        self._listen = listen
        self._protocols = Protocols.of(network_id)
        self._channels: dict[int, ChannelSpec] = {}
        for channel in channels:
            if channel.id in self._channels:
                raise Misuse(f"channel {channel.id} is defined twice")
            self._channels[channel.id] = channel
        self.channel_stats = {channel_id: ChannelStats() for channel_id in self._channels}
        "Counters by channel; the values are live."
        self.method_stats: dict[str, MethodStats] = {}
        "Counters by request method, of those used so far; the values are live."
        self._methods: dict[str, tuple[MethodSpec, Handler]] = {}
        for method, handler in methods.items():
            if method.name in self._methods:
                raise Misuse(f"method {method.name} is defined twice")
            self._methods[method.name] = (method, handler)
        self._on_frame = on_frame
        self._on_peer = on_peer
        self._limits = limits or NetworkLimits()
        self._patches = patches or compat.default_patches()
        self._noise = compat.make_noise(identity.key_pair, self._admit)
        self._key_pair = identity.key_pair
        self._agent = agent
        # Only our own muxer holds strangers to their limits.
        places = self._limits.max_strangers if self._patches.session_muxer else 0
        self.strangers = Strangers(places=places, idle=self._limits.stranger_idle)
        """Connections of peers that are not on the allow-list: they may ping and identify this node."""
        self._peers: dict[PeerId, _Peer] = {}
        self._bound: tuple[Any, ...] = ()
        self._half_open: OrderedDict[trio.SocketStream, trio.CancelScope] = OrderedDict()
        self._nursery: trio.Nursery | None = None
        for peer in peers:
            self.add_peer(peer)

    # --- life ---------------------------------------------------------------------------------

    async def run(self, *, task_status: ListenerStatus = trio.TASK_STATUS_IGNORED) -> None:
        """Listen and keep connected until cancelled; `started` carries the bound "host:port".

        Raises `PeerPortInUse` or `ListenFailed` before anything is started.
        """
        if self._nursery is not None:
            raise Misuse("the network already runs")
        listeners, address = await open_listeners(self._listen)
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(
                    partial(trio.serve_listeners, self._accept, listeners, handler_nursery=nursery)
                )
                for peer in self._peers.values():
                    self._start_dialling(peer)
                _log.info("p2p listens", address=address, peer_id=self.peer_id)
                self._bound = listeners[0].socket.getsockname()
                task_status.started(address)
                await trio.sleep_forever()
        finally:
            self._nursery = None
            for listener in listeners:
                listener.socket.close()

    def add_peer(self, spec: PeerSpec) -> None:
        """Allow and keep connecting to a peer; a new address of a known one takes effect at the
        next dial. Our own id is ignored. Raises `Misuse` for an id that is not a peer id."""
        if spec.peer_id == self.peer_id:
            return
        try:
            compat.base58_id(spec.peer_id)
        except ValueError as error:
            raise Misuse(f"{spec.name}: {spec.peer_id!r} is not a peer id") from error
        known = self._peers.get(spec.peer_id)
        if known is not None:
            known.spec = spec
            return
        peer = self._peers[spec.peer_id] = _Peer(spec)
        if self._nursery is not None:
            self._start_dialling(peer)

    # --- use ----------------------------------------------------------------------------------

    @property
    def connected(self) -> frozenset[PeerId]:
        """Peers that can be sent to now."""
        return frozenset(peer_id for peer_id, peer in self._peers.items() if peer.link is not None)

    def send(self, peer: PeerId, channel_id: int, payload: bytes) -> bool:
        """Queue a frame for a peer, never blocking; False if not connected, or dropped.

        Raises `Misuse` for an unknown channel or an oversized payload.
        """
        self._check(channel_id, payload)
        known = self._peers.get(peer)
        return known is not None and known.link is not None and known.link.send(channel_id, payload)

    def broadcast(
        self, channel_id: int, payload: bytes, peers: Iterable[PeerId] | None = None
    ) -> int:
        """`send` to `peers`, or to everyone connected; returns how many took it."""
        self._check(channel_id, payload)
        chosen = self._peers if peers is None else peers
        return sum(1 for peer in list(chosen) if self.send(peer, channel_id, payload))

    def _check(self, channel_id: int, payload: bytes) -> None:
        channel = self._channels.get(channel_id)
        if channel is None:
            raise Misuse(f"unknown channel {channel_id}")
        if len(payload) > channel.max_frame:
            raise Misuse(
                f"frame of {len(payload)} bytes on channel {channel_id}, limit {channel.max_frame}"
            )

    async def request(
        self,
        peer: PeerId,
        method: MethodSpec | str,
        payload: bytes,
        *,
        timeout: float,  # noqa: ASYNC109
    ) -> bytes:
        """Ask a peer. Raises `PeerUnavailable`, `RequestTimeout`, `RemoteRefused`; `Misuse` for an
        unknown method or an oversized payload. A `MethodSpec` need not be served by us."""
        if isinstance(method, str):
            entry = self._methods.get(method)
            if entry is None:
                raise Misuse(f"unknown method {method}")
            method = entry[0]
        known = self._peers.get(peer)
        if known is None or known.link is None:
            raise PeerUnavailable(f"{peer} is not connected")
        return await known.link.requests.call(method, payload, timeout)

    def stats(self) -> dict[PeerId, PeerStats]:
        """Counters per peer of the allow-list; the values are live."""
        for peer in self._peers.values():
            peer.stats.queued_bytes = peer.link.queued_bytes if peer.link is not None else 0
        return {peer_id: peer.stats for peer_id, peer in self._peers.items()}

    def set_faults(self, faults: Mapping[PeerId, LinkFault], *, seed: int) -> None:
        """Make the links to these peers bad on purpose from now on, and all others sound.

        Holds for the messages that we send; the peer's side is its own. Unknown peers are ignored. `seed`
        decides which messages are lost and how late the others are, differently for each peer.
        """
        for peer_id, peer in self._peers.items():
            fault = faults.get(peer_id, SOUND)
            if fault == peer.fault:
                continue
            peer.fault = fault
            peer.draw = random.Random(f"{seed} {self.peer_id} {peer_id}")
            if peer.link is not None:
                peer.link.set_fault(fault, peer.draw)
            if fault.cut:
                self._unlink(peer, peer.link, LinkLost(_CUT))

    # --- connections --------------------------------------------------------------------------

    def _admit(self, peer_id: PeerId) -> None:
        peer = self._peers.get(peer_id)
        if peer is None:
            if self.strangers.places:
                return
            raise HandshakeFailed(f"{peer_id} is not a peer of this network")
        if trio.current_time() < peer.penalty_until:
            raise HandshakeFailed(f"{peer_id} recently broke the protocol")
        if peer.fault.blocks:
            raise HandshakeFailed(_CUT)

    async def _accept(self, stream: trio.SocketStream) -> None:
        """One inbound connection. Never raises: nothing a stranger does may end the node."""
        if len(self._half_open) >= self._limits.max_half_open:
            # The oldest handshake is the least likely to be an honest one.
            _, oldest = self._half_open.popitem(last=False)
            oldest.cancel()
        with trio.CancelScope() as scope:
            self._half_open[stream] = scope
            try:
                await self._session(stream, None)
            except WrongNetwork as error:
                _log.warning("inbound peer refused", reason=str(error))
            except P2PError as error:
                _log.debug("inbound connection ended", reason=str(error))
            except Exception:  # noqa: BLE001 - the callee is not ours to trust
                _log.exception("inbound connection failed")
            finally:
                self._half_open.pop(stream, None)
                stream.socket.close()

    def _start_dialling(self, peer: _Peer) -> None:
        if self._nursery is not None and self.peer_id < peer.spec.peer_id:
            self._nursery.start_soon(self._keep_dialling, peer)

    async def _keep_dialling(self, peer: _Peer) -> None:
        attempt = 0
        while True:
            started = trio.current_time()
            try:
                if peer.link is None:  # an implementation other than ours may have dialled us
                    await self._dial(peer)
            except P2PError as error:
                self._note(peer, error)
            except Exception as error:  # noqa: BLE001 - a bug of ours must not end the redialling
                _log.exception("dial failed", peer=peer.spec.name)
                peer.stats.last_error = repr(error)
            now = trio.current_time()
            attempt = 0 if now - started >= self._limits.stable_after else attempt + 1
            delay = backoff_delay(
                max(0, attempt - 1), self.peer_id, peer.spec.peer_id, self._limits
            )
            await trio.sleep_until(max(now + delay, peer.penalty_until))

    async def _dial(self, peer: _Peer) -> None:
        if peer.fault.blocks:
            raise HandshakeFailed(_CUT)
        host, port = split_address(peer.spec.address)
        try:
            with trio.fail_after(self._limits.dial_timeout):
                stream = await trio.open_tcp_stream(host, port)
        except trio.TooSlowError as error:
            raise HandshakeFailed(f"no connection to {peer.spec.address} in time") from error
        except OSError as error:
            cause: BaseException = error.__cause__ or error  # trio's own text says nothing
            while isinstance(cause, BaseExceptionGroup):
                cause = cause.exceptions[0]
            raise HandshakeFailed(f"cannot connect to {peer.spec.address}: {cause}") from error
        await self._session(stream, peer.spec.peer_id)

    def _note(self, peer: _Peer, error: P2PError) -> None:
        """Remember why there is no connection; say it once per reason, not at every redial."""
        text = str(error)
        peer.stats.last_error = text
        if isinstance(error, HandshakeFailed) and text != peer.error_logged:
            peer.error_logged = text
            level = _log.error if isinstance(error, WrongNetwork) else _log.info
            level("cannot reach peer", peer=peer.spec.name, peer_id=peer.spec.peer_id, reason=text)

    async def _session(self, stream: trio.SocketStream, expected: PeerId | None) -> None:
        await run_session(
            stream,
            expected=expected,
            noise=self._noise,
            protocols=self._protocols,
            limits=self._limits,
            patches=self._patches,
            serve=partial(self._serve, stream),
            is_member=self._peers.__contains__,
            introduce=self._introduce,
        )

    def _introduce(self, stream: trio.SocketStream) -> bytes:
        """Our answer to identify, for the peer at the other end."""
        try:
            here, there = stream.socket.getsockname()[0], stream.socket.getpeername()
        except OSError as error:
            raise LinkLost("connection closed") from error
        host, port = self._bound[:2]
        # A node that listens at every address gives the one that this peer reached.
        everywhere = ipaddress.ip_address(host).is_unspecified
        return compat.identify_message(
            self._key_pair,
            protocol=_PROTOCOL_VERSION,
            agent=self._agent,
            listen=(here if everywhere else host, port),
            observed=there[:2],
            protocols=(*self._protocols.both, IDENTIFY, PING),
        )

    async def _serve(self, stream: trio.SocketStream, session: Session) -> None:
        self._half_open.pop(stream, None)
        if not session.member:
            _log.debug("stranger connected", peer_id=session.peer)
            await self.strangers.keep(session)
        peer = self._peers[session.peer]
        if peer.fault.blocks:  # since the handshake began
            raise HandshakeFailed(_CUT)
        link = Link(
            session,
            channels=self._channels,
            methods=self._methods,
            on_frame=self._on_frame,
            limits=self._limits,
            stats=peer.stats,
            channel_stats=self.channel_stats,
            method_stats=self.method_stats,
        )
        link.set_fault(peer.fault, peer.draw)
        # A peer that connects again has lost the old connection, whether or not we noticed.
        self._unlink(peer, peer.link, LinkLost("replaced by a new connection"))
        peer.link = link
        peer.error_logged = None
        peer.stats.connected = True
        peer.stats.connects += 1
        _log.info("peer connected", peer=peer.spec.name, peer_id=session.peer)
        self._tell(session.peer, up=True)
        try:
            await link.run()
        finally:
            if isinstance(link.failure, ProtocolViolation):
                peer.stats.penalties += 1
                peer.penalty_until = trio.current_time() + self._limits.penalty
            self._unlink(peer, link, link.failure)

    def _unlink(self, peer: _Peer, link: Link | None, reason: P2PError) -> None:
        if link is None or peer.link is not link:
            return
        peer.link = None
        link.drop(str(reason))
        peer.stats.connected = False
        peer.stats.rtt = None
        peer.stats.last_error = str(reason)
        level = _log.warning if isinstance(reason, ProtocolViolation) else _log.info
        level(
            "peer disconnected", peer=peer.spec.name, peer_id=peer.spec.peer_id, reason=str(reason)
        )
        self._tell(peer.spec.peer_id, up=False)

    def _tell(self, peer_id: PeerId, *, up: bool) -> None:
        try:
            self._on_peer(peer_id, up)
        except Exception:  # noqa: BLE001 - the callee is not ours to trust
            _log.exception("on_peer failed", peer_id=peer_id)
