"""Bodies of messages are pulled from the source's nodes, as far as the beacon has finalised the lane."""

from collections.abc import Callable, Container
from typing import Protocol

import msgspec
import structlog
import trio

from node.beacon.chain import BeaconChain
from node.chains.shard_app import ShardService
from node.network.router import LIAR_SECONDS
from node.primitives.basics import ShardId
from node.primitives.errors import DecodeError
from node.primitives.message import Message
from node.shard.chain import ShardChain
from node.shard.judge import BUILD_BYTES
from node.shard.lanes import MAX_TAIL_HASHES
from node.wire import LANE, LanePage, LaneRequest, decode_struct
from p2p.errors import PeerFault as NetworkFault
from p2p.types import MethodSpec, PeerId

MAX_MESSAGES = 512
MAX_BYTES = 2 << 20
MAX_SEQ = 1 << 62
TIMEOUT = 5.0
FIRST_RETRY = 0.25
LAST_RETRY = 4.0
LOOKAHEAD_BLOCKS = 4  # of arrivals that are held in memory, besides the way to a checkpoint
LOOKAHEAD_BYTES = LOOKAHEAD_BLOCKS * BUILD_BYTES
MAX_WAY_BYTES = 512 << 20
"""To the next checkpoint: a full window of the largest transactions. Only a committee that lies puts more
there, and it would fill the memory of every node that pulls."""


async def serve_lane(chain: ShardChain, payload: bytes) -> bytes:
    """A page of what this shard sent. Raises DecodeError."""
    request = decode_struct(payload, LaneRequest)
    if (
        not 0 <= request.dst < chain.rules.shards
        or not 0 <= request.start < MAX_SEQ
        or request.count < 1
    ):
        raise DecodeError("lane request: out of range")
    messages, size = [], 0
    count = min(request.count, MAX_MESSAGES)
    for raw in chain.sent_range(ShardId(request.dst), request.start, count):
        messages.append(raw)
        size += len(raw)
        if size > MAX_BYTES:
            break
        if not len(messages) % 64:
            await trio.lowlevel.checkpoint()
    return msgspec.msgpack.encode(LanePage(messages=messages))


class LaneRouter(Protocol):
    """The methods of a Router that the puller needs."""

    def candidates(self, shard: int) -> list[PeerId]: ...

    async def ask_peer(
        self,
        peer: PeerId,
        method: MethodSpec,
        payload: bytes,
        timeout: float,  # noqa: ASYNC109
    ) -> bytes: ...

    def bench(self, peer: PeerId, seconds: float) -> None: ...


class LanePuller:
    """One task per inbound lane; woken by every block of the beacon and of our shard."""

    def __init__(
        self,
        *,
        service: ShardService,
        beacon: BeaconChain,
        router: LaneRouter,
        on_arrivals: Callable[[], None],
        held: Callable[[], Container[int]] = tuple,
    ) -> None:
        """`held`: the shards from which nothing is fetched, on purpose."""
        self._service = service
        self._beacon = beacon
        self._router = router
        self._on_arrivals = on_arrivals
        self._held = held
        self._wake = {src: trio.Event() for src in service.lanes}
        rules = service.ledger.rules
        arrivals = max(1, rules.params.max_arrivals)
        self._lookahead = LOOKAHEAD_BLOCKS * arrivals
        self._reach = MAX_TAIL_HASHES + arrivals  # no block can prove what lies beyond
        self._log = structlog.get_logger().bind(chain=service.context.tag.decode())

    def wake(self) -> None:
        """Checkpoints have moved, or arrivals were consumed: lanes may have something to pull."""
        for src, event in self._wake.items():
            if not event.is_set() and self.goal(src) is not None:
                event.set()

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            for src in self._service.lanes:
                nursery.start_soon(self._follow, src)
            self.wake()

    async def _follow(self, src: ShardId) -> None:
        while True:
            await self._wake[src].wait()
            self._wake[src] = trio.Event()
            retry = FIRST_RETRY
            while (goal := self.goal(src)) is not None:
                if await self._pull(src, goal):
                    retry = FIRST_RETRY
                    continue
                await trio.sleep(retry)
                retry = min(2 * retry, LAST_RETRY)

    def goal(self, src: ShardId) -> int | None:
        """Up to which message to pull now: a checkpoint. None if there is nothing to do.

        Nothing is pulled while our own shard is behind: the blocks that it lacks bring their arrivals. A
        checkpoint out of reach is a lie: nothing before it can be delivered.
        """
        ledger, state = self._service.ledger, self._beacon.state
        if src in self._held() or ledger.head.number < state.tip(ledger.shard).height:
            return None
        inbound = self._service.lanes[src]
        start = inbound.position.count
        if len(inbound.verified) >= self._lookahead:
            return None
        if sum(len(m.encoded) for m in inbound.verified.values()) >= LOOKAHEAD_BYTES:
            return None
        checkpoints = state.lane(src, ledger.shard).checkpoints
        ends = [c.count for c in checkpoints if start < c.count <= start + self._reach]
        if not ends:
            return None
        return next((end for end in ends if end >= start + self._lookahead), ends[-1])

    def _is_provable(self, src: ShardId, start: int, end: int) -> bool:
        """True if a checkpoint is among the messages from `start` up to `end`."""
        checkpoints = self._beacon.state.lane(src, self._service.ledger.shard).checkpoints
        return any(start < c.count <= end for c in checkpoints)

    async def _pull(self, src: ShardId, goal: int) -> bool:
        """Ask for the missing messages up to `goal`, one node after the other. False if nothing came."""
        reason = "none of its nodes is connected"
        for peer in self._router.candidates(src):
            try:
                taken = await self._pull_from(peer, src, goal)
            except NetworkFault as error:
                reason = str(error)
                continue
            except DecodeError as error:
                self._router.bench(peer, LIAR_SECONDS)
                self._log.warning("a node lies about a lane", src=src, peer=peer, reason=str(error))
                reason = str(error)
                continue
            if taken:
                return True
            reason = "it does not have the messages yet"
        self._log.info("lane not pulled", src=src, goal=goal, reason=reason)
        return False

    async def _pull_from(self, peer: PeerId, src: ShardId, goal: int) -> bool:
        """True if the lane has moved, by this or otherwise. Raises DecodeError for a lie."""
        me = self._service.ledger.shard
        inbound = self._service.lanes[src]
        start = inbound.position.count
        messages: list[Message] = []
        size = 0
        while (due := start + len(messages)) < goal:
            request = LaneRequest(dst=me, start=due, count=min(goal - due, MAX_MESSAGES))
            answer = await self._router.ask_peer(
                peer, LANE, msgspec.msgpack.encode(request), TIMEOUT
            )
            page = decode_struct(answer, LanePage).messages
            if len(page) > request.count:
                raise DecodeError(f"{len(page)} messages came, {request.count} were asked for")
            if not page:
                break  # it may be behind; what came may lead to an earlier checkpoint
            for raw in page:
                messages.append(Message.decode(raw))
            size += sum(map(len, page))
            if size >= LOOKAHEAD_BYTES and self._is_provable(src, start, start + len(messages)):
                break
            if size > MAX_WAY_BYTES:
                raise DecodeError(f"lane {src}->{me}: {size} bytes and no checkpoint")
            await trio.lowlevel.checkpoint()
        if inbound.position.count != start:
            return True  # the chain passed us meanwhile (synced): look again
        taken = inbound.extend(messages, me, self._beacon.state.lane(src, me).checkpoints)
        if taken:
            self._on_arrivals()
        return taken > 0
