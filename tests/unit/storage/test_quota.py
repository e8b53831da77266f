"""A disk that is full on purpose: what was written stays, what does not fit is an error, room is room."""

import errno
from contextlib import closing
from pathlib import Path

import pytest

from node.storage.errors import StorageUnavailable
from node.storage.level import LevelStore
from node.storage.quota import Quota, directory_size
from node.storage.wal import WriteAheadLog


def test_nothing_is_counted_without_a_limit(tmp_path: Path) -> None:
    quota = Quota(tmp_path)
    quota.take(1 << 60)
    quota.set_limit(10)
    quota.take(10)
    with pytest.raises(OSError, match="No space left") as full:
        quota.take(1)
    assert full.value.errno == errno.ENOSPC
    quota.set_limit(None)
    quota.take(1)


def test_what_is_there_counts(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "file").write_bytes(bytes(70))
    (tmp_path / "file").write_bytes(bytes(30))
    assert directory_size(tmp_path) == 100
    with pytest.raises(OSError, match="No space left"):
        Quota(tmp_path, 100).take(1)
    Quota(tmp_path, 101).take(1)


def test_a_full_disk_refuses_a_batch_whole(tmp_path: Path) -> None:
    quota = Quota(tmp_path)
    store = LevelStore.open(tmp_path / "db", quota=quota)
    store.write({b"a": b"1"}, sync=True)
    quota.set_limit(directory_size(tmp_path) + 10)
    with pytest.raises(StorageUnavailable, match=r"write to .*db: No space left on device"):
        store.write({b"b": b"2", b"c": bytes(20)}, sync=True)
    store.close()
    store = LevelStore.open(tmp_path / "db")
    assert [store.get(key) for key in (b"a", b"b", b"c")] == [b"1", None, None]
    store.close()


def test_a_full_disk_ends_a_log_which_keeps_what_it_had(tmp_path: Path) -> None:
    quota, path = Quota(tmp_path), tmp_path / "wal"
    with closing(WriteAheadLog(path, quota=quota)) as log:
        log.append(b"kept")
        log.sync()
        quota.set_limit(0)
        log.append(b"lost")
        with pytest.raises(StorageUnavailable, match="No space left on device"):
            log.sync()
        quota.set_limit(None)
        with pytest.raises(StorageUnavailable, match="restart the node"):
            log.append(b"after")
    with closing(WriteAheadLog(path)) as log:
        assert list(log.replay()) == [b"kept"]
