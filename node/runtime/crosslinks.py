"""Decided shard blocks are brought to the beacon committee."""

from collections.abc import Callable

import structlog
import trio

from consensus.errors import ConsensusError
from consensus.types import Certificate, Round
from node.primitives.crosslink import Crosslink
from node.primitives.errors import AtollError
from node.runtime.beacon_service import BeaconService
from node.runtime.shard_service import ShardService
from node.shard.run import ExecutedBlock

REPEAT_SECONDS = 1.0
REPEAT_AT_ONCE = 16


class CrosslinkPublisher:
    """The proposer of a decided block sends it at once; everyone repeats what stays out too long."""

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
        if self._beacon.offer(crosslink):
            self._on_new()
        proposer = self._shard.validators().proposer(certificate.height, Round(certificate.round))
        if proposer.address == self._me:
            self._send(crosslink.encoded)

    def received(self, peer: str, raw: bytes) -> None:
        """A crosslink from the network."""
        try:
            if self._beacon.offer(Crosslink.decode(raw)):
                self._on_new()
        except (AtollError, ConsensusError) as error:
            self._log.info("crosslink refused", peer=peer, error=str(error))

    async def run(self) -> None:
        """Repeat what the beacon has not taken for a second."""
        ledger, shard = self._shard.ledger, self._shard.ledger.shard
        last_tip = -1
        while True:
            await trio.sleep(REPEAT_SECONDS)
            tip = self._beacon.ledger.state.tip(shard).height
            if tip == last_tip and tip < ledger.head.number:
                stop = min(ledger.head.number, tip + REPEAT_AT_ONCE)
                for height in range(tip + 1, stop + 1):
                    block = ledger.block(height)
                    assert block is not None
                    crosslink = Crosslink(
                        shard=shard,
                        header=block.header,
                        requests=ledger.requests(height),
                        certificate=ledger.certificate(height),
                    )
                    if self._beacon.offer(crosslink):
                        self._on_new()
                    self._send(crosslink.encoded)
            last_tip = tip
