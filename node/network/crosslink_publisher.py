"""Decided shard blocks are brought to the beacon committee."""

from collections.abc import Callable

import structlog
import trio

from consensus.errors import ConsensusError
from consensus.types import Certificate, Round
from node.chains.beacon_app import BeaconService
from node.chains.shard_app import ShardService
from node.primitives.crosslink import Crosslink
from node.primitives.errors import InvalidBlock, PeerFault
from node.shard.run import ExecutedBlock

FIRST_REPEAT = 1.0
LAST_REPEAT = 8.0
REPEAT_AT_ONCE = 16


class CrosslinkPublisher:
    """The proposer of a decided block sends it at once; everyone repeats what stays out too long.

    `send` gives an encoded crosslink to the beacon's validators, `on_new` tells our own beacon host.
    """

    def __init__(
        self,
        *,
        shard: ShardService,
        beacon: BeaconService,
        me: bytes | None,
        send: Callable[[bytes], None],
        on_new: Callable[[], None],
    ) -> None:
        self._shard = shard
        self._beacon = beacon
        self._me = me
        self._send = send
        self._on_new = on_new
        self._log = structlog.get_logger()

    def committed(self, executed: ExecutedBlock, certificate: Certificate) -> None:
        """Our shard has decided a block."""
        crosslink = Crosslink(
            shard=self._shard.ledger.shard,
            header=executed.header,
            requests=executed.requests,
            certificate=certificate,
        )
        if crosslink.height <= self._tip():
            self._offer(crosslink)  # synced: the beacon has long taken it in, or another one
            return
        deciders = self._shard.deciders(crosslink.height)
        proposer = deciders.proposer(certificate.height, Round(certificate.round))
        self._publish(crosslink, send=proposer.address == self._me)

    def received(self, peer: str, raw: bytes) -> None:
        """A crosslink from the network."""
        try:
            if self._beacon.offer(Crosslink.decode(raw)):
                self._on_new()
        except (PeerFault, InvalidBlock, ConsensusError) as error:
            self._log.info("crosslink refused", peer=peer, reason=str(error))

    async def run(self) -> None:
        """Repeat what the beacon does not take: after a second, and less and less often."""
        wait, last_tip = FIRST_REPEAT, -1
        while True:
            await trio.sleep(wait)
            tip = self._tip()
            if tip != last_tip or tip >= self._shard.head_height() or self._is_frozen():
                wait, last_tip = FIRST_REPEAT, tip
                continue
            wait = min(2 * wait, LAST_REPEAT)
            for height in self.missing():
                self.repeat(height)
                await trio.lowlevel.checkpoint()

    def missing(self) -> range:
        """The heights that the beacon has not taken in, as far as we know: as many as are sent at once."""
        tip = self._tip()
        return range(tip + 1, min(self._shard.head_height(), tip + REPEAT_AT_ONCE) + 1)

    def repeat(self, height: int) -> None:
        """Send the crosslink of a decided block again."""
        self._publish(self._crosslink(height), send=True)

    def _tip(self) -> int:
        """Up to which height the beacon has taken in our shard."""
        return self._beacon.ledger.state.tip(self._shard.ledger.shard).height

    def _is_frozen(self) -> bool:
        return self._beacon.is_frozen(self._shard.ledger.shard)

    def _crosslink(self, height: int) -> Crosslink:
        ledger = self._shard.ledger
        return Crosslink(
            shard=ledger.shard,
            header=ledger.header(height),
            requests=ledger.requests(height),
            certificate=ledger.certificate(height),
        )

    def _publish(self, crosslink: Crosslink, *, send: bool) -> None:
        self._offer(crosslink)
        if send:
            self._send(crosslink.encoded)

    def _offer(self, crosslink: Crosslink) -> None:
        try:
            if self._beacon.offer(crosslink):
                self._on_new()
        except InvalidBlock as error:  # our beacon chain may be behind: others can still take it
            self._log.warning("own crosslink refused", height=crosslink.height, reason=str(error))
