"""Asking a node of another shard: whichever answers, with a deadline."""

import trio

from node.network.era_network import EraNetwork
from node.network.topology import Topology
from node.primitives.basics import ShardId
from node.query.port import BUSY, Refused, ShardUnavailable
from p2p.errors import PeerFault, RemoteRefused, RequestTimeout
from p2p.types import MethodSpec, PeerId, RefusalCode

FIRST_TRY = 2.0  # seconds after which another node of the shard is asked
BENCH_SECONDS = 3.0  # how long a node that did not answer is asked last
LIAR_SECONDS = 60.0  # and one whose answer was wrong
MEETING_SECONDS = 10.0  # after its first question a shard without connected nodes is waited for


class Router:
    """Picks nodes of a shard in turn; one that failed lately comes last."""

    def __init__(self, network: EraNetwork, topology: Topology) -> None:
        self._network = network
        self._topology = topology
        self._benched: dict[PeerId, float] = {}
        self._favourite: dict[int, PeerId] = {}
        self._met_by: dict[int, float] = {}  # until when a shard is waited for

    async def ask(
        self,
        shard: int,
        method: MethodSpec,
        payload: bytes,
        timeout: float,  # noqa: ASYNC109
        *,
        queues: bool = False,
    ) -> bytes:
        """An answer from some node of `shard`.

        With `queues` the question may have to wait its turn there: then a slow node is as good as before, and
        no other node is asked the same meanwhile. A node that has just been started answers users before it is
        connected to all shards: the first questions wait for a connection, within their timeout.

        Raises ShardUnavailable, with the reason, or Refused if its nodes have too much to do.
        """
        deadline = trio.current_time() + timeout
        reason, busy = "none of its nodes is connected", False
        patience = timeout if queues else max(FIRST_TRY, timeout / 2)
        for peer in await self._meet(shard, deadline):
            left = deadline - trio.current_time()
            if left <= 0:
                break
            try:
                answer = await self._network.request(
                    peer, method, payload, timeout=min(left, patience)
                )
            except PeerFault as error:
                if _is_busy(error) or (queues and isinstance(error, RequestTimeout)):
                    busy = True
                    continue
                reason = f"{self._topology.name_of(peer)}: {error}"
                self.bench(peer)
                continue
            self._favourite[shard] = peer
            return answer
        if busy:
            raise Refused(f"shard {shard}: its nodes have too much to do, try again later", BUSY)
        raise ShardUnavailable(f"shard {shard} does not answer ({reason})")

    async def _meet(self, shard: int, deadline: float) -> list[PeerId]:
        """The candidates, as soon as there is one; empty if the shard has been waited for long enough."""
        met_by = self._met_by.setdefault(shard, trio.current_time() + MEETING_SECONDS)
        while not (found := self.candidates(shard)):
            with trio.move_on_at(min(deadline, met_by)) as waiting:
                await self._network.changed()
            if waiting.cancelled_caught:
                break
        return found

    async def ask_peer(
        self,
        peer: PeerId,
        method: MethodSpec,
        payload: bytes,
        timeout: float,  # noqa: ASYNC109
    ) -> bytes:
        """An answer from this node. Raises p2p's PeerFault, and benches it."""
        try:
            return await self._network.request(peer, method, payload, timeout=timeout)
        except PeerFault:
            self.bench(peer)
            raise

    def bench(self, peer: PeerId, seconds: float = BENCH_SECONDS) -> None:
        """Ask this node last for a while."""
        self._benched[peer] = trio.current_time() + seconds
        for shard in [s for s, favourite in self._favourite.items() if favourite == peer]:
            del self._favourite[shard]

    def candidates(self, shard: int) -> list[PeerId]:
        """Connected nodes of the shard: the one that answered last first, benched ones last, and after them
        those that are not in our era yet.

        Staying with one node keeps a client's view monotonic while it polls.
        """
        now = trio.current_time()
        linked, connected = self._network.linked, self._network.connected
        peers = [p for p in self._topology.shard_peers(ShardId(shard)) if p in linked]
        favourite = self._favourite.get(shard)
        return sorted(
            peers,
            key=lambda p: (
                p not in connected,
                max(self._benched.get(p, 0.0), now),
                p != favourite,
            ),
        )


def _is_busy(error: PeerFault) -> bool:
    """True if a node has as much to do for us as it takes; it is well otherwise."""
    return isinstance(error, RemoteRefused) and error.code == RefusalCode.BUSY
