"""A pool outlives a clean stop: what is on disk, what comes back, and what does not."""

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from node.network import gossip
from node.primitives.errors import DecodeError
from node.primitives.transaction import decode_transaction
from node.shard.pool_file import MAGIC, KeptPool, PoolFile, decode_pool, encode_pool
from node.wire import encode_transactions
from tests.support.forgetful import ForgetfulDisk, mounted
from tests.unit.chains.one_shard import Net, raw_transfer
from tests.unit.network.pool_wire import Wire

GENESIS = b"g" * 32
KEPT = KeptPool(genesis=GENESIS, era=3, transactions=[b"one", b"two" * 100, b""])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data" / "pool"


def test_what_is_saved_comes_back_once(path: Path) -> None:
    file = PoolFile(path, GENESIS)
    assert file.take(era=3) == ()
    file.save(KEPT.transactions, era=3)
    assert path.stat().st_mode & 0o777 == 0o600
    assert PoolFile(path, GENESIS).take(era=3) == KEPT.transactions
    assert not path.exists()
    assert file.take(era=3) == ()


def test_an_empty_pool_leaves_no_file(path: Path) -> None:
    PoolFile(path, GENESIS).save([], era=0)
    assert not path.exists()


def test_damage_to_any_byte_is_found_and_the_file_is_gone(path: Path) -> None:
    content = encode_pool(KEPT)
    assert decode_pool(content) == KEPT
    for at in range(len(content)):
        damaged = bytearray(content)
        damaged[at] ^= 1
        with pytest.raises(DecodeError, match="pool file: "):
            decode_pool(bytes(damaged))
        with pytest.raises(DecodeError):
            decode_pool(content[:at])
    path.write_bytes(content[:-1])
    with pytest.raises(DecodeError, match="checksum is wrong"):
        PoolFile(path, GENESIS).take(era=3)
    assert not path.exists()


@pytest.mark.parametrize(
    ("content", "era", "reason"),
    [
        (encode_pool(replace(KEPT, genesis=b"h" * 32)), 3, "of another network"),
        (encode_pool(KEPT), 4, "it is of era 3, and the network is in 4"),
        (MAGIC[:-1] + b"\x02" + bytes(100), 3, "another version of atoll"),
        (b"", 3, "none of ours"),
    ],
)
def test_a_file_of_elsewhere_is_of_no_use(
    path: Path, content: bytes, era: int, reason: str
) -> None:
    path.write_bytes(content)
    with pytest.raises(DecodeError, match=reason):
        PoolFile(path, GENESIS).take(era=era)
    assert not path.exists()


def test_it_is_durable_when_it_was_saved(path: Path) -> None:
    for seed in range(10):
        path.unlink(missing_ok=True)
        disk = ForgetfulDisk(path.parent)
        with mounted(disk):
            PoolFile(path, GENESIS).save(KEPT.transactions, era=3)
        disk.power_fails(random.Random(seed))
        disk.close()
        assert decode_pool(path.read_bytes()) == KEPT


async def test_what_users_handed_in_comes_back_and_nothing_else(autojump_clock: Any) -> None:
    net = Net()
    one, other = Wire(net), Wire(net)
    mine = [raw_transfer(0, 0), raw_transfer(0, 3), raw_transfer(1, 0)]
    for raw in mine:
        await one.gossip.submit(raw)
    await one.gossip.received("peer", _frame(raw_transfer(2, 0)))
    assert one.gossip.own() == mine
    spent = decode_transaction(mine[2])
    one.service.pool.on_committed([(spent.sender, spent.nonce)], one.service.accounts())
    assert one.gossip.own() == mine[:2]

    garbage, dear = b"\x02junk", raw_transfer(1, 0, fee=10**30)
    assert await other.gossip.bring_back([*mine[:2], garbage, dear, mine[0]]) == 2
    assert other.gossip.counts() == (1, 1)
    assert other.gossip.own() == mine[:2]
    assert other.news == 2


async def test_whom_a_pool_knows_as_its_users_is_bounded(
    autojump_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gossip, "MAX_OWN", 4)
    wire = Wire(Net())
    for nonce in range(40):
        raw = raw_transfer(0, nonce)
        await wire.gossip.submit(raw)
        if nonce % 10:
            wire.service.pool.remove(decode_transaction(raw).hash)
        assert len(wire.gossip._own) <= 8
    assert wire.gossip.own() == [raw_transfer(0, nonce) for nonce in (0, 10, 20, 30)]


def _frame(*raws: bytes) -> bytes:
    return encode_transactions(0, list(raws))
