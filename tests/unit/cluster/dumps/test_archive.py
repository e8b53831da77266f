"""The file of a dump: what is written comes back, and what somebody else made up is refused."""

import gzip
import io
import tarfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from node.cluster.dumps import archive
from node.cluster.dumps.archive import (
    CONTENTS,
    FORMAT,
    ArchiveEntry,
    ArchiveReader,
    Contents,
    Head,
    ShardHead,
    digest_of,
    write_archive,
)
from node.primitives.errors import UserError

FILES = {
    "genesis.json": b"{}",
    "nodes/s0v0/node.toml": b"",
    "nodes/s0v0/data/chain/000005.ldb": bytes(range(256)) * 9000,
}


def contents_of(files: dict[str, bytes], where: Path) -> tuple[Contents, list[Path]]:
    sources = []
    for index, data in enumerate(files.values()):
        sources.append(where / str(index))
        sources[-1].write_bytes(data)
    entries = [
        ArchiveEntry(path=path, size=len(data), sha256=digest_of(source))
        for (path, data), source in zip(files.items(), sources, strict=True)
    ]
    contents = Contents(
        format=FORMAT, atoll="0.1.0", made=1, chain_id=7, running=True, nodes=["s0v0"],
        beacon=Head(height=3, hash="0x03"), shards=[ShardHead(id=0)], files=entries,
    )  # fmt: skip
    return contents, sources


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    contents, sources = contents_of(FILES, tmp_path)
    path = tmp_path / "net.dump"
    with path.open("wb") as out:
        write_archive(out, contents, sources, lambda *_: None)
    return path


def read(path: Path) -> dict[str, bytes]:
    with closing(ArchiveReader(path)) as archive:
        return {entry.path: b"".join(pieces) for entry, pieces in archive.files(lambda *_: None)}


def test_what_was_written_comes_back(dump: Path, tmp_path: Path) -> None:
    assert read(dump) == FILES
    told: list[tuple[int, int]] = []
    with closing(ArchiveReader(dump)) as archive:
        assert archive.contents == contents_of(FILES, tmp_path)[0]
        for _, pieces in archive.files(lambda done, total: told.append((done, total))):
            assert all(pieces)
    total = sum(map(len, FILES.values()))
    assert told == sorted(told)
    assert told[-1] == (total, total)


def test_it_is_an_ordinary_tar_in_gzip(dump: Path) -> None:
    with tarfile.open(dump, "r:gz") as archive:
        assert archive.getnames() == [CONTENTS, *FILES]
        assert {member.mode for member in archive} == {0o600}


def forged(dump: Path, change: Callable[[list[tuple[tarfile.TarInfo, bytes]]], object]) -> Path:
    """The dump with its members changed, written by somebody who knows the format."""
    with tarfile.open(dump, "r:gz") as archive:
        members = []
        for info in archive:
            data = archive.extractfile(info)
            assert data is not None
            members.append((info, data.read()))
    change(members)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", format=tarfile.GNU_FORMAT) as archive:
        for info, content in members:
            info.size = len(content) if info.isreg() else 0
            archive.addfile(info, io.BytesIO(content))
    path = dump.with_name("forged.dump")
    path.write_bytes(out.getvalue())
    return path


def listed(path: str, size: int = 0) -> Callable[[list[tuple[tarfile.TarInfo, bytes]]], None]:
    """One more file, in the list and in the archive."""

    def change(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        data = b"x" * size
        entry = {"path": path, "size": size, "sha256": "0" * 64}
        info, text = members[0]
        document = msgspec.json.decode(text)
        document["files"].append(entry)
        members[0] = (info, msgspec.json.encode(document))
        members.append((tarfile.TarInfo(path), data))

    return change


def document(**changes: object) -> Callable[[list[tuple[tarfile.TarInfo, bytes]]], None]:
    def change(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        info, text = members[0]
        members[0] = (info, msgspec.json.encode({**msgspec.json.decode(text), **changes}))

    return change


def kind(of: bytes) -> Callable[[list[tuple[tarfile.TarInfo, bytes]]], None]:
    def change(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        members[1][0].type = of
        members[1][0].linkname = "/etc/passwd"

    return change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (listed("../../evil"), "'../../evil' has no place in a network"),
        (listed("/etc/cron.d/evil"), "has no place in a network"),
        (listed("nodes/../../evil/node.toml"), "has no place in a network"),
        (listed("nodes/s0v0/data/../../../../evil"), "has no place in a network"),
        (listed("nodes/s0v0/node.log"), "has no place in a network"),
        (listed("nodes/s0v0/data/chain/\n"), "has no place in a network"),
        (listed("genesis.json"), "genesis.json is there twice"),
        (listed("network.toml", 3), "the bytes of network.toml are not those that were dumped"),
        (kind(tarfile.SYMTYPE), "'genesis.json' is no plain file"),
        (kind(tarfile.LNKTYPE), "'genesis.json' is no plain file"),
        (kind(tarfile.CHRTYPE), "'genesis.json' is no plain file"),
        (kind(tarfile.FIFOTYPE), "'genesis.json' is no plain file"),
        (lambda m: m.pop(), "000005.ldb"),
        (lambda m: m.reverse(), "is not a dump of a network"),
        (lambda m: m.append((tarfile.TarInfo("genesis2.json"), b"")), "files that its list does not name"),
        (lambda m: m.__setitem__(1, (m[1][0], b"[]")), "genesis.json are not those"),
        (lambda m: m.__setitem__(1, (m[1][0], b"[" * 3)), "and it is 'genesis.json' of 3"),
        (document(format=2, atoll="9.9"), "a dump of format 2 by atoll 9.9; this version reads"),
        (document(format="x"), "its list makes no sense"),
        (document(files=[{"path": "genesis.json", "size": -1}]), "its list makes no sense"),
        (document(files=[{"path": "genesis.json", "size": 1 << 60}]), "its list makes no sense"),
        (document(nodes=1), "its list makes no sense"),
        (lambda m: m.__setitem__(0, (m[0][0], b"{")), "its list makes no sense"),
    ],
)  # fmt: skip
def test_what_is_forged_is_refused(
    dump: Path, change: Callable[[list[tuple[tarfile.TarInfo, bytes]]], object], told: str
) -> None:
    path = forged(dump, change)
    with pytest.raises(UserError) as caught:
        read(path)
    assert str(caught.value).startswith(str(path))
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_headers_of_any_length_are_not_read(dump: Path, tmp_path: Path) -> None:
    """Extended headers make tarfile read as much as they say."""
    info = tarfile.TarInfo("genesis.json")
    info.pax_headers = {"comment": "x" * 100_000}
    path = tmp_path / "pax.dump"
    path.write_bytes(gzip.compress(info.tobuf(tarfile.PAX_FORMAT)))
    with pytest.raises(UserError, match="is not a dump of a network"):
        read(path)


def test_a_list_without_end_is_not_read(tmp_path: Path) -> None:
    info = tarfile.TarInfo(CONTENTS)
    info.size = 1 << 32
    path = tmp_path / "long.dump"
    path.write_bytes(gzip.compress(info.tobuf(tarfile.USTAR_FORMAT) + bytes(1 << 20)))
    with pytest.raises(UserError, match="its list is over"):
        read(path)


def test_what_is_cut_or_changed_is_refused(dump: Path) -> None:
    whole = dump.read_bytes()
    for end in (0, 1, 10, 100, len(whole) // 2, len(whole) - 9):
        dump.write_bytes(whole[:end])
        with pytest.raises(UserError, match=r"is not a dump|is damaged"):
            read(dump)
    for place in range(12, len(whole) - 8, len(whole) // 40):
        dump.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        with pytest.raises(UserError, match=r"is not a dump|is damaged"):
            read(dump)


def test_what_is_no_dump(tmp_path: Path) -> None:
    path = tmp_path / "thesis.txt"
    with pytest.raises(UserError, match="cannot read the dump: No such file"):
        read(path)
    path.write_text("years of work")
    with pytest.raises(UserError, match="is not a dump of a network"):
        read(path)
    path.write_bytes(gzip.compress(b"years of work" * 100))
    with pytest.raises(UserError, match="is not a dump of a network"):
        read(path)


def test_a_size_below_zero_does_not_read_all_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = bytearray(archive._header(archive.CONTENTS, 0, 1))
    header[124:136] = b"\xff" * 12  # -1 in the base 256 of GNU tar
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    file = tmp_path / "negative.dump"
    with gzip.open(file, "wb", 1) as packed:
        packed.write(header + bytes(64 << 20))
    taken = []
    read = gzip.GzipFile.read

    def counted(self: gzip.GzipFile, size: int | None = -1) -> bytes:
        found: bytes = read(self, size)
        taken.append(len(found))
        return found

    monkeypatch.setattr(gzip.GzipFile, "read", counted)
    with pytest.raises(UserError, match="is not a dump of a network"):
        ArchiveReader(file)
    assert sum(taken) <= 4096


@pytest.mark.parametrize(
    "text",
    [b"\xff\xfe", b"[" * 100_000, b'{"format":' * 50_000, b'{"format": ' + b"9" * 10_000 + b"}"],
    ids=["no text", "deep", "deep objects", "a long number"],
)
def test_a_list_that_makes_no_sense_is_one_line(text: bytes, tmp_path: Path) -> None:
    file = tmp_path / "net.dump"
    with gzip.open(file, "wb") as packed:
        packed.write(archive._header(archive.CONTENTS, len(text), 1) + text + bytes(2048))
    with pytest.raises(UserError, match=r"makes no sense|of format"):
        ArchiveReader(file)
