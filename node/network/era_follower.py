"""Goes on to a later era that peers are in, once it is proven that the network was taken back."""

from collections.abc import Callable

import msgspec
import structlog
import trio

from node import wire
from node.beacon.chain import BeaconChain
from node.beacon.era_proof import check_era
from node.beacon.eras import EraRecord
from node.engine.application import FAULTS
from node.engine.host import ConsensusHost
from node.engine.sync import REQUEST_TIMEOUT, decided_of, is_full
from node.network.era_network import EraNetwork
from node.primitives.errors import DecodeError, InvalidBlock
from p2p.errors import PeerFault as NetworkFault
from p2p.types import PeerId

RETRY = 0.25


class EraFollower:
    """Lets a node that was away, or has not seen the decision, learn how the era of a peer began.

    To check the committee that decided it, this node needs the beacon blocks up to the height to which the
    network goes back. All later eras have them in common, and they are pulled first. `begin` is given the
    proven eras; it ends this era.
    """

    def __init__(
        self,
        *,
        network: EraNetwork,
        beacon: BeaconChain,
        host: ConsensusHost,
        begin: Callable[[EraRecord], None],
    ) -> None:
        self._network = network
        self._beacon = beacon
        self._host = host
        self._begin = begin
        self._failed: dict[PeerId, float] = {}
        self._log = structlog.get_logger()

    async def run(self) -> None:
        while True:
            peers = self._network.ahead()
            if not peers:
                await self._network.changed()
                continue
            peer = min(
                peers, key=lambda p: self._failed.get(p, 0.0)
            )  # one that lies is no hindrance
            try:
                record = await self._learn(peer)
            except (NetworkFault, *FAULTS) as error:
                self._failed[peer] = trio.current_time()
                self._log.info("era not learnt", peer=peer, reason=str(error))
                await trio.sleep(RETRY)
                continue
            self._begin(record)
            await trio.sleep_forever()

    async def _learn(self, peer: PeerId) -> EraRecord:
        raw = await self._network.request_any(peer, wire.ERA, b"", timeout=REQUEST_TIMEOUT)
        record = EraRecord.decode(raw)
        while self._beacon.head.height < record.rewind.height:
            await self._pull(peer, record.rewind.height)
        check_era(self._beacon, record)
        return record

    async def _pull(self, peer: PeerId, upto: int) -> None:
        """A page of beacon blocks, of which the peer has all up to `upto`: one that could hold more ends there.
        Raises what the peer is to blame for."""
        start = self._beacon.head.height + 1
        request = msgspec.msgpack.encode(wire.BlocksRequest(chain=wire.BEACON, start=start))
        raw = await self._network.request_any(peer, wire.BLOCKS, request, timeout=REQUEST_TIMEOUT)
        page = wire.decode_struct(raw, wire.BlocksPage)
        messages = decided_of(page, start)
        last = start + len(messages) - 1
        if not messages or (last < upto and not is_full(page)):
            raise DecodeError(f"it lacks beacon block {last + 1}, and goes back to {upto}")
        for message in messages:
            more = message.certificate.height < max(last, upto)
            await self._host.apply_decided(message, more=more)
        if self._beacon.head.height < start:
            raise InvalidBlock(f"beacon block {start} could not be applied")
