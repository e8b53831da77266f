"""All that the node writes goes through the helpers that make it durable, but for what is named here."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PROJECT = Path(__file__).parents[2]
PACKAGES = ("node", "p2p", "rpc", "consensus")
HELPERS = {
    "node/storage/files.py",
    "node/storage/wal.py",
    "node/storage/last_signed.py",
}
"""Where the order of writes, syncs and renames is, tested with power cuts at every boundary."""

EXCEPTIONS = {
    ("node/cluster/dumps/dump.py", "copyfile"): "into the stage, which a dump deletes",
    ("node/cluster/dumps/dump.py", "mkdir"): "in the stage",
    ("node/cluster/dumps/dump.py", "mkdtemp"): "the stage",
    ("node/cluster/dumps/dump.py", "link"): "into the stage",
    ("node/cluster/dumps/dump.py", "open"): "a descriptor of `replacing`",
    ("node/cluster/dumps/dump.py", "rmtree"): "the stage",
    (
        "node/cluster/faults/damage.py",
        "rmtree",
    ): "a database to be synced again, and copies that are used",
    ("node/cluster/layout.py", "rmtree"): "of a directory whose manifest is gone for good",
    ("node/cluster/layout.py", "unlink"): "the same",
    (
        "node/cluster/processes/logfile.py",
        "open",
    ): "the log of a node: what a crash takes of it is no loss",
    ("node/cluster/processes/logfile.py", "replace"): "the same",
    ("node/cluster/processes/logfile.py", "write"): "the same",
    (
        "node/cluster/launch.py",
        "unlink",
    ): "says that the network is up, which it is not after a crash",
    (
        "node/cluster/processes/processes.py",
        "unlink",
    ): "a pid file: nothing has that pid after a crash",
    ("node/cluster/processes/processes.py", "open"): "/dev/null",
    ("node/cluster/processes/processes.py", "write"): "a pipe",
    ("node/cluster/processes/signals.py", "write"): "a pipe",
    ("node/cluster/show/logs.py", "open"): "for reading",
    ("node/cluster/dumps/restore.py", "unlink"): "what is undone when loading fails",
    ("node/cluster/dumps/restore.py", "rmdir"): "the same",
    ("node/commands/proofs.py", "write_bytes"): "a file that the person asked for, maybe a pipe",
    ("node/commands/scenario.py", "write_text"): "the same",
    ("node/commands/scenario.py", "mkdtemp"): "a network that is deleted",
    ("node/commands/scenario.py", "rmtree"): "the same",
    ("node/testing/network.py", "mkdtemp"): "the same",
    ("node/testing/network.py", "rmtree"): "the same",
    ("node/testing/supervised.py", "TemporaryFile"): "what a process says",
    ("rpc/connection.py", "write"): "a socket",
}
"""Calls elsewhere that change the file system, and why none of them has to outlive a crash."""

OF_OS = {
    "open", "write", "pwrite", "writev", "rename", "renames", "replace", "link", "symlink", "unlink", "remove",
    "mkdir", "makedirs", "rmdir", "truncate", "ftruncate", "mkfifo",
}  # fmt: skip
OF_PATHS = {
    "write_text",
    "write_bytes",
    "mkdir",
    "rename",
    "unlink",
    "rmdir",
    "symlink_to",
    "hardlink_to",
}
OF_OTHERS = {
    "shutil": {"copy", "copy2", "copyfile", "copyfileobj", "copytree", "move", "rmtree", "unpack_archive"},
    "tempfile": {"mkdtemp", "mkstemp", "NamedTemporaryFile", "TemporaryDirectory", "TemporaryFile"},
}  # fmt: skip
ALL = OF_OS | OF_PATHS | {"touch"} | set[str]().union(*OF_OTHERS.values())
CALLED = re.compile(rf"\b({'|'.join(sorted(ALL))})\(")
"""What a file says that has such a call. The others need no parsing."""


def changes(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """(name, line) of each call that may change the file system."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        match node.func:
            case ast.Attribute(value=ast.Name(id="os"), attr=name) if name in OF_OS:
                yield name, node.lineno
            case ast.Attribute(value=ast.Name(id=module), attr=name) if name in OF_OTHERS.get(
                module, ()
            ):
                yield name, node.lineno
            case ast.Attribute(attr=name) if name in OF_PATHS:
                yield name, node.lineno
            case ast.Attribute(attr="touch") if not node.args:  # what has arguments is no path
                yield "touch", node.lineno
            case ast.Attribute(attr="replace") if len(node.args) == 1 and not node.keywords:
                yield "replace", node.lineno  # of a path: that of a string has two
            case ast.Attribute(attr="open") if _writes(node.args[:1], node):
                yield "open", node.lineno
            case ast.Name(id="open") if _writes(node.args[1:2], node):
                yield "open", node.lineno


def _writes(mode: list[ast.expr], call: ast.Call) -> bool:
    mode = mode or [word.value for word in call.keywords if word.arg == "mode"]
    return any(
        isinstance(m, ast.Constant) and isinstance(m.value, str) and set(m.value) & set("wax+")
        for m in mode
    )


@cache
def found() -> list[tuple[str, str, int]]:
    """(file, call, line) of every change outside of the helpers."""
    return list(_found())


def _found() -> Iterator[tuple[str, str, int]]:
    for package in PACKAGES:
        for file in sorted((PROJECT / package).rglob("*.py")):
            name = file.relative_to(PROJECT).as_posix()
            source = file.read_text("utf-8")
            if name not in HELPERS and CALLED.search(source):
                for call, line in changes(ast.parse(source)):
                    yield name, call, line


def test_nothing_durable_is_written_past_the_helpers() -> None:
    past = [
        f"{file}:{line} {call}" for file, call, line in found() if (file, call) not in EXCEPTIONS
    ]
    assert not past, "use node.storage.files, or say here why a crash may take it"


def test_every_exception_is_still_there() -> None:
    assert EXCEPTIONS.keys() - {(file, call) for file, call, _ in found()} == set()


def test_what_is_looked_for_is_found() -> None:
    source = """
os.replace(a, b); path.replace(other); path.write_text(x); open(path, "wb"); path.open("a"); shutil.move(a, b)
text.replace("a", "b"); open(path); path.open("rb"); replace(state, round=1); os.fsync(1)
"""
    calls = [name for name, _ in changes(ast.parse(source))]
    assert sorted(calls) == ["move", "open", "open", "replace", "replace", "write_text"]
