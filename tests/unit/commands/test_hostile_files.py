"""Whatever stands where a file should be, and whatever number is given, a command ends with one line."""

import gzip
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from node.cli import main

pytestmark = pytest.mark.slow

NOISE = random.Random(7).randbytes(5000)


def missing(_: Path) -> None:
    """There is none."""


def directory(path: Path) -> None:
    path.mkdir()


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(300 << 20)


def holding(content: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(content)

    return write


HOSTILE: dict[str, Callable[[Path], None]] = {
    "missing": missing,
    "a directory": directory,
    "a loop of links": loop,
    "huge": huge,
    "empty": holding(b""),
    "noise": holding(NOISE),
    "packed noise": holding(gzip.compress(NOISE)),
    "deep json": holding(b"[" * 200_000),
    "deep json of an object": holding(b'{"version":' * 50_000),
    "deep toml": holding(b"shards = " + b"[" * 100_000),
    "deep toml of tables": holding(b"[" + b"a." * 100_000 + b"a]\nb = 1\n"),
    "a long number": holding(b"shards = " + b"9" * 10_000),
    "a long number in json": holding(b'{"version": ' + b"9" * 10_000 + b"}"),
    "no utf-8": holding(b'seed = "\xff\xfe"\n'),
    "no utf-8 in json": holding(b'{"version": 2, "name": "\xff\xfe"}'),
    "a surrogate": holding(b'{"version": 2, "\\ud800": "\\udfff"}'),
    "escapes": holding(b'"\\u001b[2J" = 1\n'),
    "a home of nobody": holding(b'data_dir = "~nobody-of-this-name/x"\nname = "a"\n'),
    "a wide template": holding(b'[p2p]\nlisten_host = "{shard:0>200000000}"\n'),
    "not a number": holding(b"[params]\nheartbeat = nan\n"),
    "another type": holding(b"shards = 2000-01-01\nvalidators = [[1]]\n"),
}
SOME = ("missing", "a directory", "huge", "noise", "deep json", "deep toml", "no utf-8 in json")
COMMANDS = {
    "init": ["init", "--dir", "new", "--manifest", "FILE"],
    "check": ["config", "check", "FILE"],
    "node": ["node", "--config", "FILE"],
    "load": ["load", "FILE", "--dir", "new"],
    "verify": ["verify", "FILE", "--genesis", "net/genesis.json"],
    "genesis": ["verify", "net/accounts.json", "--genesis", "FILE"],
    "scenario": ["scenario", "check", "FILE"],
}
IN_A_NETWORK = {
    "genesis.json": ["status", "accounts", "logs"],
    "network.toml": ["status"],
    "accounts.json": ["status", "accounts"],
    "faults.json": ["fault list"],
    "nodes/s0v0/node.toml": ["status", "config check"],
    "nodes/s0v0/validator.key": ["config check"],
    "nodes/s0v0/identity.key": ["config check"],
    "nodes/s0v0/node.pid": ["status", "down"],
    "network.json": ["status", "down"],
}


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("hostile")
    (place / "network.toml").write_text("shards = 1\nvalidators = 1\nbeacon_size = 1\n")
    assert (
        main(["init", "--dir", str(place / "net"), "--manifest", str(place / "network.toml")]) == 0
    )
    return place


def run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """The exit code and the error: one line of bounded length, or nothing, as of `status`."""
    capsys.readouterr()
    code = main(arguments)
    error = capsys.readouterr().err
    assert error.count("\n") <= 1, error
    assert len(error) < 3000
    assert error.removesuffix("\n").isprintable()
    assert "Traceback" not in error
    return code, error


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_is_one_line(
    kind: str,
    command: str,
    network: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(network)
    file = tmp_path / "given.toml"
    HOSTILE[kind](file)
    places = {"FILE": str(file), "new": str(tmp_path / "new")}
    code, error = run([places.get(word, word) for word in COMMANDS[command]], capsys)
    if kind == "empty" and command in ("init", "check", "scenario"):
        return  # it is one of defaults
    assert code in (1, 2)
    assert error.startswith("atoll: error: ")


@pytest.mark.parametrize(
    ("name", "command"), [(name, c) for name, commands in IN_A_NETWORK.items() for c in commands]
)
@pytest.mark.parametrize("kind", SOME)
def test_a_network_with_a_hostile_file_is_one_line(
    kind: str, name: str, command: str, network: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = network / "net" / name
    aside = file.with_name(file.name + ".aside")
    if was_there := file.exists():
        file.rename(aside)
    try:
        HOSTILE[kind](file)
        place = (
            [str(network / "net")] if command == "config check" else ["--dir", str(network / "net")]
        )
        run([*command.split(), *place], capsys)
    finally:
        if file.is_dir() and not file.is_symlink():
            file.rmdir()
        else:
            file.unlink(missing_ok=True)
        if was_there:
            aside.rename(file)


@pytest.mark.parametrize(
    "arguments",
    [
        ["up", "--dir", "NEW", "--shards", "9" * 30],
        ["up", "--dir", "NEW", "--shards", "-1"],
        ["up", "--dir", "NEW", "--validators", "9" * 5000],
        ["up", "--dir", "NEW", "--rpc-port", "70000"],
        ["up", "--dir", "NEW", "--shards", "nan"],
        ["up", "--dir", "/dev/null/net"],
        ["up", "--dir", "/proc/net-of-atoll"],
        ["up", "--dir", "x" * 5000],
        ["send", "0", "1", "1e999999999", "--dir", "net"],
        ["send", "0", "1", "nan", "--dir", "net"],
        ["send", "0", "1", "9" * 100_000, "--dir", "net"],
        ["send", "9" * 5000, "1", "1", "--dir", "net"],
        ["balance", "0x" + "1" * 5000, "--dir", "net"],
        ["call", "0", "f(" * 5000, "--dir", "net"],
        ["logs", "--lines", "9" * 400, "--dir", "net"],
        ["logs", "--grep", "(" * 5000, "--dir", "net"],
        ["dump", "/dev/null/x.dump", "--dir", "net"],
        ["trace", "0x" + "0" * 63, "--dir", "net"],
        ["\x1b[2J"],
        ["status", "--dir", "\x1b]0;x\x07"],
    ],
    ids=lambda arguments: " ".join(arguments)[:40].encode("unicode_escape").decode(),
)
def test_an_absurd_argument_is_one_line(
    arguments: list[str],
    network: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(network)
    code, error = run([str(tmp_path / "new") if a == "NEW" else a for a in arguments], capsys)
    assert code in (1, 2)
    assert error.startswith("atoll: error: ")
