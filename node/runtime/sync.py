"""Catching up: decided blocks are pulled by range, each with its certificate."""

from collections.abc import Awaitable, Callable

import msgspec
import structlog
import trio

from consensus.codec import decode_certificate, encode_certificate
from consensus.errors import ConsensusError
from node.primitives.errors import AtollError, DecodeError
from node.runtime.application import Application
from node.runtime.host import ConsensusHost
from node.runtime.wire import (
    MAX_PAGE_BYTES,
    MAX_PAGE_ITEMS,
    BlocksPage,
    BlocksRequest,
    DecidedBlock,
    DecidedMessage,
)
from p2p.errors import P2PError

STATUS_INTERVAL = 2.0
REQUEST_TIMEOUT = 10.0
SETTLE = 0.15  # seconds we give the running height before we pull it
RETRY = 0.5


def serve_blocks(app: Application, request: BlocksRequest) -> BlocksPage:
    """As many decided blocks from `start` on as fit in a page; at least one, if there is one."""
    head = app.head_height()
    blocks: list[DecidedBlock] = []
    size, height = 0, max(request.start, 1)
    while height <= head and len(blocks) < MAX_PAGE_ITEMS and size < MAX_PAGE_BYTES:
        value, certificate = app.decided(height)
        blocks.append(DecidedBlock(value=value, certificate=encode_certificate(certificate)))
        size += len(value)
        height += 1
    return BlocksPage(head=head, blocks=blocks)


class Syncer:
    """Keeps one chain from staying behind what peers say they have decided."""

    def __init__(
        self,
        *,
        host: ConsensusHost,
        ask: Callable[[str, bytes, float], Awaitable[bytes]],
        announce: Callable[[int], None],
        connected: Callable[[str], bool],
    ) -> None:
        self._host = host
        self._ask = ask
        self._announce = announce
        self._connected = connected
        self._heights: dict[str, int] = {}
        self._wake = trio.Event()
        self._log = structlog.get_logger().bind(chain=host.app.context.tag.decode())

    def heard(self, peer: str, height: int) -> None:
        """A peer says it has decided `height`."""
        if height > self._heights.get(peer, -1):
            self._heights[peer] = height
        if height > self._host.app.head_height():
            self._wake.set()

    def head(self) -> int:
        return self._host.app.head_height()

    def highest(self) -> int:
        """The highest height that connected peers claim; ours, if it is higher."""
        claims = [h for peer, h in self._heights.items() if self._connected(peer)]
        return max([self._host.app.head_height(), *claims])

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._announce_forever)
            nursery.start_soon(self._pull_forever)

    async def _announce_forever(self) -> None:
        while True:
            self._announce(self._host.app.head_height())
            await trio.sleep(STATUS_INTERVAL)

    async def _pull_forever(self) -> None:
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            await trio.sleep(SETTLE)
            while (peer := self._ahead()) is not None:
                if not await self._pull(peer):
                    await trio.sleep(RETRY)

    def _ahead(self) -> str | None:
        """Whom to ask: the connected peer that claims most, if that is more than we have."""
        head = self._host.app.head_height()
        claims = [(h, p) for p, h in self._heights.items() if h > head and self._connected(p)]
        return max(claims)[1] if claims else None

    async def _pull(self, peer: str) -> bool:
        """One page from one peer. False if it did not get us on."""
        start = self._host.app.head_height() + 1
        request = msgspec.msgpack.encode(BlocksRequest(chain=self._host.app.chain, start=start))
        try:
            page = msgspec.msgpack.decode(
                await self._ask(peer, request, REQUEST_TIMEOUT), type=BlocksPage
            )
            for block in page.blocks:
                await self._host.apply_decided(
                    DecidedMessage(
                        certificate=decode_certificate(block.certificate), value=block.value
                    )
                )
        except (P2PError, msgspec.MsgspecError, AtollError, ConsensusError) as error:
            self._log.info("sync failed", peer=peer, start=start, error=str(error))
            self._heights.pop(peer, None)
            return False
        self._heights[peer] = page.head
        if self._host.app.head_height() >= start:
            self._log.info("synced", peer=peer, head=self._host.app.head_height())
            return True
        return False


def decode_request(payload: bytes) -> BlocksRequest:
    try:
        return msgspec.msgpack.decode(payload, type=BlocksRequest)
    except msgspec.MsgspecError as error:
        raise DecodeError(f"blocks request: {error}") from None
