"""A pool that outlives its process."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from node.network.gossip import TransactionGossip
from node.runtime.parts import Era
from node.runtime.pool_keeper import PoolKeeper
from node.shard.pool_file import PoolFile
from node.storage.files import write_atomically
from tests.support.parts import partly
from tests.unit.chains.one_shard import Net, raw_transfer
from tests.unit.network.pool_wire import Wire

GENESIS = b"g" * 32


def pool_keeper(path: Path) -> tuple[PoolKeeper, TransactionGossip]:
    """A pool with nothing in it, and the port of its users."""
    wire = Wire(Net())
    era = partly(Era, gossip=wire.gossip, beacon_chain=wire.service._beacon)
    return PoolKeeper(PoolFile(path, GENESIS), lambda: era), wire.gossip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pool"


async def test_a_node_that_was_stopped_goes_on_with_its_pool(path: Path) -> None:
    before, users = pool_keeper(path)
    after, later_users = pool_keeper(path)
    await users.submit(raw_transfer(0, 1))
    before.keep()
    await after.bring_back()
    assert later_users.counts() == (0, 1)
    assert PoolFile(path, GENESIS).take(era=0) == ()


async def test_a_file_of_no_use_is_one_line_and_the_node_starts(path: Path) -> None:
    write_atomically(path, b"torn")
    pool, users = pool_keeper(path)
    with capture_logs() as logs:
        await pool.bring_back()
    (line,) = logs
    assert (line["log_level"], line["event"]) == ("warning", "no transactions are brought back")
    assert users.counts() == (0, 0)


async def test_a_disk_that_refuses_is_said_and_the_node_ends(path: Path) -> None:
    pool, users = pool_keeper(path.parent / "absent" / "pool")
    await users.submit(raw_transfer(0, 0))
    with capture_logs() as logs:
        pool.keep()
    (line,) = logs
    assert (line["event"], line["count"]) == ("transactions are lost", 1)
