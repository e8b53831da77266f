"""evm_snapshot and evm_revert: a snapshot is a network block, a revert is a rewind that the beacon decides.

An id says all that has to be known of a snapshot, so no node keeps any: every node understands it, also after
a restart.

    id = height(8) | era(3) | taken(7) | first bytes of the hash of that beacon block(8)       as one number

`taken` is the clock of the node in microseconds. Of snapshots of one block those that were taken earlier
outlive a revert to a later one; through which nodes they were taken does not matter as long as their clocks
agree by less than the time between two requests.
"""

import secrets

import structlog
import trio

from node import wire
from node.beacon.rewind import SALT_BYTES, Rewind
from node.primitives.errors import InvalidBlock
from node.runtime.parts import CurrentEra, Fixed
from node.view.ports import CannotRevert

ID_BITS = 26 * 8
MAX_TAKEN = (1 << 56) - 1
REPEAT_SECONDS = 0.25  # until a rewind is decided, it is asked for again
ARRIVAL_SECONDS = 3.0  # how long a snapshot may be ahead of this node
MEETING_SECONDS = 5.0  # how long others may take to follow


class Snapshots:
    """Outlives the eras of a node."""

    def __init__(self, fixed: Fixed, era: CurrentEra) -> None:
        self._fixed = fixed
        self._era = era
        self._taken = 0
        self._begun = trio.Event()
        self._log = structlog.get_logger()

    def take(self) -> int:
        """The id of a snapshot of the network block that this node shows as its newest."""
        return self._name(self._era().head.height())

    def genesis(self) -> int:
        """The id of a snapshot of the network's first block, as if it had been taken now."""
        return self._name(0)

    def _name(self, height: int) -> int:
        beacon = self._era().beacon_chain
        self._taken = max(self._taken + 1, int(self._fixed.faults.time() * 1_000_000))
        block = beacon.block(height)
        assert block is not None, "the view shows blocks that are here"
        raw = (
            height.to_bytes(8, "big")
            + beacon.eras.current.to_bytes(3, "big")
            + self._taken.to_bytes(7, "big")
            + block.hash[:8]
        )
        return int.from_bytes(raw, "big")

    async def revert(self, snapshot: int) -> bool:
        """Take the network back; False if there is no such snapshot (any more).

        Returns when this node shows the block of the snapshot, and those that it is connected to have
        followed. Raises CannotRevert. To be bounded by the caller in time.
        """
        rewind = await self._find(snapshot)
        while rewind is not None:
            await self._ask_for(rewind)
            if self._era().beacon_chain.eras.newest == rewind:
                await self._fixed.network.met(MEETING_SECONDS)
                return True
            rewind = await self._find(snapshot)  # another request was decided first
        return False

    def begun(self) -> None:
        """An era has begun, and the services are up."""
        self._begun.set()
        self._begun = trio.Event()

    async def _find(self, snapshot: int) -> Rewind | None:
        if not 0 <= snapshot < 1 << ID_BITS:
            return None
        raw = snapshot.to_bytes(ID_BITS // 8, "big")
        height, era = int.from_bytes(raw[:8], "big"), int.from_bytes(raw[8:11], "big")
        taken, name = int.from_bytes(raw[11:18], "big"), raw[18:]
        if height > self._era().beacon_chain.head.height + 1024:
            return None
        with trio.move_on_after(ARRIVAL_SECONDS):
            while self._era().beacon_chain.head.height < height:
                await self._era().beacon.gate.wait_change()
        beacon = self._era().beacon_chain
        block = beacon.block(height)
        if block is None or block.hash[:8] != name or era > beacon.eras.current:
            return None
        if beacon.eras.undone(era, height, taken):
            return None
        return Rewind(
            era=beacon.eras.current + 1,
            height=height,
            block_hash=block.hash,
            taken=taken,
            salt=secrets.token_bytes(SALT_BYTES),
            tips=beacon.tips_at(height),
        )

    async def _ask_for(self, rewind: Rewind) -> None:
        """Return when another era has begun here."""
        fixed, begun = self._fixed, self._begun
        try:
            self._era().beacon.check_rewind(rewind)
        except InvalidBlock as error:
            raise CannotRevert(str(error)) from None
        self._log.info("asking for the network to go back", height=rewind.height)
        while not begun.is_set():
            if fixed.is_beacon:
                self._era().want_rewind(rewind)
            self._era().outbound.to_beacon(wire.ERAS.id, rewind.encoded)
            with trio.move_on_after(REPEAT_SECONDS):
                await begun.wait()
