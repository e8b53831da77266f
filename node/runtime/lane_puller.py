"""Bodies of messages are pulled from the source's nodes, as far as the beacon has finalised the lane."""

from collections.abc import Awaitable, Callable

import msgspec
import structlog
import trio

from node.beacon.chain import BeaconChain
from node.primitives.basics import ShardId
from node.primitives.errors import AtollError, DecodeError
from node.primitives.message import Message
from node.runtime.queries import ShardUnavailable
from node.runtime.shard_service import ShardService
from node.runtime.wire import LanePage, LaneRequest
from node.shard.chain import ShardChain
from p2p.errors import P2PError

MAX_MESSAGES = 512
MAX_BYTES = 2 << 20
TIMEOUT = 5.0
RETRY = 0.5


def serve_lane(chain: ShardChain, payload: bytes) -> bytes:
    """A page of what this shard sent. Raises DecodeError."""
    try:
        request = msgspec.msgpack.decode(payload, type=LaneRequest)
    except msgspec.MsgspecError as error:
        raise DecodeError(f"lane request: {error}") from None
    if not 0 <= request.dst < chain.rules.shards or request.start < 0 or request.count < 1:
        raise DecodeError("lane request: out of range")
    messages, size = [], 0
    count = min(request.count, MAX_MESSAGES)
    for raw in chain.sent_range(ShardId(request.dst), request.start, count):
        messages.append(raw)
        size += len(raw)
        if size > MAX_BYTES:
            break
    return msgspec.msgpack.encode(LanePage(messages=messages))


class LanePuller:
    """One task per inbound lane; woken by every beacon block."""

    def __init__(
        self,
        *,
        service: ShardService,
        beacon: BeaconChain,
        ask: Callable[[int, bytes, float], Awaitable[bytes]],
        on_arrivals: Callable[[], None],
    ) -> None:
        self._service = service
        self._beacon = beacon
        self._ask = ask
        self._on_arrivals = on_arrivals
        self._wake = {src: trio.Event() for src in service.lanes}
        self._log = structlog.get_logger().bind(chain=service.context.tag.decode())

    def wake(self) -> None:
        """The beacon has a new block: lanes whose checkpoints moved have something to pull."""
        me = self._service.ledger.shard
        for src, lane in self._service.lanes.items():
            if self._beacon.state.lane(src, me).last > lane.position.count:
                self._wake[src].set()

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            for src in self._service.lanes:
                nursery.start_soon(self._follow, src)
            self.wake()

    async def _follow(self, src: ShardId) -> None:
        while True:
            await self._wake[src].wait()
            self._wake[src] = trio.Event()
            while self._behind(src):
                if not await self._pull(src):
                    await trio.sleep(RETRY)

    def _behind(self, src: ShardId) -> bool:
        lane = self._beacon.state.lane(src, self._service.ledger.shard)
        return lane.last > self._service.lanes[src].position.count

    async def _pull(self, src: ShardId) -> bool:
        """Ask for what is missing up to the last checkpoint. False if nothing came of it."""
        me = self._service.ledger.shard
        inbound = self._service.lanes[src]
        start = inbound.position.count
        last = self._beacon.state.lane(src, me).last
        messages: list[Message] = []
        try:
            while (due := start + len(messages)) < last:
                request = LaneRequest(dst=me, start=due, count=last - due)
                page = msgspec.msgpack.decode(
                    await self._ask(src, msgspec.msgpack.encode(request), TIMEOUT), type=LanePage
                )
                if not page.messages:
                    break
                messages.extend(Message.decode(raw) for raw in page.messages)
            if inbound.position.count != start:
                return True  # the chain passed us meanwhile (synced): look again
            taken = inbound.extend(
                messages[: last - start], me, self._beacon.state.lane(src, me).checkpoints
            )
        except (P2PError, ShardUnavailable, msgspec.MsgspecError, AtollError) as error:
            self._log.info("lane not pulled", src=src, start=start, error=str(error))
            return False
        if taken:
            self._on_arrivals()
        return taken > 0
