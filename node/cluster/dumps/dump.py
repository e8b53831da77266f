"""`atoll dump`: a whole network as it is at one instant, in one file.

Of a network that runs all nodes are held (`node.cluster.dumps.pause`) for as long as their files are taken:
tables of LevelDB never change and get a second name, the few files that do are copied. Packing them takes
longer, and happens when the nodes go on.
"""

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from node.cluster.dumps.archive import (
    FORMAT,
    MAX_FILES,
    PATH,
    ArchiveEntry,
    Contents,
    Head,
    Progress,
    ShardHead,
    digest_of,
    write_archive,
)
from node.cluster.dumps.pause import held
from node.cluster.launch import launch_lock
from node.cluster.layout import ACCOUNTS, GENESIS, MANIFEST, NODES, NetworkLayout, NodeLayout
from node.cluster.processes.processes import running_nodes
from node.primitives.errors import CorruptData, UserError
from node.storage.errors import StorageInUse
from node.storage.files import FileLock, replacing
from node.version import version

STAGE = ".dump-"
DATABASE = "chain"
NEVER_CHANGES = (".ldb", ".sst")
NOT_DATA = ("LOCK", "LOG", "LOG.old")
"""Files, beside `*.lock`, that hold nothing of the chain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dump:
    """The result of a dump: the file, its bytes, its contents, and how long the nodes were held, in seconds."""

    file: Path
    size: int
    contents: Contents
    held: float


def dump_network(
    layout: NetworkLayout,
    file: Path,
    *,
    replace: bool,
    progress: Progress,
    stopping: Callable[[], bool] = lambda: False,
) -> Dump:
    """Write `file`, readable by its owner only, whole or not at all.

    `stopping()`: true if the user has asked to stop; then KeyboardInterrupt is raised at the next file. Raises
    UserError: the file is there (without `replace`) or cannot be written, a node that this cannot hold uses the
    data; NetworkFailed: a node ended meanwhile.
    """

    def go_on() -> None:
        if stopping():
            raise KeyboardInterrupt

    def packed(done: int, total: int) -> None:
        go_on()
        progress(done, total)

    if not replace and os.path.lexists(file):
        raise UserError(f"{file} is there already; choose another name, or replace it with --force")
    try:
        with _exclusive(layout), _stage(layout) as stage:
            running, seconds = _take(layout, stage, go_on)
            contents, sources = _list(layout, stage, running=running, go_on=go_on)
            size = _write(file, contents, sources, packed)
    except OSError as error:
        raise UserError(f"{error.filename or file}: {error.strerror or error}") from None
    return Dump(file=file, size=size, contents=contents, held=seconds)


@contextmanager
def _exclusive(layout: NetworkLayout) -> Iterator[None]:
    """Allow one dump at a time: the end of another one would resume the nodes."""
    try:
        with FileLock(layout.directory / GENESIS, guards="the genesis"):
            yield
    except StorageInUse:
        raise UserError(f"another `atoll dump` of {layout.directory} is at work") from None


@contextmanager
def _stage(layout: NetworkLayout) -> Iterator[Path]:
    """A directory on the disk of the nodes, so that files can have second names there."""
    nodes = layout.directory / NODES
    for left in nodes.glob(STAGE + "*"):  # left by a killed dump
        shutil.rmtree(left, ignore_errors=True)
    stage = Path(tempfile.mkdtemp(prefix=STAGE, dir=nodes))
    try:
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _take(layout: NetworkLayout, stage: Path, go_on: Callable[[], None]) -> tuple[bool, float]:
    """Fill the stage with the files of one instant; returns if nodes ran, and for how long they were held."""
    running = running_nodes(node.files for node in layout.nodes)
    names = {item.node.name for item in running}
    with ExitStack() as stack:
        if not running:
            stack.enter_context(launch_lock(layout.directory))
        for node in layout.nodes:
            if node.name not in names:
                _lock_data(stack, node)
        began = time.monotonic()
        with held([item.process for item in running]):
            for node in layout.nodes:
                _take_node(node, stage / node.name, go_on)
        return bool(running), time.monotonic() - began if running else 0.0


def _lock_data(stack: ExitStack, node: NodeLayout) -> None:
    """Keep a node that does not run from starting. Raises UserError if it runs after all."""
    for lock in sorted((node.config.data_dir / "consensus").glob("*.lock")):
        try:
            stack.enter_context(FileLock(lock, guards=f"the data of {node.name}"))
        except StorageInUse:
            raise UserError(
                f"{node.name} runs and was not started by `atoll up`, which could hold it; stop it first"
            ) from None


def _take_node(node: NodeLayout, target: Path, go_on: Callable[[], None]) -> None:
    config = node.config
    target.mkdir()
    shutil.copyfile(node.files.config, target / node.files.config.name)
    shutil.copyfile(config.identity_key, target / node.files.identity_key.name)
    if config.validator_key is not None:
        shutil.copyfile(config.validator_key, target / node.files.validator_key.name)
    if config.data_dir.exists():
        _take_data(config.data_dir, target / "data", go_on)


def _take_data(source: Path, target: Path, go_on: Callable[[], None]) -> None:
    target.mkdir()
    for directory, folders, files in os.walk(source, onerror=_raise):
        place = target / Path(directory).relative_to(source)
        for name in folders:
            (place / name).mkdir()
        for name in files:
            if name in NOT_DATA or name.endswith(".lock"):
                continue
            go_on()
            _take_file(Path(directory) / name, place / name)


def _take_file(source: Path, target: Path) -> None:
    if source.suffix in NEVER_CHANGES:
        with contextlib.suppress(OSError):  # another disk, or one that has no second names
            os.link(source, target, follow_symlinks=False)
            return
    shutil.copyfile(source, target)


def _raise(error: OSError) -> NoReturn:
    raise error


def _list(
    layout: NetworkLayout, stage: Path, *, running: bool, go_on: Callable[[], None]
) -> tuple[Contents, list[Path]]:
    """The contents of the archive, and the place of each file."""
    found = [(name, layout.directory / name) for name in (GENESIS, ACCOUNTS, MANIFEST)]
    for node in layout.nodes:
        top = stage / node.name
        found += [
            (f"{NODES}/{node.name}/{path.relative_to(top).as_posix()}", path)
            for path in sorted(top.rglob("*"))
            if not path.is_dir()
        ]
    if len(found) > MAX_FILES:
        raise UserError(f"{layout.directory}: {len(found)} files are over the limit of {MAX_FILES}")
    entries, sources = [], []
    for name, path in found:
        go_on()
        if not PATH.fullmatch(name):
            raise UserError(f"{layout.directory / name} is no file of a network; move it elsewhere")
        entries.append(ArchiveEntry(path=name, size=path.stat().st_size, sha256=digest_of(path)))
        sources.append(path)
    beacon, shards = _heads(layout, stage, go_on)
    contents = Contents(
        format=FORMAT,
        atoll=version(),
        made=int(time.time()),
        chain_id=layout.genesis.chain_id,
        running=running,
        beacon=beacon,
        shards=shards,
        nodes=[node.name for node in layout.nodes],
        files=entries,
    )
    return contents, sources


def _heads(
    layout: NetworkLayout, stage: Path, go_on: Callable[[], None]
) -> tuple[Head, list[ShardHead]]:
    """The most advanced heads. That they can be read shows that the databases of the stage are sound."""
    from node.cluster.dumps.heads import read_heads  # slow to import

    beacon, shards = Head(), dict.fromkeys(layout.genesis.shard_ids(), Head())
    for node in layout.nodes:
        go_on()
        database = stage / node.name / "data" / DATABASE
        if not (database / "CURRENT").exists():
            continue
        # Opening a database changes it: a copy is opened.
        opened = stage / f"{node.name}.opened"
        _take_data(database, opened, go_on)
        try:
            of_beacon, of_shard = read_heads(opened)
        except CorruptData:
            raise UserError(
                f"the database of {node.name} is damaged; delete {node.config.data_dir / DATABASE} and let "
                "the node sync from its peers first"
            ) from None
        shutil.rmtree(opened)
        beacon = max(beacon, of_beacon, key=_height)
        shards[node.shard] = max(shards[node.shard], of_shard, key=_height)
    return beacon, [
        ShardHead(id=shard, height=head.height, hash=head.hash) for shard, head in shards.items()
    ]


def _height(head: Head) -> int:
    return -1 if head.height is None else head.height


def _write(file: Path, contents: Contents, sources: Sequence[Path], progress: Progress) -> int:
    """Write the archive beside its place, then give it its name; its size in bytes."""
    with replacing(file, mode=0o600) as descriptor:
        with open(descriptor, "wb", closefd=False) as out:
            write_archive(out, contents, sources, progress)
        return os.fstat(descriptor).st_size
