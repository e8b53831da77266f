"""Dispatch of what peers send: frames and requests, to the parts of the era that runs."""

from functools import partial

import msgspec
import structlog

from node import wire
from node.beacon.rewind import Rewind
from node.engine.sync import decode_request, serve_blocks
from node.network.era_network import EraHandler
from node.network.lane_puller import serve_lane
from node.network.topology import Topology
from node.primitives.basics import ShardId
from node.primitives.errors import DecodeError
from node.query.codec import serve
from node.runtime.parts import CurrentEra
from p2p.errors import RequestError
from p2p.requests import Handler
from p2p.types import MethodSpec, PeerId
from rpc.caller import CALLER, Caller
from rpc.threads import Threads

BAD_REQUEST = 1


class Inbound:
    """The handlers of a node's network.

    `shard` is the one that the node runs; `is_beacon`: it is a member of the beacon committee.
    """

    def __init__(
        self, topology: Topology, *, shard: ShardId, is_beacon: bool, era: CurrentEra
    ) -> None:
        self._topology = topology
        self._shard = shard
        self._is_beacon = is_beacon
        self._era = era
        self._aside = Threads(1)  # long questions of other nodes
        self._log = structlog.get_logger()

    def methods(self) -> dict[MethodSpec, Handler]:
        """Requests that peers of our era may make."""
        return {
            wire.LANE: self.serve_lane,
            wire.QUERY: partial(self.serve_query, False),
            wire.EXECUTE: partial(self.serve_query, True),
            wire.HEIGHT: self.serve_height,
        }

    def era_methods(self) -> dict[MethodSpec, EraHandler]:
        """Requests that peers of any era may make."""
        return {wire.BLOCKS: self.serve_blocks, wire.ERA: self.serve_era}

    # ------------------------------------------------------------------ frames

    async def on_frame(self, peer: PeerId, channel: int, payload: bytes) -> None:
        era = self._era()
        if channel == wire.CONSENSUS.id:
            try:
                chain, body = wire.decode_frame(payload)
            except DecodeError as error:
                self._log.info("bad frame", peer=peer, reason=str(error))
                return
            host = era.hosts.by_chain.get(chain)
            if host is not None:
                await host.deliver(peer, body)
        elif channel == wire.CROSSLINKS.id:
            if self._is_beacon:
                era.publisher.received(peer, payload)
        elif channel == wire.EVIDENCE.id:
            era.evidence.received(peer, payload)
        elif channel == wire.TRANSACTIONS.id and self._topology.shard_of(peer) == self._shard:
            await era.gossip.received(peer, payload)

    def on_wanted(self, peer: PeerId, payload: bytes) -> None:
        """A peer proposes that the network goes back."""
        try:
            rewind = Rewind.decode(payload)
        except DecodeError as error:
            self._log.info("bad rewind", peer=peer, reason=str(error))
            return
        if self._is_beacon:
            self._era().want_rewind(rewind)

    def on_peer(self, peer: PeerId, up: bool) -> None:
        topology = self._topology
        self._log.debug("peer up" if up else "peer down", peer=topology.name_of(peer))
        if not up:
            return
        era = self._era()
        for chain, host in era.hosts.by_chain.items():
            era.outbound.tell(chain, peer, wire.StatusMessage(height=host.app.head_height()))
            if topology.address_of(peer) in host.app.validators():
                host.peer_up()
        if peer in topology.beacon_peers():
            era.evidence.peer_up(peer)
        if topology.shard_of(peer) == self._shard:
            era.gossip.peer_up(peer)

    # ------------------------------------------------------------------ requests

    async def serve_era(self, peer: PeerId, era: int, payload: bytes) -> bytes:
        """The record of the era that a peer in era `era` goes on with."""
        record = self._era().beacon_chain.era_after(era)
        if record is None:
            raise RequestError(BAD_REQUEST, f"there is no era after {era} here")
        return record

    async def serve_blocks(self, peer: PeerId, era: int, payload: bytes) -> bytes:
        """Decided blocks; for a peer in an earlier era, those that both eras have."""
        current = self._era()
        eras = current.beacon_chain.eras
        if era > eras.current:
            raise RequestError(BAD_REQUEST, f"this node is in era {eras.current}, not in {era}")
        try:
            request = decode_request(payload)
        except DecodeError as error:
            raise RequestError(BAD_REQUEST, str(error)) from None
        host = current.hosts.by_chain.get(request.chain)
        if host is None:
            raise RequestError(BAD_REQUEST, f"chain {request.chain} is not served here")
        upto, later = None, eras.after(era)
        if later is not None:
            chain = request.chain
            upto = later.height if chain == wire.BEACON else later.tips[chain]
        return msgspec.msgpack.encode(await serve_blocks(host.app, request, upto=upto))

    async def serve_lane(self, peer: PeerId, payload: bytes) -> bytes:
        try:
            return await serve_lane(self._era().shard_chain, payload)
        except DecodeError as error:
            raise RequestError(BAD_REQUEST, str(error)) from None

    async def serve_height(self, peer: PeerId, payload: bytes) -> bytes:
        """The beacon block up to which this node has decided, or may have helped to decide."""
        return wire.encode_height(self._era().hosts.beacon.reached())

    async def serve_query(self, executes: bool, peer: PeerId, payload: bytes) -> bytes:
        """A question of the peer's user about our shard."""
        if len(payload) < wire.USER_BYTES:
            raise RequestError(BAD_REQUEST, "the question has no user")
        number = int.from_bytes(payload[: wire.USER_BYTES], "big")
        CALLER.set(Caller(number, via=peer))  # of this request's task alone
        question = payload[wire.USER_BYTES :]
        return await serve(self._era().local, question, self._aside, executes=executes)
