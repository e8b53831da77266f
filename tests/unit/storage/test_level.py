"""What LevelStore adds to the contract: errors that say what to do, and crashes."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from node.primitives.errors import CorruptData, UserError
from node.storage.errors import StorageInUse, StorageUnavailable
from node.storage.level import LevelStore, plyvel


def filled(path: Path, entries: int = 2000) -> None:
    store = LevelStore.open(path)
    for number in range(0, entries, 100):
        store.write(
            {b"%08d" % key: os.urandom(100) for key in range(number, number + 100)}, sync=True
        )
    store.close()


def test_data_is_there_after_reopening(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "db"
    store = LevelStore.open(path)
    store.write({b"a": b"1"}, sync=True)
    store.close()
    store = LevelStore.open(path, create=False)
    assert store.get(b"a") == b"1"
    store.close()


@pytest.mark.slow
def test_two_openers_are_refused(tmp_path: Path) -> None:
    store = LevelStore.open(tmp_path / "db")
    program = (
        "import sys; from pathlib import Path\n"
        "from node.storage.level import LevelStore, plyvel; from node.storage.errors import StorageInUse\n"
        "try: LevelStore.open(Path(sys.argv[1]))\n"
        "except StorageInUse as error: print(error)\n"
    )
    other = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "db")],
        capture_output=True, text=True, check=True, timeout=30,
    )  # fmt: skip
    assert f"the database {tmp_path / 'db'} is in use by another process" in other.stdout
    with pytest.raises(StorageInUse, match="in use by another process"):
        LevelStore.open(tmp_path / "db")
    store.close()


def test_a_missing_database_is_not_made_without_create(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no database here"):
        LevelStore.open(tmp_path / "db", create=False)
    assert not (tmp_path / "db").exists()


def test_a_file_in_the_way_is_an_error_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageUnavailable, match="file"):
        LevelStore.open(tmp_path / "file" / "db")


def test_a_lost_current_file_is_damage_and_not_a_new_database(tmp_path: Path) -> None:
    filled(tmp_path / "db")
    (tmp_path / "db" / "CURRENT").unlink()
    with pytest.raises(CorruptData, match="delete the directory and let the node sync"):
        LevelStore.open(tmp_path / "db")
    assert list((tmp_path / "db").glob("*.log"))


@pytest.mark.parametrize("victim", ["CURRENT", "MANIFEST-*", "*.log"])
def test_damage_found_at_opening_says_what_to_do(tmp_path: Path, victim: str) -> None:
    path = tmp_path / "db"
    filled(path)
    file = max(path.glob(victim), key=lambda found: found.stat().st_size)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)
    with pytest.raises(CorruptData) as caught:
        LevelStore.open(path)
    assert str(path) in str(caught.value)
    assert "delete the directory and let the node sync from its peers, or restore it" in str(
        caught.value
    )
    assert "b'" not in str(caught.value)


def test_damage_found_at_reading_is_never_returned_as_data(tmp_path: Path) -> None:
    path = tmp_path / "db"
    store = LevelStore.open(path)
    values = {b"%08d" % number: os.urandom(1000) for number in range(12_000)}
    store.write(values, sync=True)
    store.close()
    LevelStore.open(path).close()  # the log becomes tables
    for table in path.glob("*.ldb"):
        content = bytearray(table.read_bytes())
        for at in range(1000, len(content) // 2, 50_000):
            content[at] ^= 0xFF
        table.write_bytes(content)
    store = LevelStore.open(path)
    damaged = 0
    for key, value in values.items():
        try:
            assert store.get(key) == value
        except CorruptData:
            damaged += 1
    assert damaged
    with pytest.raises(CorruptData):
        list(store.iterate(b""))
    store.close()


class Recorded:
    """A LevelDB of which is noted how each batch was written."""

    def __init__(self, database: Any) -> None:
        self._database = database
        self.syncs: list[bool] = []

    def write_batch(self, *, sync: bool = False) -> Any:
        self.syncs.append(sync)
        return self._database.write_batch(sync=sync)

    def close(self) -> None:
        self._database.close()


def test_a_batch_is_synced_where_that_is_asked_for_and_not_elsewhere(tmp_path: Path) -> None:
    recorded = Recorded(plyvel.DB(str(tmp_path / "db"), create_if_missing=True))
    store = LevelStore(tmp_path / "db", recorded)
    asked = [True, False, False, True, False]
    for number, sync in enumerate(asked):
        store.write({b"%d" % number: b"x"}, sync=sync)
    assert recorded.syncs == asked
    store.close()


WRITER = """
import sys
from pathlib import Path
from node.storage.level import LevelStore, plyvel
store = LevelStore.open(Path(sys.argv[1]))
start = int(sys.argv[2])
for number in range(start, 1_000_000):
    sync = number % 3 == 0
    value = b"%d" % number * 50
    store.write({b"head": b"%d" % number, **{b"%d/%d" % (number, i): value for i in range(40)},
                 b"%d/gone" % number: b"x", b"%d/gone" % (number - 1): None}, sync=sync)
    print(number, flush=True)
"""


@pytest.mark.slow
def test_sigkill_leaves_every_batch_whole_or_absent(tmp_path: Path) -> None:
    path, rng, start = tmp_path / "db", random.Random(7), 0
    for _ in range(6):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(start)], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            reported = start
            for _ in range(rng.randrange(1, 60)):
                reported = int(writer.stdout.readline())
            writer.send_signal(signal.SIGKILL)
        store = LevelStore.open(path)
        head = int(store.get(b"head") or b"-1")
        assert head >= reported
        for number in range(head + 3):
            entries = list(store.iterate(b"%d/" % number))
            values = [value for key, value in entries if not key.endswith(b"gone")]
            assert values == ([b"%d" % number * 50] * 40 if number <= head else []), number
            assert (store.get(b"%d/gone" % number) is not None) == (number == head)
        store.close()
        start = head + 1
