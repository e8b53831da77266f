"""The file that `atoll dump` writes: a ustar archive in gzip, made to be read once from front to back.

    atoll-dump.json     what is in it: see `Contents`
    genesis.json        and all other files, in the order of `Contents.files`

`tar tzf` lists it. It is read strictly, as it may come from anywhere: every header is 512 bytes of a plain file
(no links, devices or extended headers), is the one that the contents promise next, and nothing is written
before that was checked.
"""

import gzip
import hashlib
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Annotated

import msgspec

from node.primitives.decoding import decoder
from node.primitives.errors import DecodeError, UserError
from node.primitives.genesis import MAX_SHARDS

FORMAT = 1
CONTENTS = "atoll-dump.json"
MAX_CONTENTS_BYTES = 24 << 20  # the largest list of so many files
MAX_FILES = 100_000
MAX_NODES = 1024
MAX_FILE_BYTES = (8 << 30) - 1  # what a ustar header can say
COMPRESSION = 3  # LevelDB's tables are compressed already
CHUNK_BYTES = 1 << 20
END_BYTES = 2 * tarfile.BLOCKSIZE
PART = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,80}"
PATH = re.compile(
    rf"genesis\.json|accounts\.json|network\.toml|nodes/{PART}/(?:node\.toml|[a-z]+\.key|data(?:/{PART}){{1,4}})"
)

Progress = Callable[[int, int], None]
"""A callback for progress: (bytes done, bytes in all)."""


class ArchiveEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file: where it goes in the directory of a network, its bytes, and their SHA-256 in hex."""

    path: str
    size: Annotated[int, msgspec.Meta(ge=0, le=MAX_FILE_BYTES)]
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class Head(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The newest block that any node had: its height, and its hash as 0x hex; None before the first start."""

    height: int | None = None
    hash: str | None = None


class ShardHead(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The head of a shard."""

    id: int
    height: int | None = None
    hash: str | None = None


class Contents(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`atoll`: the version that wrote it; `made`: when, in seconds since 1970; `running`: whether the network
    ran meanwhile."""

    format: int
    atoll: str
    made: int
    chain_id: int
    running: bool
    beacon: Head
    shards: Annotated[list[ShardHead], msgspec.Meta(max_length=MAX_SHARDS)]
    nodes: Annotated[list[str], msgspec.Meta(max_length=MAX_NODES)]
    files: Annotated[list[ArchiveEntry], msgspec.Meta(max_length=MAX_FILES)]

    @property
    def total(self) -> int:
        """Bytes of all files."""
        return sum(entry.size for entry in self.files)


class _Version(msgspec.Struct):
    format: int = 0
    atoll: str = ""


def digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_archive(
    out: IO[bytes], contents: Contents, sources: Sequence[Path], progress: Progress
) -> None:
    """Write an archive of `sources`, the files that `contents` lists, in its order. Raises OSError."""
    done, total = 0, contents.total
    packer = gzip.GzipFile("", "wb", COMPRESSION, fileobj=out, mtime=contents.made)
    with packer as file:
        text = msgspec.json.format(msgspec.json.encode(contents), indent=1) + b"\n"
        file.write(_header(CONTENTS, len(text), contents.made) + text + _padding(len(text)))
        for entry, source in zip(contents.files, sources, strict=True):
            file.write(_header(entry.path, entry.size, contents.made))
            with source.open("rb") as data:
                while piece := data.read(CHUNK_BYTES):
                    file.write(piece)
                    done += len(piece)
                    progress(done, total)
            file.write(_padding(entry.size))
        file.write(bytes(END_BYTES))


class ArchiveReader:
    """An archive that is read once: `contents`, checked, and then its files in their order."""

    def __init__(self, path: Path) -> None:
        """Raises UserError for a file that is no dump, or one that this version cannot read."""
        self.path = path
        try:
            self._raw = path.open("rb")
        except OSError as error:
            raise UserError(f"{path}: cannot read the dump: {error.strerror}") from None
        self._file = gzip.GzipFile(fileobj=self._raw)
        try:
            self.contents = self._read_contents()
        except BaseException:
            self.close()
            raise

    def files(self, progress: Progress) -> Iterator[tuple[ArchiveEntry, Iterator[bytes]]]:
        """Every file as its entry and the pieces of its bytes, which must be taken before the next one.

        What was taken is sound only once the iterator has gone on: then the checksum was compared. Raises
        UserError where the archive is not what its contents promise.
        """
        done, total = 0, self.contents.total

        def pieces(entry: ArchiveEntry) -> Iterator[bytes]:
            nonlocal done
            digest, left = hashlib.sha256(), entry.size
            while left:
                piece = self._exactly(min(left, CHUNK_BYTES))
                digest.update(piece)
                left -= len(piece)
                done += len(piece)
                progress(done, total)
                yield piece
            self._exactly(len(_padding(entry.size)))
            if digest.hexdigest() != entry.sha256:
                raise self._bad(f"the bytes of {entry.path} are not those that were dumped")

        for entry in self.contents.files:
            self._next_is(entry.path, entry.size)
            yield entry, pieces(entry)
        if any(self._exactly(END_BYTES)) or self._some(1):
            raise self._bad("it holds files that its list does not name")

    def close(self) -> None:
        self._file.close()
        self._raw.close()

    def _read_contents(self) -> Contents:
        try:
            name, size = self._member()
        except (UserError, tarfile.TarError):
            name, size = "", 0
        if name != CONTENTS:
            raise UserError(f"{self.path} is not a dump of a network; `atoll dump` writes one")
        if size > MAX_CONTENTS_BYTES:
            raise self._bad(f"its list is over {MAX_CONTENTS_BYTES} bytes")
        text = self._exactly(size)
        self._exactly(len(_padding(size)))
        try:
            contents = decode_contents(text)
        except DecodeError as error:
            raise self._bad(str(error)) from None
        except UserError as error:
            raise UserError(f"{self.path}: {error}") from None
        seen: set[str] = set()
        for entry in contents.files:
            if not PATH.fullmatch(entry.path):
                raise self._bad(f"{entry.path[:200]!r} has no place in a network")
            if entry.path in seen:
                raise self._bad(f"{entry.path} is there twice")
            seen.add(entry.path)
        return contents

    def _next_is(self, path: str, size: int) -> None:
        try:
            found = self._member()
        except tarfile.TarError as error:
            raise self._bad(f"where {path} should begin: {error}") from None
        if found != (path, size):
            raise self._bad(
                f"{path} of {size} bytes should be next, and it is {found[0][:200]!r} of {found[1]}"
            )

    def _member(self) -> tuple[str, int]:
        """Name and size of the plain file whose header is next. Raises TarError for anything else."""
        header = tarfile.TarInfo.frombuf(
            self._exactly(tarfile.BLOCKSIZE), "ascii", "backslashreplace"
        )
        # a size can be written as a negative number
        if header.type != tarfile.REGTYPE or header.size < 0:
            raise tarfile.HeaderError(f"{header.name[:200]!r} is no plain file")
        return header.name, header.size

    def _exactly(self, size: int) -> bytes:
        parts = []
        while size > 0:
            parts.append(self._some(size))
            if not parts[-1]:
                raise self._bad("it ends too early")
            size -= len(parts[-1])
        return b"".join(parts)

    def _some(self, size: int) -> bytes:
        """At most `size` bytes, b"" at the end."""
        try:
            return self._file.read(size)
        except (OSError, EOFError, zlib.error) as error:
            raise self._bad(str(error)) from None

    def _bad(self, reason: str) -> UserError:
        return UserError(f"{self.path} is damaged: {reason}; make or copy the dump again")


@decoder("its list makes no sense", also=(UserError,))
def decode_contents(text: bytes) -> Contents:
    """The list of an archive. Raises DecodeError, or UserError where it is of another format."""
    written = msgspec.json.decode(text, type=_Version)
    if written.format != FORMAT:
        raise UserError(
            f"a dump of format {written.format} by atoll {written.atoll[:40] or '?'}; this version reads "
            f"format {FORMAT}: use the version that wrote it"
        )
    return msgspec.json.decode(text, type=Contents)


def _header(path: str, size: int, made: int) -> bytes:
    header = tarfile.TarInfo(path)
    header.size, header.mtime, header.mode = size, made, 0o600
    return header.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")


def _padding(size: int) -> bytes:
    return b"\0" * (-size % tarfile.BLOCKSIZE)
