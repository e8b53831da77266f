"""Pending transactions of users, kept from one run of a node to the next."""

import structlog

from node.primitives.errors import DecodeError
from node.runtime.parts import CurrentEra
from node.shard.pool_file import PoolFile


class PoolKeeper:
    """Writes a pool to disk when a node is stopped, and reads it when the node starts again."""

    def __init__(self, file: PoolFile, era: CurrentEra) -> None:
        self._file = file
        self._era = era
        self._log = structlog.get_logger()

    async def bring_back(self) -> None:
        """Submit the transactions of the file to the pool, and delete the file."""
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
        """Write the transactions of our users to the file."""
        era = self._era()
        own = era.gossip.own()
        try:
            self._file.save(own, era=era.beacon_chain.eras.current)
        except OSError as error:
            self._log.error("transactions are lost", count=len(own), reason=str(error))
