"""Files of a node that does not run, damaged on purpose, and put right again."""

import shutil
from pathlib import Path

from node.cluster.fault_model import File
from node.cluster.layout import NodeLayout
from node.primitives.errors import UserError
from node.storage.files import make_directory, write_atomically

FIRST, STEP = 20, 1024
"""One byte in each KiB, so that no block or record of the file stays whole."""
KEPT = "whole"

_PATTERNS: dict[File, str] = {
    "table": "chain/*.ldb",
    "log": "chain/*.log",
    "manifest": "chain/MANIFEST-*",
    "wal": "consensus/shard-*.wal",
    "signed": "consensus/shard-*.signed",
}


def damage(node: NodeLayout, file: File) -> Path:
    """Change bytes of the largest such file; returns its path. A copy is kept beside the data.

    Raises UserError if the node has none.
    """
    data = node.config.data_dir
    found = [path for path in data.glob(_PATTERNS[file]) if path.stat().st_size > FIRST]
    if not found:
        hint = (
            "; LevelDB writes one when its log is full, or when the node starts again"
            if file == "table"
            else ""
        )
        raise UserError(f"{node.name} has no {file} in {data} to be damaged{hint}")
    path = max(found, key=lambda path: (path.stat().st_size, path.name))
    content = bytearray(path.read_bytes())
    kept = _kept(node, path)
    make_directory(kept.parent)
    write_atomically(kept, bytes(content))
    for place in range(FIRST, len(content), STEP):
        content[place] ^= 0xFF
    write_atomically(path, bytes(content))
    return path


def repair(node: NodeLayout, file: File) -> None:
    """Repair as the error at the start says. A database is deleted, to be synced from the peers. A file of
    consensus is restored from its copy, which is whole since the node did not run.
    """
    data = node.config.data_dir
    if _PATTERNS[file].startswith("chain/"):
        shutil.rmtree(data / "chain", ignore_errors=True)
    else:
        for path in data.glob(_PATTERNS[file]):
            if (kept := _kept(node, path)).exists():
                write_atomically(path, kept.read_bytes())
    shutil.rmtree(node.files.directory / KEPT, ignore_errors=True)


def _kept(node: NodeLayout, path: Path) -> Path:
    return node.files.directory / KEPT / path.name
