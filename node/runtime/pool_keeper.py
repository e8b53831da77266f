"""What users have handed in and no block has, from one run of a node to the next."""

import structlog

from node.primitives.errors import DecodeError
from node.runtime.parts import CurrentEra
from node.shard.pool_file import PoolFile


class PoolKeeper:
    """A pool that outlives its process, where that ends as it was asked to."""

    def __init__(self, file: PoolFile, era: CurrentEra) -> None:
        self._file = file
        self._era = era
        self._log = structlog.get_logger()

    async def bring_back(self) -> None:
        """Hand in what was kept."""
        era = self._era()
        try:
            kept = self._file.take(era=era.beacon_chain.eras.current)
        except (OSError, DecodeError) as error:
            self._log.warning("no transactions are brought back", reason=str(error))
            return
        if kept:
            count = await era.gossip.bring_back(kept)
            self._log.info(
                "transactions brought back", count=count, no_longer_valid=len(kept) - count
            )

    def keep(self) -> None:
        """Write what there is to disk, for the next run."""
        era = self._era()
        own = era.gossip.own()
        try:
            self._file.save(own, era=era.beacon_chain.eras.current)
        except OSError as error:
            self._log.error("transactions are lost", count=len(own), reason=str(error))
