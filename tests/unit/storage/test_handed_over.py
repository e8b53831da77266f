"""The log's tails beside the last-signed record: both durable by one write, in every state of the disk."""

import fcntl
import os
import random
from contextlib import closing
from pathlib import Path

import pytest

from node.primitives.errors import CorruptData
from node.storage.last_signed import MAX_TAIL_BYTES, SLOT_BYTES, SLOTS, LastSigned
from node.storage.wal import FILE_HEADER_BYTES, WriteAheadLog

DIGEST = b"d" * 32


class Disk:
    """Both files, and what of the log has been synced: the rest is lost when the power fails."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.log_path, self.record_path = folder / "wal", folder / "signed"
        self.synced = 0
        self.waits = 0
        fdatasync, pwrite = os.fdatasync, os.pwrite

        def noticed(descriptor: int) -> None:
            self.waits += 1
            fdatasync(descriptor)
            if os.path.samestat(os.fstat(descriptor), self.log_path.stat()):
                self.synced = self.log_path.stat().st_size

        def written(descriptor: int, data: bytes, offset: int) -> int:
            assert fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DSYNC
            self.waits += 1
            return pwrite(descriptor, data, offset)

        monkeypatch.setattr(os, "fdatasync", noticed)
        monkeypatch.setattr(os, "pwrite", written)
        self.open()

    def open(self) -> None:
        self.record = LastSigned(self.record_path)
        self.log = WriteAheadLog(self.log_path, tails=self.record.tails)
        self.synced = self.log_path.stat().st_size  # opening syncs

    def close(self) -> None:
        self.log.close()
        self.record.close()

    def power_fails(self, junk: bytes = b"") -> list[bytes]:
        """The log is as far as it was synced, with anything after it; what it holds when opened again."""
        self.close()
        self.log_path.write_bytes(self.log_path.read_bytes()[: self.synced] + junk)
        self.open()
        return list(self.log.replay())

    def signed(self) -> int:
        """The height on record, 0 if nothing is."""
        last = self.record.load()
        return last.height if last else 0

    def sign(self, height: int, *payloads: bytes) -> None:
        for payload in payloads:
            self.log.append(payload)
        self.record.check_and_record(height, 0, 0, DIGEST, log=self.log)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(tmp_path, monkeypatch)


def test_one_wait_makes_both_durable(disk: Disk) -> None:
    disk.waits = 0
    disk.sign(1, b"input", b"vote")
    assert disk.waits == 1
    assert disk.synced == FILE_HEADER_BYTES
    assert disk.power_fails() == [b"input", b"vote"]
    assert disk.signed() == 1


@pytest.mark.parametrize("junk", [b"", b"\0" * 500, b"\xff" * 500])
def test_what_was_handed_over_survives_any_number_of_signatures(disk: Disk, junk: bytes) -> None:
    expected: list[bytes] = []
    for height in range(1, 4 * SLOTS):
        payloads = [b"%d " % height + b"x" * (97 * height % 700) for _ in range(height % 3 + 1)]
        disk.sign(height, *payloads)
        expected += payloads
        disk.log.append(b"nobody was promised this")
        assert disk.power_fails(junk) == expected


def test_random_lives(disk: Disk) -> None:
    rng = random.Random(7)
    expected: list[bytes] = []
    pending: list[bytes] = []
    height = 0
    for _ in range(400):
        action = rng.random()
        if action < 0.4:
            payload = rng.randbytes(rng.choice((0, 10, 300, MAX_TAIL_BYTES // 2, SLOT_BYTES)))
            disk.log.append(payload)
            pending.append(payload)
        elif action < 0.8:
            height += 1
            disk.sign(height)
            expected, pending = expected + pending, []
        elif action < 0.85:
            disk.log.sync()
            expected, pending = expected + pending, []
        elif action < 0.88:
            disk.log.reset()
            expected, pending = [], []
        else:
            pending = []
            assert disk.power_fails(rng.randbytes(rng.randrange(40))) == expected
            assert disk.signed() == height


def test_what_does_not_fit_is_synced_first(disk: Disk) -> None:
    disk.waits = 0
    disk.sign(1, b"x" * MAX_TAIL_BYTES)  # with its record header it is too large
    assert disk.waits == 2
    assert disk.power_fails() == [b"x" * MAX_TAIL_BYTES]


def test_the_log_is_synced_before_its_only_copy_is_overwritten(disk: Disk) -> None:
    disk.waits = 0
    for height in range(1, 8 * SLOTS + 1):
        disk.sign(height, b"vote")
    assert disk.waits == 8 * SLOTS + 8
    assert disk.power_fails() == [b"vote"] * (8 * SLOTS)


def test_neither_is_there_without_the_other(disk: Disk) -> None:
    """The second signature's write is torn at every byte: the position and the tail come and go together."""
    disk.sign(1, b"first")
    synced, before = disk.synced, disk.record_path.read_bytes()
    disk.sign(2, b"second")
    after = disk.record_path.read_bytes()
    start = 2 * SLOT_BYTES
    used = len(after[start : start + SLOT_BYTES].rstrip(b"\0"))
    outcomes = set()
    for cut in range(used + 1):
        disk.record_path.write_bytes(after[: start + cut] + before[start + cut :])
        disk.synced = synced
        found = disk.power_fails()
        assert found == [b"first", b"second"][: disk.signed()]
        outcomes.add(disk.signed())
    assert outcomes == {1, 2}


def test_the_tails_of_a_log_that_was_deleted_are_not_put_into_another(disk: Disk) -> None:
    disk.sign(5, b"old")
    disk.close()
    disk.log_path.unlink()
    disk.open()
    assert list(disk.log.replay()) == []
    assert disk.signed() == 5
    disk.sign(6, b"new")
    assert disk.power_fails() == [b"new"]


def test_a_log_that_lost_what_was_synced_is_refused(disk: Disk) -> None:
    disk.sign(1, b"first")
    disk.log.sync()
    disk.sign(2, b"second")
    for height in range(3, 3 + SLOTS):
        disk.sign(height, b"later")
    disk.close()
    disk.log_path.write_bytes(disk.log_path.read_bytes()[:FILE_HEADER_BYTES])
    with pytest.raises(CorruptData, match="lost what was durable from byte 20 on"):
        disk.open()


def test_a_log_without_a_keeper_of_its_tails_hands_nothing_over(tmp_path: Path) -> None:
    with (
        closing(LastSigned(tmp_path / "signed")) as record,
        closing(WriteAheadLog(tmp_path / "wal")) as log,
    ):
        log.append(b"vote")
        with pytest.raises(RuntimeError, match="keeps no tails"):
            record.check_and_record(1, 0, 0, DIGEST, log=log)
