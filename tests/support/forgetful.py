"""A disk that keeps what POSIX makes it keep, and of all else what it likes.

Below a directory, the bytes of a file are durable as of its last fsync (or write with O_DSYNC), and a name as
of the last fsync of the directory that it stands in. When the power fails the rest is lost, or not, or in part:
names one by one, bytes by sectors or cut off anywhere, with zeros or anything else where a file had grown.
`os` is replaced while a disk is mounted, so nothing in the product knows of it.
"""

import fcntl
import os
import random
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECTOR = 512
WRITES = ("write", "pwrite", "ftruncate", "replace", "rename", "unlink", "mkdir", "rmdir")
SYNCS = ("fsync", "fdatasync")


class PowerCut(BaseException):
    """The machine is off: nothing of it reaches the disk any more."""


@dataclass(slots=True)
class _Inode:
    descriptor: int
    """Keeps the number from being given to another file."""
    durable: bytes
    mode: int


class ForgetfulDisk:
    """The directory `root`, empty or with files that are durable. Mount it, and call `power_fails`.

    `cut_at`: the power is cut at that boundary, counted from the mounting; boundaries are before and after
    each call that changes anything or makes it durable.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self._within = f"{self.root}/"
        self.boundaries = 0
        self.cut_at: int | None = None
        self.is_off = False
        self._inodes: dict[int, _Inode] = {}
        self._names: dict[Path, dict[str, int | None]] = {}  # None is a directory
        self._take_all()

    # ------------------------------------------------------------------ what the mount calls

    def owns(self, place: object) -> bool:
        """Whether a path or a descriptor is of this disk."""
        if isinstance(place, int):
            try:
                place = os.readlink(f"/proc/self/fd/{place}")
            except OSError:
                return False
        path = os.path.abspath(os.fsdecode(place))  # type: ignore[arg-type]
        return f"{path}/".startswith(self._within)

    def boundary(self) -> None:
        """A moment at which the power can fail. Raises PowerCut if it does, or did."""
        self.boundaries += 1
        if self.cut_at is not None and self.boundaries >= self.cut_at:
            self.is_off = True
        if self.is_off:
            raise PowerCut

    def sync(self, descriptor: int) -> None:
        """What fsync does."""
        status = os.fstat(descriptor)
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        if stat.S_ISDIR(status.st_mode):
            self._names[path] = self._listing(path)
            return
        inode = self._inode(status.st_ino, Path(f"/proc/self/fd/{descriptor}"))
        inode.durable = _content(inode.descriptor)

    # ------------------------------------------------------------------ the end

    def goes_on(self) -> None:
        """Only the process died: what it did is in the memory of the system, and not durable yet."""
        self.cut_at, self.is_off, self.boundaries = None, False, 0

    def power_fails(self, rng: random.Random) -> None:
        """The directory is what a disk may hold after that, and all of it is durable now.

        Whoever has files of it open has to close them.
        """
        self.goes_on()
        for directory in [self.root, *(p for p in self.root.rglob("*") if p.is_dir())]:
            self._listing(directory)  # so that all files have an inode
        found: dict[Path, tuple[bytes, int] | None] = {}
        self._survive(self.root, rng, rng.choice((0.0, 1.0, 0.5)), found)
        for entry in self.root.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        for path, what in found.items():
            if what is None:
                path.mkdir()
            else:
                path.write_bytes(what[0])
                path.chmod(what[1])
        self._take_all()

    def _survive(
        self,
        directory: Path,
        rng: random.Random,
        kept: float,
        found: dict[Path, tuple[bytes, int] | None],
    ) -> None:
        durable = self._names.get(directory, {})
        present = self._listing(directory) if directory.is_dir() else {}
        for name in sorted({*durable, *present}):
            names = present if rng.random() < kept else durable
            if name not in names:
                continue
            number, path = names[name], directory / name
            if number is None:
                found[path] = None
                self._survive(path, rng, kept, found)
            else:
                inode = self._inodes[number]
                found[path] = torn(inode.durable, _content(inode.descriptor), rng), inode.mode

    # ------------------------------------------------------------------ inside

    def _take_all(self) -> None:
        for inode in self._inodes.values():
            os.close(inode.descriptor)
        self._inodes, self._names = {}, {}
        for directory in [self.root, *(p for p in self.root.rglob("*") if p.is_dir())]:
            self._names[directory] = self._listing(directory)
        for inode in self._inodes.values():
            inode.durable = _content(inode.descriptor)

    def _listing(self, directory: Path) -> dict[str, int | None]:
        found: dict[str, int | None] = {}
        for entry in os.scandir(directory):
            if entry.is_dir(follow_symlinks=False):
                found[entry.name] = None
            else:
                found[entry.name] = entry.inode()
                self._inode(entry.inode(), Path(entry.path))
        return found

    def _inode(self, number: int, path: Path) -> _Inode:
        known = self._inodes.get(number)
        if known is None:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
            known = self._inodes[number] = _Inode(descriptor, b"", mode)
        return known

    def close(self) -> None:
        for inode in self._inodes.values():
            os.close(inode.descriptor)
        self._inodes = {}


def torn(durable: bytes, current: bytes, rng: random.Random) -> bytes:
    """What may be of a file whose content was synced as `durable`, and is `current`."""
    if durable == current:
        return durable
    match rng.randrange(4):
        case 0:
            return durable
        case 1:
            return current
        case 2:  # cut off: the new bytes up to somewhere, the old ones after it
            cut = rng.randrange(len(current) + 1)
            return current[:cut] + durable[cut:]
        case _:
            size = rng.randint(*sorted((len(durable), len(current))))
            out = bytearray()
            for start in range(0, size, SECTOR):
                end = min(start + SECTOR, size)
                old = durable[start:end]
                hole = bytes(SECTOR) if rng.random() < 0.5 else rng.randbytes(SECTOR)
                new = current[start:end] if rng.random() < 0.5 else old
                out += (new + old[len(new) :] + hole)[: end - start]
            return bytes(out)


def _content(descriptor: int) -> bytes:
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0)


@contextmanager
def mounted(*disks: ForgetfulDisk) -> Iterator[None]:
    """What `os` does below the roots of these disks is theirs meanwhile."""
    real = {name: getattr(os, name) for name in (*WRITES, *SYNCS)}

    def of(place: object) -> ForgetfulDisk | None:
        return next((disk for disk in disks if disk.owns(place)), None)

    def writing(name: str) -> Callable[..., Any]:
        def call(place: Any, *args: Any, **more: Any) -> Any:
            disk = None if more.get("dir_fd") is not None else of(place)
            if disk is None:
                return real[name](place, *args, **more)
            disk.boundary()
            result = real[name](place, *args, **more)
            disk.boundary()
            if name in ("write", "pwrite") and fcntl.fcntl(place, fcntl.F_GETFL) & os.O_DSYNC:
                disk.sync(place)
                disk.boundary()
            return result

        return call

    def syncing(name: str) -> Callable[[int], None]:
        def call(descriptor: int) -> None:
            disk = of(descriptor)
            if disk is None:
                real[name](descriptor)
                return
            disk.boundary()
            disk.sync(descriptor)
            disk.boundary()

        return call

    try:
        for name in WRITES:
            setattr(os, name, writing(name))
        for name in SYNCS:
            setattr(os, name, syncing(name))
        yield
    finally:
        for name, function in real.items():
            setattr(os, name, function)
