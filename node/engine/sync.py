"""Catching up: decided blocks are pulled by range, each with its certificate."""

from collections.abc import Awaitable, Callable, Container

import msgspec
import structlog
import trio

from consensus.codec import decode_certificate, encode_certificate
from node.engine.application import FAULTS, Application, NotReady
from node.engine.host import ConsensusHost
from node.engine.peer_heights import Claims
from node.primitives.decoding import decoder
from node.primitives.errors import DecodeError
from node.wire import (
    MAX_PAGE_BYTES,
    MAX_PAGE_ITEMS,
    BlocksPage,
    BlocksRequest,
    DecidedBlock,
    DecidedMessage,
    decode_struct,
)
from p2p.errors import PeerFault as NetworkFault

STATUS_INTERVAL = 2.0
REQUEST_TIMEOUT = 10.0
SETTLE = 0.15  # seconds we give the running height before we pull it
RETRY = 0.25
PATIENCE = 10.0  # how long a page waits for what its blocks refer to


async def serve_blocks(
    app: Application, request: BlocksRequest, *, upto: int | None = None
) -> BlocksPage:
    """As many decided blocks from `start` on as fit in a page; at least one, if there is one. None above
    `upto`: a peer that asks from another era has no later blocks in common with ours.
    """
    blocks: list[DecidedBlock] = []
    size, height = 0, max(request.start, 1)
    last = app.head_height() if upto is None else min(upto, app.head_height())
    while height <= last and len(blocks) < MAX_PAGE_ITEMS and size < MAX_PAGE_BYTES:
        value, certificate = app.decided(height)
        blocks.append(DecidedBlock(value=value, certificate=encode_certificate(certificate)))
        size += len(value)
        height += 1
        await trio.lowlevel.checkpoint()
    return BlocksPage(head=last, blocks=blocks)


class Syncer:
    """Keeps one chain from staying behind what peers have decided.

    `ask` sends a request to one peer, `announce` tells peers our height, `connected` gives the peers
    that can be asked now.
    """

    def __init__(
        self,
        *,
        host: ConsensusHost,
        ask: Callable[[str, bytes, float], Awaitable[bytes]],
        announce: Callable[[int], None],
        connected: Callable[[], Container[str]],
    ) -> None:
        self._host = host
        self._ask = ask
        self._announce = announce
        self._connected = connected
        self._claims = Claims()
        self._wake = trio.Event()
        self._log = structlog.get_logger().bind(chain=self.tag)

    def heard(self, peer: str, height: int) -> None:
        """A peer says it has decided `height`."""
        self._claims.heard(peer, height)
        if height > self._host.app.head_height():
            self._wake.set()

    @property
    def tag(self) -> str:
        """The name of the chain."""
        return self._host.app.context.tag.decode()

    def head(self) -> int:
        return self._host.app.head_height()

    def highest(self) -> int:
        """The highest height that connected peers claim, as far as they can be believed; ours at least."""
        return max(self.head(), self._claims.highest(self._connected(), trio.current_time()))

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._announce_forever)
            nursery.start_soon(self._pull_forever)

    async def _announce_forever(self) -> None:
        while True:
            self._announce(self.head())
            await trio.sleep(STATUS_INTERVAL)

    async def _pull_forever(self) -> None:
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            await trio.sleep(SETTLE)
            while (peer := self._ahead()) is not None:
                await self._pull(peer)

    def _ahead(self) -> str | None:
        """The peer to ask: one that is connected, claims more than we have and has not lied lately."""
        return self._claims.next_above(self.head(), self._connected(), trio.current_time())

    async def _pull(self, peer: str) -> None:
        """One page from one peer."""
        start, claimed = self.head() + 1, self._claims.of(peer)
        request = msgspec.msgpack.encode(BlocksRequest(chain=self._host.app.chain, start=start))
        try:
            page = decode_struct(await self._ask(peer, request, REQUEST_TIMEOUT), BlocksPage)
            messages = decided_of(page, start)
            if page.head < claimed or (page.head >= start and not messages):
                raise DecodeError(f"it claimed {claimed} and has {page.head}")
            await self._apply(messages, page.head if is_full(page) else 0)
        except (NetworkFault, *FAULTS) as error:
            self._claims.fault(peer, trio.current_time())
            self._log.info("sync failed", peer=peer, start=start, reason=str(error))
            return
        if self.head() >= start:
            self._claims.kept(peer, page.head)
            self._log.info("synced", peer=peer, head=self.head(), of=page.head)
        elif messages:
            self._log.info("sync waits for the beacon", peer=peer, start=start)

    async def _apply(self, messages: list[DecidedMessage], head: int) -> None:
        """Apply a page; stop early, without blame, where it refers to what does not come in time. `head`: up to
        which there are blocks after it. While there are more we do not take part."""
        deadline = trio.current_time() + PATIENCE
        last = max(head, messages[-1].certificate.height if messages else 0)
        for message in messages:
            while True:
                try:
                    await self._host.apply_decided(message, more=message.certificate.height < last)
                    break
                except NotReady:
                    if trio.current_time() > deadline:
                        return
                    await trio.sleep(RETRY)


def is_full(page: BlocksPage) -> bool:
    """True if more could follow: otherwise a page has all that its sender has, whatever that claims."""
    size = sum(len(block.value) for block in page.blocks)
    return len(page.blocks) >= MAX_PAGE_ITEMS or size >= MAX_PAGE_BYTES


@decoder("a page")
def decided_of(page: BlocksPage, start: int) -> list[DecidedMessage]:
    """The blocks of a page, which must follow one another. Raises DecodeError."""
    if len(page.blocks) > MAX_PAGE_ITEMS:
        raise DecodeError(f"a page of {len(page.blocks)} blocks")
    out = []
    for offset, block in enumerate(page.blocks):
        certificate = decode_certificate(block.certificate)
        if certificate.height != start + offset:
            raise DecodeError(f"a page: block {certificate.height} where {start + offset} was due")
        out.append(DecidedMessage(certificate=certificate, value=block.value))
    return out


@decoder("a request for blocks")
def decode_request(payload: bytes) -> BlocksRequest:
    """Raises DecodeError."""
    return decode_struct(payload, BlocksRequest)
