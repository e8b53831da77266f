"""The write-ahead log: what is synced comes back, whatever a crash did to the rest."""

import os
import random
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from node.primitives.errors import CorruptData
from node.storage.errors import StorageInUse, StorageUnavailable
from node.storage.wal import FILE_HEADER_BYTES, RECORD_HEADER, WriteAheadLog

PAYLOADS = [b"first", b"", b"x" * 300, b"last"]


def written(path: Path, *groups: list[bytes]) -> bytes:
    """The bytes of a log to which each group was appended and synced."""
    with closing(WriteAheadLog(path)) as log:
        for group in groups:
            for payload in group:
                log.append(payload)
            log.sync()
    return path.read_bytes()


def replayed(path: Path) -> tuple[list[bytes], int]:
    with closing(WriteAheadLog(path)) as log:
        return list(log.replay()), log.torn_bytes


def test_records_come_back_in_order(tmp_path: Path) -> None:
    path = tmp_path / "wal"
    assert written(path) == path.read_bytes()
    assert replayed(path) == ([], 0)
    written(path, PAYLOADS[:2], PAYLOADS[2:])
    assert replayed(path) == (PAYLOADS, 0)
    with closing(WriteAheadLog(path)) as log:
        log.append(b"more")
        log.sync()
    assert replayed(path) == ([*PAYLOADS, b"more"], 0)


def test_what_was_not_synced_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "wal"
    with closing(WriteAheadLog(path)) as log:
        log.append(b"a")
        assert log.size == path.stat().st_size == FILE_HEADER_BYTES
        log.sync()
        assert log.size == path.stat().st_size > FILE_HEADER_BYTES
        log.append(b"b")
    assert replayed(path) == ([b"a"], 0)


def test_sync_does_nothing_when_nothing_is_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(WriteAheadLog(tmp_path / "wal")) as log:
        log.append(b"a")
        log.sync()
        monkeypatch.setattr(os, "fdatasync", lambda _: pytest.fail("synced for nothing"))
        log.sync()


def test_replay_can_be_asked_for_once(tmp_path: Path) -> None:
    with closing(WriteAheadLog(tmp_path / "wal")) as log:
        list(log.replay())
        with pytest.raises(RuntimeError):
            log.replay()


def test_reset_starts_an_empty_log(tmp_path: Path) -> None:
    path = tmp_path / "wal"
    old = written(path, PAYLOADS)
    with closing(WriteAheadLog(path)) as log:
        log.append(b"dropped")
        log.reset()
        assert log.size == path.stat().st_size == FILE_HEADER_BYTES
        log.append(b"new")
        log.sync()
    assert replayed(path) == ([b"new"], 0)
    assert path.read_bytes()[:FILE_HEADER_BYTES] != old[:FILE_HEADER_BYTES]


def test_a_rewritten_log_has_other_records_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "wal"
    written(path, PAYLOADS)
    with closing(WriteAheadLog(path)) as log:
        log.append(b"dropped")
        log.rewrite(PAYLOADS[1:3])
        assert log.size == path.stat().st_size
        with pytest.raises(ValueError, match="over"):
            log.rewrite([b"fine", b"x" * (17 << 20)])
        log.append(b"new")
        log.sync()
    assert replayed(path) == ([*PAYLOADS[1:3], b"new"], 0)


def test_all_of_a_rewritten_log_was_durable(tmp_path: Path) -> None:
    """Damage to it is no torn tail, as it has its name only when it is whole; later records show it."""
    path = tmp_path / "wal"
    with closing(WriteAheadLog(path)) as log:
        log.rewrite([b"one", b"two"])
        end = log.size
        log.append(b"three")
        log.sync()
    content = path.read_bytes()
    for length in range(end, len(content)):
        path.write_bytes(content[:length])
        assert replayed(path) == ([b"one", b"two"], length - end)
    for at in range(end):
        damaged = bytearray(content)
        damaged[at] ^= 0x40
        path.write_bytes(damaged)
        with pytest.raises(CorruptData):
            WriteAheadLog(path)


def test_a_crash_in_a_rewrite_leaves_the_old_log_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Crash(BaseException):
        pass

    path = tmp_path / "wal"
    calls = ("write", "fsync", "replace", "open")
    for name in calls:
        for done_first in (False, True):
            real = getattr(os, name)

            def crash(*args: object, real: object = real, done_first: bool = done_first) -> None:
                if done_first:
                    real(*args)  # type: ignore[operator]
                raise Crash

            path.unlink(missing_ok=True)
            written(path, [b"old"], [b"older"])
            with closing(WriteAheadLog(path)) as log, monkeypatch.context() as patch:
                patch.setattr(os, name, crash)
                with pytest.raises(Crash):
                    log.rewrite([b"new"])
            assert replayed(path) in (([b"old", b"older"], 0), ([b"new"], 0))


def test_records_of_an_earlier_log_in_the_same_blocks_are_not_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "wal"
    old = written(path, [b"same size"], [b"old"])
    with closing(WriteAheadLog(path)) as log:
        log.reset()
        log.append(b"same size")
        log.sync()
    new = path.read_bytes()
    path.write_bytes(new + old[len(new) :])
    assert replayed(path) == ([b"same size"], len(old) - len(new))


def test_truncation_at_every_byte_keeps_the_records_before_it(tmp_path: Path) -> None:
    path = tmp_path / "wal"
    content = written(path, *[[payload] for payload in PAYLOADS])
    ends = [FILE_HEADER_BYTES]
    for payload in PAYLOADS:
        ends.append(ends[-1] + RECORD_HEADER.size + len(payload))
    assert ends[-1] == len(content)
    for length in range(FILE_HEADER_BYTES, len(content) + 1):
        path.write_bytes(content[:length])
        whole = sum(end <= length for end in ends) - 1
        assert replayed(path) == (PAYLOADS[:whole], length - ends[whole])
        assert path.stat().st_size == ends[whole]


@pytest.mark.parametrize("tail", [b"\0" * 5000, b"\xff" * 5000, b"garbage"])
def test_a_torn_tail_is_cut_off_and_the_log_goes_on(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "wal"
    path.write_bytes(written(path, [b"a"]) + tail)
    with closing(WriteAheadLog(path)) as log:
        assert log.torn_bytes == len(tail)
        assert list(log.replay()) == [b"a"]
        log.append(b"b")
        log.sync()
    assert replayed(path) == ([b"a", b"b"], 0)


def test_a_hole_within_the_last_sync_is_torn_and_one_before_it_is_damage(tmp_path: Path) -> None:
    """Pages of one write can reach the disk in any order, so a sound record may follow a hole."""
    path = tmp_path / "wal"
    content = bytearray(written(path, [b"one"], [b"two" * 100, b"three"]))
    second = FILE_HEADER_BYTES + RECORD_HEADER.size + 3
    hole = bytes(content[:second]) + b"\0" * 100 + bytes(content[second + 100 :])
    path.write_bytes(hole)
    assert replayed(path) == ([b"one"], len(content) - second)

    content[second - 1] ^= 1
    path.write_bytes(content)
    with pytest.raises(CorruptData, match=f"byte {FILE_HEADER_BYTES} is damaged.*restore it"):
        WriteAheadLog(path)


def test_damage_to_any_byte_of_an_earlier_sync_is_found(tmp_path: Path) -> None:
    path = tmp_path / "wal"
    content = written(path, [b"one"], [b"two"])
    last_record = len(content) - RECORD_HEADER.size - 3
    for at in range(last_record):
        damaged = bytearray(content)
        damaged[at] ^= 0x40
        path.write_bytes(damaged)
        with pytest.raises(CorruptData):
            WriteAheadLog(path)


def test_a_log_of_another_version_is_called_so(tmp_path: Path) -> None:
    path = tmp_path / "wal"
    path.write_bytes(b"ATOLWAL\x02" + bytes(100))
    with pytest.raises(StorageUnavailable, match="was written by another version of atoll; run"):
        WriteAheadLog(path)
    assert path.read_bytes() == b"ATOLWAL\x02" + bytes(100)


def test_a_file_that_is_no_log_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "wal"
    for content in (b"", b"ATOLWAL\x01", b"something else entirely"):
        path.write_bytes(content)
        with pytest.raises(CorruptData, match="does not begin as one"):
            WriteAheadLog(path)
        assert path.read_bytes() == content


def test_the_size_of_a_record_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "wal"
    with closing(WriteAheadLog(path, max_record=10)) as log:
        log.append(b"x" * 10)
        with pytest.raises(ValueError, match="over 10"):
            log.append(b"x" * 11)
        log.sync()
    assert replayed(path) == ([b"x" * 10], 0)


def test_a_second_opener_is_refused_until_the_first_closes(tmp_path: Path) -> None:
    path = tmp_path / "wal"
    with closing(WriteAheadLog(path)) as log:
        log.reset()  # replaces the file: the lock must not go with it
        with pytest.raises(StorageInUse, match="in use by another process"):
            WriteAheadLog(path)
    WriteAheadLog(path).close()


def test_a_missing_directory_is_an_error_of_the_user(tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable, match="check the permissions"):
        WriteAheadLog(tmp_path / "absent" / "wal")


def test_after_a_failed_write_the_log_refuses_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with closing(WriteAheadLog(tmp_path / "wal")) as log:
        log.append(b"a")
        with monkeypatch.context() as patch:
            patch.setattr(os, "fdatasync", full)
            with pytest.raises(StorageUnavailable, match="No space left"):
                log.sync()
        for use in (log.sync, log.reset, lambda: log.append(b"b")):
            with pytest.raises(StorageUnavailable, match="restart the node"):
                use()


def test_use_after_close_is_a_bug(tmp_path: Path) -> None:
    log = WriteAheadLog(tmp_path / "wal")
    log.close()
    log.close()
    with pytest.raises(RuntimeError):
        log.append(b"a")


WRITER = """
import sys
from pathlib import Path
from node.storage.wal import WriteAheadLog
log = WriteAheadLog(Path(sys.argv[1]))
found = [int(payload.split()[0]) for payload in log.replay()]
print("found", *found, flush=True)
number = found[-1] + 1 if found else int(sys.argv[2])
while True:
    if number % 25 == 0:
        log.reset()
    for _ in range(number % 3 + 1):
        log.append(b"%d " % number + b"x" * (number % 2000))
        number += 1
    log.sync()
    print(number - 1, flush=True)
"""


@pytest.mark.slow
def test_sigkill_loses_nothing_that_was_synced(tmp_path: Path) -> None:
    path, rng, reported = tmp_path / "wal", random.Random(11), 0
    for _ in range(6):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(reported + 1)],
            stdout=subprocess.PIPE,
            text=True,
        ) as writer:
            assert writer.stdout is not None
            found = [int(word) for word in writer.stdout.readline().split()[1:]]
            if found:
                assert found == list(range(found[0], found[-1] + 1))
                assert found[-1] >= reported
            else:  # killed just after a reset: everything up to a multiple of 25 was done with
                assert reported == 0 or reported % 25 == 24
            for _ in range(rng.randrange(1, 120)):
                reported = int(writer.stdout.readline())
            writer.send_signal(signal.SIGKILL)
