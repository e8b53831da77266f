"""What comes in from peers, and what goes out to them: frames and requests by chain."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import msgspec
import structlog
import trio

from consensus.types import Address as ValidatorAddress
from node import wire
from node.beacon.rewind import Rewind
from node.engine.sync import decode_request, serve_blocks
from node.network.era_network import EraNetwork
from node.network.lane_puller import serve_lane
from node.primitives.errors import DecodeError
from node.query.frontier import PATIENCE
from p2p.errors import RequestError
from p2p.types import MethodSpec, PeerId
from rpc.caller import CALLER, Caller

if TYPE_CHECKING:
    from node.runtime.node import Node

BAD_REQUEST = 1
OPENING_SECONDS = 1.0  # how long the last validators of a committee are waited for
LONGEST_OPENING = 10.0  # and how long a quorum of it


class Traffic:
    """Dispatches for a node; its parts are looked up when something comes."""

    def __init__(self, node: "Node", network: Callable[[], EraNetwork]) -> None:
        self._node = node
        self._network = network
        self._log = structlog.get_logger()

    # ------------------------------------------------------------------ in

    async def on_frame(self, peer: PeerId, channel: int, payload: bytes) -> None:
        node = self._node
        if channel == wire.CONSENSUS.id:
            try:
                chain, body = wire.decode_frame(payload)
            except DecodeError as error:
                self._log.info("bad frame", peer=peer, reason=str(error))
                return
            host = node.hosts.get(chain)
            if host is not None:
                await host.deliver(peer, body)
        elif channel == wire.CROSSLINKS.id:
            if node.is_beacon:
                node.publisher.received(peer, payload)
        elif channel == wire.EVIDENCE.id:
            node.evidence.received(peer, payload)
        elif channel == wire.TRANSACTIONS.id and node.topology.shard_of(peer) == node.shard:
            await node.gossip.received(peer, payload)

    def on_wanted(self, peer: PeerId, payload: bytes) -> None:
        """A peer's user asks for the network to go back."""
        try:
            rewind = Rewind.decode(payload)
        except DecodeError as error:
            self._log.info("bad rewind", peer=peer, reason=str(error))
            return
        self._node.want_rewind(rewind)

    def on_peer(self, peer: PeerId, up: bool) -> None:
        node = self._node
        self._log.debug("peer up" if up else "peer down", peer=node.topology.name_of(peer))
        if not up:
            return
        for chain, host in node.hosts.items():
            self.tell(chain, peer, wire.StatusMessage(height=host.app.head_height()))
            if node.topology.address_of(peer) in host.app.validators():
                host.peer_up()
        if peer in node.topology.beacon_peers():
            node.evidence.peer_up(peer)
        if node.topology.shard_of(peer) == node.shard:
            node.gossip.peer_up(peer)

    # ------------------------------------------------------------------ out

    def broadcast(self, channel: int, payload: bytes, peers: Iterable[PeerId]) -> None:
        self._network().broadcast(channel, payload, peers)

    def consensus(
        self, chain: int, peers: Iterable[PeerId], message: wire.ConsensusMessage
    ) -> None:
        self.broadcast(wire.CONSENSUS.id, wire.encode_frame(chain, message), peers)

    def tell(self, chain: int, peer: str, message: wire.StatusMessage) -> None:
        self._network().send(PeerId(peer), wire.CONSENSUS.id, wire.encode_frame(chain, message))

    def announce(self, chain: int, height: int) -> None:
        """Our height, to everyone whom the chain concerns."""
        node = self._node
        peers: Iterable[PeerId] = self._network().connected
        if chain != wire.BEACON:
            peers = [p for p in peers if node.topology.shard_of(p) in (node.shard, None)]
        self.consensus(chain, peers, wire.StatusMessage(height=height))

    def tell_followers(self, chain: int, height: int) -> None:
        """A new height, to nodes that do not decide it and are not told otherwise: they pull it at once."""
        topology, validators = self._node.topology, self._node.hosts[chain].app.validators()

        def follows(peer: PeerId) -> bool:
            shard = topology.shard_of(peer)
            jailed = shard == chain and topology.address_of(peer) not in validators
            return shard is None or jailed

        followers = [p for p in self._network().connected if follows(p)]
        if followers:
            self.consensus(chain, followers, wire.StatusMessage(height=height))

    async def ask(
        self,
        peer: str,
        method: MethodSpec,
        payload: bytes,
        timeout: float,  # noqa: ASYNC109
    ) -> bytes:
        return await self._network().request(PeerId(peer), method, payload, timeout=timeout)

    # ------------------------------------------------------------------ requests

    async def serve_era(self, peer: PeerId, era: int, payload: bytes) -> bytes:
        """How the era began that a node of an earlier one goes on with."""
        record = self._node.era_record(era)
        if record is None:
            raise RequestError(BAD_REQUEST, f"there is no era after {era} here")
        return record

    async def serve_blocks(self, peer: PeerId, era: int, payload: bytes) -> bytes:
        """Of nodes in earlier eras, too, as far as those have the same."""
        eras = self._node.beacon_chain.eras
        if era > eras.current:
            raise RequestError(BAD_REQUEST, f"this node is in era {eras.current}, not in {era}")
        try:
            request = decode_request(payload)
        except DecodeError as error:
            raise RequestError(BAD_REQUEST, str(error)) from None
        host = self._node.hosts.get(request.chain)
        if host is None:
            raise RequestError(BAD_REQUEST, f"chain {request.chain} is not served here")
        upto, later = None, eras.after(era)
        if later is not None:
            chain = request.chain
            upto = later.height if chain == wire.BEACON else later.tips[chain]
        return msgspec.msgpack.encode(await serve_blocks(host.app, request, upto=upto))

    async def serve_lane(self, peer: PeerId, payload: bytes) -> bytes:
        try:
            return await serve_lane(self._node.shard_chain, payload)
        except DecodeError as error:
            raise RequestError(BAD_REQUEST, str(error)) from None

    async def serve_height(self, peer: PeerId, payload: bytes) -> bytes:
        """The beacon block up to which this node has decided, or may have helped to decide."""
        return wire.encode_height(self._node.beacon_host.reached())

    async def ask_height(self, member: ValidatorAddress) -> int:
        """What `member` of the beacon says to that. Raises a peer's fault."""
        peer = self._node.topology.peer_of(member)
        if peer is None:
            raise DecodeError(f"0x{member.hex()} is no validator")
        answer = await self.ask(peer, wire.HEIGHT, b"", PATIENCE)
        return wire.decode_height(answer)

    async def serve_query(self, executes: bool, peer: PeerId, payload: bytes) -> bytes:
        """What a user of that node asks about our shard."""
        if len(payload) < wire.USER_BYTES:
            raise RequestError(BAD_REQUEST, "the question has no user")
        number = int.from_bytes(payload[: wire.USER_BYTES], "big")
        CALLER.set(Caller(number, via=peer))  # of this request's task alone
        return await self._node.rpc.serve_query(payload[wire.USER_BYTES :], executes)

    # ------------------------------------------------------------------ start

    async def open_when_connected(self, chain: int) -> None:
        """Let a chain begin heights once its committee is there, so that round 0 need not time out.

        The last few are waited for a moment, a quorum for longer: without it nothing can be decided.
        """
        node, host = self._node, self._node.hosts[chain]
        committee = host.app.validators()
        started = trio.current_time()
        while True:
            here = [node.topology.address_of(p) for p in self._network().connected]
            if node.keys.signing is not None:
                here.append(node.topology.address_of(node.topology.me))
            power = sum(committee.power_of(a) for a in here if a is not None)
            away = [node.topology.address_of(p) for p in self._network().linked]
            if (
                node.rewound
                and committee.is_quorum(power)
                and not any(a is not None and a in committee and a not in here for a in away)
            ):
                break  # who is not connected was not before either
            waited = trio.current_time() - started
            patience = OPENING_SECONDS if committee.is_quorum(power) else LONGEST_OPENING
            if power == committee.total_power or waited >= patience:
                break
            await trio.sleep(0.02)
        host.open(restarted=not node.rewound)
