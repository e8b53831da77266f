"""When the power fails: everything that was promised is there, in every state that a disk may be in then."""

import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from node.cluster.dumps.dump import dump_network
from node.cluster.dumps.restore import load_network
from node.cluster.fault_book import FaultBook
from node.cluster.fault_model import ActiveFault, Withhold
from node.cluster.layout import NetworkLayout, has_network, load_layout
from node.cluster.make import make_network
from node.cluster.manifest import Manifest
from node.config.keyfile import load_validator_key, save_identity, save_validator_key
from node.primitives.keys import SigningKey
from node.storage.errors import WouldEquivocate
from node.storage.files import make_directory, remove, write_atomically, write_new
from node.storage.last_signed import MAX_TAIL_BYTES, SLOT_BYTES, LastSigned
from node.storage.level import LevelStore
from node.storage.wal import WriteAheadLog
from p2p.identity import Identity
from tests.support.effort import seeds
from tests.support.forgetful import SECTOR, ForgetfulDisk, PowerCut, mounted, torn

pytestmark = pytest.mark.slow

A, B = b"a" * 32, b"b" * 32


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "disk").mkdir()
    return tmp_path / "disk"


@contextmanager
def fresh(root: Path, prepare: Callable[[], object] = lambda: None) -> Iterator[ForgetfulDisk]:
    """A disk that holds what `prepare` makes, all of it durable."""
    shutil.rmtree(root)
    root.mkdir()
    prepare()
    disk = ForgetfulDisk(root)
    try:
        yield disk
    finally:
        disk.close()


def cut_everywhere(
    root: Path,
    work: Callable[[], object],
    look: Callable[[bool], object],
    *,
    prepare: Callable[[], object] = lambda: None,
    times: int = 12,
) -> int:
    """Do `work`, with the power cut at each boundary of it, and after it; `times` each.

    `look` is told whether the work was done; returns how many boundaries there were.
    """
    with fresh(root, prepare) as disk, mounted(disk):
        work()
        count = disk.boundaries
    for at in range(1, count + 2):
        for seed in range(times if at <= count else 20):
            with fresh(root, prepare) as disk:
                disk.cut_at = at
                done = False
                with mounted(disk):
                    try:
                        work()
                        done = True
                    except PowerCut:
                        pass
                disk.power_fails(random.Random(f"{at} {seed}"))
            assert done == (at > count)
            look(done)
    return count


# ---------------------------------------------------------------------- the disk itself


def test_the_disk_forgets_what_was_not_synced_and_keeps_the_rest(root: Path) -> None:
    found = set()
    for seed in range(100):
        with fresh(root, lambda: (root / "old").write_bytes(b"o")) as disk:
            with mounted(disk):
                write_new(root / "kept", [b"kept"])
                (root / "old").write_bytes(b"n")
                (root / "name").write_bytes(b"name")
            disk.power_fails(random.Random(seed))
        assert (root / "kept").read_bytes() == b"kept"
        found.add(((root / "old").read_bytes(), (root / "name").exists()))
    assert found == {(b"o", False), (b"n", False), (b"o", True), (b"n", True)}


def test_a_torn_file_is_old_and_new_in_pieces() -> None:
    old, new = b"o" * 3 * SECTOR, b"n" * 5 * SECTOR
    seen = {torn(old, new, random.Random(seed)) for seed in range(200)}
    assert {old, new} <= seen
    assert any(b"n" in one[:SECTOR] and b"o" in one[SECTOR : 2 * SECTOR] for one in seen)
    assert any(b"o" in one[:SECTOR] and b"n" in one[SECTOR : 2 * SECTOR] for one in seen)
    assert any(bytes(SECTOR) in one for one in seen)
    assert any(0 < one.rfind(b"n") + 1 < len(new) and one.rfind(b"n") % SECTOR for one in seen)


# ---------------------------------------------------------------------- files


def test_a_file_is_replaced_whole_or_not_at_all(root: Path) -> None:
    path, states = root / "file", {True: {b"new" * 999}, False: {b"old", b"new" * 999}}
    seen = set()

    def look(done: bool) -> None:
        assert path.read_bytes() in states[done]
        seen.add(path.read_bytes())

    boundaries = cut_everywhere(
        root,
        lambda: write_atomically(path, b"new" * 999),
        look,
        prepare=lambda: path.write_bytes(b"old"),
    )
    assert boundaries >= 8  # before and after the write, two fsyncs and the rename
    assert seen == states[False]


def test_a_file_in_new_directories_is_there_once_it_was_written(root: Path) -> None:
    path = root / "some" / "where" / "file"

    def work() -> None:
        make_directory(path.parent)
        write_atomically(path, b"new")

    def look(done: bool) -> None:
        assert path.read_bytes() == b"new" if done or path.exists() else not done

    cut_everywhere(root, work, look)


def test_a_directory_that_an_earlier_process_made_is_durable_once_it_is_used(root: Path) -> None:
    """It was killed before it could sync the name, and the machine went on."""

    def work() -> None:
        (root / "consensus").mkdir()
        make_directory(root / "consensus")
        write_atomically(root / "consensus" / "record", b"signed")

    def look(done: bool) -> None:
        assert not done or (root / "consensus" / "record").read_bytes() == b"signed"

    cut_everywhere(root, work, look)


def test_a_file_that_was_deleted_stays_deleted(root: Path) -> None:
    path = root / "faults.json"
    seen = set()

    def look(done: bool) -> None:
        seen.add(path.exists())
        assert not (done and path.exists())

    cut_everywhere(root, lambda: remove(path), look, prepare=lambda: path.write_bytes(b"[]"))
    assert seen == {True, False}


def test_keys_are_durable_when_they_were_saved(root: Path) -> None:
    key, identity = SigningKey(b"\7" * 32), Identity(b"\1" * 32)

    def work() -> None:
        save_validator_key(root / "validator.key", key)
        save_identity(root / "identity.key", identity)

    def look(done: bool) -> None:
        if done:
            assert load_validator_key(root / "validator.key").address == key.address
            assert Identity.load(root / "identity.key").peer_id == identity.peer_id

    cut_everywhere(root, work, look)


def test_a_database_is_where_it_was_opened(root: Path) -> None:
    """LevelDB keeps its files; that the directories are there is up to us."""
    path = root / "data" / "chain"
    with fresh(root) as disk:
        with mounted(disk):
            LevelStore.open(path).close()
        for seed in range(12):
            disk.power_fails(random.Random(seed))
            assert path.is_dir()


# ---------------------------------------------------------------------- networks

SMALL = Manifest(shards=1, validators=(2,), seed="power cut")


def check_network(directory: Path) -> NetworkLayout:
    """Whole, if it says that it is one: all files can be read, and the keys belong to the genesis."""
    layout = load_layout(directory)
    for node, validator in zip(layout.nodes, layout.genesis.validators, strict=True):
        assert (
            "0x" + load_validator_key(node.files.validator_key).address.hex() == validator.address
        )
        assert Identity.load(node.files.identity_key).peer_id == validator.peer_id
        assert node.config.data_dir.is_dir()
    return layout


def test_a_network_that_says_it_is_whole_has_all_its_files(root: Path) -> None:
    directory, seen = root / "net", set()

    def look(done: bool) -> None:
        seen.add(has_network(directory))
        assert has_network(directory) or not done
        if has_network(directory):
            check_network(directory)
        else:
            make_network(SMALL, directory)  # what is left is in nobody's way

    cut_everywhere(root, lambda: make_network(SMALL, directory), look, times=1)
    assert seen == {True, False}


def test_a_loaded_network_has_all_that_its_validators_have_signed(
    root: Path, tmp_path: Path
) -> None:
    layout = make_network(SMALL, tmp_path / "made")
    for node in layout.nodes:
        make_directory(node.config.data_dir / "consensus")
        with closing(LastSigned(node.config.data_dir / "consensus" / "shard-0.signed")) as record:
            record.check_and_record(7, 0, 1, A)
    file = tmp_path / "net.dump"
    dump_network(layout, file, replace=False, progress=lambda done, total: None)
    directory, seen = root / "net", set()

    def work() -> None:
        load_network(file, directory, rpc_port=0, reset=False, progress=lambda done, total: None)

    def look(done: bool) -> None:
        seen.add(has_network(directory))
        assert has_network(directory) or not done
        if has_network(directory):
            for node in check_network(directory).nodes:
                path = node.config.data_dir / "consensus" / "shard-0.signed"
                with closing(LastSigned(path)) as record, pytest.raises(WouldEquivocate):
                    record.check_and_record(7, 0, 1, B)

    cut_everywhere(root, work, look, times=1)
    assert seen == {True, False}


def test_a_dump_is_whole_or_not_there(root: Path, tmp_path: Path) -> None:
    layout = make_network(SMALL, tmp_path / "made")
    file = root / "net.dump"

    def work() -> None:
        dump_network(layout, file, replace=True, progress=lambda done, total: None)

    def look(done: bool) -> None:
        assert file.exists() or not done
        if file.exists():
            target = tmp_path / "loaded"
            load_network(file, target, rpc_port=0, reset=True, progress=lambda done, total: None)

    cut_everywhere(root, work, look, times=2)


def test_faults_in_force_are_on_record_and_those_that_ended_are_not(
    root: Path, tmp_path: Path
) -> None:
    layout = make_network(SMALL, tmp_path / "made")
    fault = ActiveFault(name="f1", fault=Withhold(nodes=("s0v0",)))
    path = root / "faults.json"

    class Book(FaultBook):
        def __init__(self) -> None:
            super().__init__(layout)
            self._path = path

    cut_everywhere(
        root,
        lambda: Book().write([fault]),
        lambda done: None if not done else _same(Book().read(), [fault]),
    )
    cut_everywhere(
        root,
        lambda: Book().write([]),
        lambda done: None if not done else _same(Book().read(), []),
        prepare=lambda: Book().write([fault]),
    )


def _same(found: object, expected: object) -> None:
    assert found == expected


# ---------------------------------------------------------------------- the log and the record


class Validator:
    """The files of one that signs, over many lives, and what was promised to it."""

    def __init__(self, root: Path, rng: random.Random) -> None:
        self.disk = ForgetfulDisk(root)
        self.folder = root / "data" / "consensus"
        self.rng = rng
        self.height = 0
        self.signed = 0
        "The height whose signature was allowed."
        self.durable: list[bytes] = []
        self.unsynced: list[bytes] = []
        self.next_log: list[bytes] | None = None
        "What the log holds instead, if what is done comes to its end."

    def open(self) -> None:
        make_directory(self.folder)
        self.record = LastSigned(self.folder / "signed")
        try:
            self.log = WriteAheadLog(self.folder / "wal", tails=self.record.tails)
        except BaseException:
            self.record.close()
            raise
        found = list(self.log.replay())
        expected = [self.durable + self.unsynced[:n] for n in range(len(self.unsynced) + 1)]
        assert found in expected or found == self.next_log, "the log has what was promised"
        last = self.record.load()
        recorded = last.height if last else 0
        assert self.signed <= recorded <= self.height, "the record never goes back"
        self.durable, self.unsynced, self.next_log = found, [], None
        self.signed = self.height = recorded

    def close(self) -> None:
        self.log.close()
        self.record.close()

    def act(self) -> None:
        """Anything that a validator does with them."""
        action = self.rng.random()
        if action < 0.4:
            size = self.rng.choice((0, 10, 300, MAX_TAIL_BYTES // 2, SLOT_BYTES))
            self.unsynced.append(self.rng.randbytes(size))
            self.log.append(self.unsynced[-1])
        elif action < 0.8:
            self.height += 1
            self.record.check_and_record(self.height, 0, 0, A, log=self.log)
            self.signed = self.height
            self._synced()
        elif action < 0.9:
            self.log.sync()
            self._synced()
        else:
            self.next_log = [self.rng.randbytes(20)] * self.rng.randrange(3)
            self.log.rewrite(self.next_log)
            self.durable, self.unsynced, self.next_log = self.next_log, [], None

    def _synced(self) -> None:
        self.durable, self.unsynced = self.durable + self.unsynced, []

    def live(self) -> None:
        """Until the machine goes off, or only the process ends, or is killed."""
        self.disk.cut_at = self.rng.randint(1, 60)
        is_open = False
        with mounted(self.disk):
            try:
                self.open()
                is_open = True
                while self.rng.random() < 0.97:
                    self.act()
            except PowerCut:
                pass
            finally:
                if is_open:
                    self.close()
        if self.rng.random() < 0.5:
            self.disk.goes_on()
        else:
            self.disk.power_fails(self.rng)


@pytest.mark.parametrize("seed", seeds(8))
def test_nothing_that_was_promised_is_ever_lost(root: Path, seed: int) -> None:
    """The log and the record, in lives that end by kills and power cuts at every boundary."""
    validator = Validator(root, random.Random(seed))
    for _ in range(100):
        validator.live()
    validator.disk.close()
    assert validator.signed > 50


def sign(root: Path, height: int) -> None:
    with closing(LastSigned(root / "signed")) as record:
        record.check_and_record(height, 0, 1, A)


def refuses(root: Path, height: int) -> None:
    with closing(LastSigned(root / "signed")) as record, pytest.raises(WouldEquivocate):
        record.check_and_record(height, 0, 1, B)


def log_vote(root: Path, height: int) -> None:
    with closing(WriteAheadLog(root / "wal")) as log:
        log.append(b"vote of %d" % height)
        log.sync()


def replays(root: Path, height: int) -> None:
    with closing(WriteAheadLog(root / "wal")) as log:
        assert list(log.replay())[-1] == b"vote of %d" % height


@pytest.mark.parametrize(("use", "look"), [(sign, refuses), (log_vote, replays)])
def test_a_file_that_a_killed_process_began_is_durable_once_it_is_used(
    root: Path, use: Callable[[Path, int], None], look: Callable[[Path, int], None]
) -> None:
    """It died at any boundary, the machine went on, and the next process found the file there."""
    with fresh(root) as disk, mounted(disk):
        use(root, 1)
        count = disk.boundaries
    for at in range(1, count + 1):
        for seed in range(6):
            with fresh(root) as disk:
                disk.cut_at = at
                with mounted(disk):
                    with suppress(PowerCut):
                        use(root, 1)
                    disk.goes_on()
                    use(root, 2)
                disk.power_fails(random.Random(f"{at} {seed}"))
            look(root, 2)
