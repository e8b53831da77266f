"""Evidence of misbehaviour on its way to the beacon's validators."""

from collections.abc import Callable

import structlog
import trio

from consensus.errors import ConsensusError
from consensus.evidence import make_evidence
from consensus.types import Proposal, Vote
from node.beacon.evidence import MAX_EVIDENCE_ITEMS, DoubleSigning, EvidenceItem, decode_item
from node.chains.beacon_app import BeaconService
from node.primitives.errors import DecodeError, InvalidBlock

REPEAT_SECONDS = 10.0


class EvidenceExchange:
    """Tells the beacon committee of evidence that its chain does not hold yet, again and again until it does.

    New evidence goes on to all of the committee: not every member is connected to the node that found it.
    `broadcast` gives a frame to the beacon's validators, `send` to one peer and says whether it was taken,
    `on_new` tells our own beacon host.
    """

    def __init__(
        self,
        *,
        beacon: BeaconService,
        broadcast: Callable[[bytes], None],
        send: Callable[[str, bytes], bool],
        on_new: Callable[[], None],
    ) -> None:
        self._beacon = beacon
        self._broadcast = broadcast
        self._send = send
        self._on_new = on_new
        self._log = structlog.get_logger()

    def equivocation(self, chain: int, first: Vote | Proposal, second: Vote | Proposal) -> None:
        """Our engine of `chain` has seen a key contradict itself; both messages were checked."""
        item = DoubleSigning(chain=chain, evidence=make_evidence(first, second))
        try:
            self._beacon.accuse(item)
        except InvalidBlock as error:  # such as: it was punished already
            self._log.info("an equivocation is of no consequence", reason=str(error))

    def found(self, item: EvidenceItem) -> None:
        """Note that evidence was added to the pending evidence."""
        self._broadcast(item.encoded)
        self._on_new()

    def received(self, peer: str, raw: bytes) -> None:
        """Evidence from the network."""
        try:
            self._beacon.accuse(decode_item(raw))
        except (DecodeError, ConsensusError) as error:
            self._log.info("bad evidence", peer=peer, reason=str(error))
        except InvalidBlock as error:  # the peer may be behind us, or ahead
            self._log.debug("evidence refused", peer=peer, reason=str(error))

    def peer_up(self, peer: str) -> None:
        """A validator of the beacon has connected; it may have missed what we hold."""
        for frame in self.frames():
            if not self._send(peer, frame):
                return

    async def run(self) -> None:
        """Repeat evidence that no block holds yet: frames get lost, and some members did not believe it at
        first.
        """
        while True:
            await trio.sleep(REPEAT_SECONDS)
            for frame in self.frames():
                self._broadcast(frame)

    def frames(self) -> list[bytes]:
        """As many as a block can hold; the others are due when these are in one."""
        return [item.encoded for item in self._beacon.evidence.all()[:MAX_EVIDENCE_ITEMS]]
