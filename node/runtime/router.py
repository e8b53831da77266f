"""Asking a node of another shard: whichever answers, with a deadline."""

from collections.abc import Callable

import structlog
import trio

from node.primitives.basics import ShardId
from node.runtime.queries import ShardUnavailable
from node.runtime.topology import Topology
from p2p.errors import P2PError
from p2p.network import Network
from p2p.types import MethodSpec, PeerId

FIRST_TRY = 2.0  # seconds after which another node of the shard is asked
BENCH_SECONDS = 3.0  # how long a node that did not answer is asked last


class Router:
    """Picks nodes of a shard in turn; one that failed lately comes last."""

    def __init__(self, network: Callable[[], Network], topology: Topology) -> None:
        self._network = network
        self._topology = topology
        self._benched: dict[PeerId, float] = {}
        self._favourite: dict[int, PeerId] = {}
        self._log = structlog.get_logger()

    async def ask(self, shard: int, method: MethodSpec, payload: bytes, timeout: float) -> bytes:  # noqa: ASYNC109
        """An answer from some node of `shard`. Raises ShardUnavailable, naming what went wrong."""
        deadline = trio.current_time() + timeout
        reason = "none of its nodes is connected"
        for peer in self._candidates(shard):
            left = deadline - trio.current_time()
            if left <= 0:
                break
            try:
                answer = await self._network().request(
                    peer, method, payload, timeout=min(left, max(FIRST_TRY, timeout / 2))
                )
            except P2PError as error:
                reason = f"{self._topology.name_of(peer)}: {error}"
                self._benched[peer] = trio.current_time() + BENCH_SECONDS
                self._favourite.pop(shard, None)
                continue
            self._favourite[shard] = peer
            return answer
        raise ShardUnavailable(f"shard {shard} does not answer ({reason})")

    def _candidates(self, shard: int) -> list[PeerId]:
        """Connected nodes of the shard: the one that answered last first, benched ones last.

        Staying with one node keeps a client's view monotonic while it polls.
        """
        now = trio.current_time()
        connected = self._network().connected
        peers = [p for p in self._topology.shard_peers(ShardId(shard)) if p in connected]
        favourite = self._favourite.get(shard)
        return sorted(peers, key=lambda p: (self._benched.get(p, 0.0) > now, p != favourite))
