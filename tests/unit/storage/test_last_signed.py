"""The last-signed record never goes back and never forgets, whatever happens to its file."""

import os
import random
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from node.primitives.errors import CorruptData
from node.storage.errors import StorageInUse, StorageUnavailable, WouldEquivocate
from node.storage.last_signed import (
    FILE_BYTES,
    HEADER_BYTES,
    SLOT_BYTES,
    SLOTS,
    LastSigned,
    SignedPosition,
)

A, B = b"a" * 32, b"b" * 32


def at(height: int, round: int, step: int, digest: bytes = A) -> SignedPosition:
    return SignedPosition(height=height, round=round, step=step, digest=digest)


def loaded(path: Path) -> SignedPosition | None:
    with closing(LastSigned(path)) as record:
        return record.load()


def test_a_new_record_is_empty_and_private(tmp_path: Path) -> None:
    path = tmp_path / "signed"
    with closing(LastSigned(path)) as record:
        assert record.load() is None
        assert not record.torn
    assert path.stat().st_mode & 0o777 == 0o600
    assert loaded(path) is None


def test_positions_go_forward_and_survive_reopening(tmp_path: Path) -> None:
    path = tmp_path / "signed"
    for place in [(1, 0, 0), (1, 0, 1), (1, 0, 2), (1, 1, 0), (2, 0, 0), (9, 4, 2)]:
        with closing(LastSigned(path)) as record:
            record.check_and_record(*place, A)
            assert record.load() == at(*place)
        assert loaded(path) == at(*place)


def test_the_identical_request_is_allowed_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(LastSigned(tmp_path / "signed")) as record:
        record.check_and_record(5, 1, 1, A)
        monkeypatch.setattr(os, "pwrite", lambda *_: pytest.fail("written for nothing"))
        record.check_and_record(5, 1, 1, A)


@pytest.mark.parametrize(
    ("height", "round", "step", "digest"),
    [(5, 1, 1, B), (5, 1, 0, A), (5, 0, 2, A), (4, 9, 2, B), (0, 0, 0, A)],
)
def test_contradictions_are_refused(
    tmp_path: Path, height: int, round: int, step: int, digest: bytes
) -> None:
    path = tmp_path / "signed"
    for reopen in (False, True):
        with closing(LastSigned(path)) as record:
            if not reopen:
                record.check_and_record(5, 1, 1, A)
            with pytest.raises(WouldEquivocate, match="height 5 round 1 step 1"):
                record.check_and_record(height, round, step, digest)
            assert record.load() == at(5, 1, 1)


@pytest.mark.parametrize("earlier", [1, SLOTS - 1, SLOTS, 2 * SLOTS + 3])
def test_a_torn_write_at_every_byte_leaves_the_old_or_the_new_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, earlier: int
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)  # a thousand openings
    path = tmp_path / "signed"
    with closing(LastSigned(path)) as record:
        for height in range(1, earlier + 1):
            record.check_and_record(height, 0, 1, A)
        old = path.read_bytes()
        record.check_and_record(earlier + 1, 0, 1, B)
    new = path.read_bytes()
    start = (earlier + 1) % SLOTS * SLOT_BYTES
    assert old[:start] == new[:start]
    outcomes = set()
    for cut in range(HEADER_BYTES + 1):
        for junk in (None, 0x00, 0xFF):  # the rest of the slot: as before, or anything
            middle = new[start : start + cut]
            after = start + SLOT_BYTES
            rest = old[start + cut : after] if junk is None else bytes([junk]) * (SLOT_BYTES - cut)
            path.write_bytes(new[:start] + middle + rest + new[after:])
            with closing(LastSigned(path)) as record:
                found = record.load()
                assert found in (at(earlier, 0, 1), at(earlier + 1, 0, 1, B))
                damaged = middle + rest not in (old[start:after], b"\0" * SLOT_BYTES)
                assert record.torn == (found == at(earlier, 0, 1) and damaged)
                outcomes.add(found)
                if found == at(earlier, 0, 1):
                    record.check_and_record(earlier + 1, 0, 1, A)  # into the torn slot, no other
                    now = path.read_bytes()
                    assert now[:start] + now[after:] == old[:start] + old[after:]
    assert len(outcomes) == 2


def test_truncation_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "signed"
    with closing(LastSigned(path)) as record:
        record.check_and_record(1, 0, 0, A)
        record.check_and_record(1, 0, 1, A)
    content = path.read_bytes()
    for length in sorted({*range(HEADER_BYTES + 2), *range(0, FILE_BYTES, 997), FILE_BYTES - 1}):
        path.write_bytes(content[:length])
        with pytest.raises(CorruptData, match="restore it from a copy"):
            LastSigned(path)
    path.write_bytes(content + b"\0")
    with pytest.raises(CorruptData):
        LastSigned(path)


def test_a_record_of_another_version_is_called_so(tmp_path: Path) -> None:
    """The first version had two sectors: nobody should take that for damage, and delete it."""
    path = tmp_path / "signed"
    path.write_bytes((b"ATOLSGN\x01" + bytes(504)) * 2)
    before = path.read_bytes()
    with pytest.raises(StorageUnavailable, match="was written by another version of atoll; run"):
        LastSigned(path)
    assert path.read_bytes() == before


def test_an_empty_file_of_the_right_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "signed"
    path.write_bytes(b"\0" * FILE_BYTES)
    with pytest.raises(CorruptData, match="none of its slots is sound"):
        LastSigned(path)


@pytest.mark.parametrize("signatures", [1, SLOTS - 1, SLOTS, 3 * SLOTS + 2])
def test_damage_that_no_crash_does_is_refused(tmp_path: Path, signatures: int) -> None:
    """Two slots before the last: the record must not go back to what is in the third."""
    path = tmp_path / "signed"
    with closing(LastSigned(path)) as record:
        for height in range(1, signatures + 1):
            record.check_and_record(height, 0, 0, A)
    content = bytearray(path.read_bytes())
    content[signatures % SLOTS * SLOT_BYTES] ^= 1
    path.write_bytes(content)
    with closing(LastSigned(path)) as record:  # as if torn
        assert record.torn
        last = record.load()
        assert (last.height if last else 0) == signatures - 1
    content[(signatures - 1) % SLOTS * SLOT_BYTES] ^= 1
    path.write_bytes(content)
    with pytest.raises(CorruptData, match="slots"):
        LastSigned(path)


def test_a_second_opener_is_refused(tmp_path: Path) -> None:
    with (
        closing(LastSigned(tmp_path / "signed")),
        pytest.raises(StorageInUse, match="in use by another process"),
    ):
        LastSigned(tmp_path / "signed")


def test_after_a_failed_write_nothing_more_is_signed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> int:
        raise OSError(5, "Input/output error")

    with closing(LastSigned(tmp_path / "signed")) as record:
        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", broken)
            with pytest.raises(StorageUnavailable, match="Input/output error"):
                record.check_and_record(1, 0, 0, A)
        assert record.load() is None
        with pytest.raises(StorageUnavailable, match="restart the node"):
            record.check_and_record(1, 0, 1, A)


def test_arguments_that_are_bugs(tmp_path: Path) -> None:
    record = LastSigned(tmp_path / "signed")
    with pytest.raises(ValueError, match="32 bytes"):
        record.check_and_record(1, 0, 0, b"short")
    record.close()
    with pytest.raises(RuntimeError):
        record.check_and_record(1, 0, 0, A)


SIGNER = """
import sys
from pathlib import Path
from node.storage.last_signed import LastSigned
record = LastSigned(Path(sys.argv[1]))
last = record.load()
print(last.height if last else 0, flush=True)
height = last.height if last else 0
while True:
    height += 1
    record.check_and_record(height, 0, 0, b"%032d" % height)
    print(height, flush=True)
"""


@pytest.mark.slow
def test_sigkill_forgets_nothing_that_was_recorded(tmp_path: Path) -> None:
    path, rng, reported = tmp_path / "signed", random.Random(3), 0
    for _ in range(6):
        with subprocess.Popen(
            [sys.executable, "-c", SIGNER, str(path)], stdout=subprocess.PIPE, text=True
        ) as signer:
            assert signer.stdout is not None
            assert int(signer.stdout.readline()) >= reported
            for _ in range(rng.randrange(1, 150)):
                reported = int(signer.stdout.readline())
            signer.send_signal(signal.SIGKILL)
