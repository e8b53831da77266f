"""The guards that run before anything else is imported."""

import base64
import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from node import startup

HOME = Path(startup.__file__).parent.parent


def test_this_tree_is_sound() -> None:
    assert startup.problem() is None


def test_an_old_python_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 1))
    trouble = startup.problem()
    assert trouble is not None
    assert trouble.startswith("Python 3.11 or newer is needed, this is 3.9")


def tree(where: Path) -> Path:
    for name in startup.PACKAGES:
        (where / name).mkdir(parents=True)
        (where / name / "__init__.py").write_text("")
        (where / name / "py.typed").write_text("")
    (where / "node" / "startup.py").write_text(Path(startup.__file__).read_text())
    return where


def judged(*path: Path) -> str:
    """What the guard of the tree says when Python searches `path`."""
    program = (
        f"import sys; sys.path[:0] = {[str(place) for place in path]}\n"
        "from node import startup; print(startup.problem())"
    )
    return subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.mark.slow
def test_a_package_of_the_same_name_found_first(tmp_path: Path) -> None:
    ours = tree(tmp_path / "ours")
    assert judged(ours) == "None"
    (tmp_path / "theirs" / "rpc").mkdir(parents=True)
    (tmp_path / "theirs" / "rpc" / "__init__.py").write_text("")
    trouble = judged(tmp_path / "theirs", ours)
    assert trouble.startswith(
        f"atoll's package 'rpc' is in {ours}, but Python finds {tmp_path}/theirs/rpc"
    )
    assert "virtual environment of its own" in trouble


@pytest.mark.slow
def test_a_module_instead_of_the_package(tmp_path: Path) -> None:
    ours = tree(tmp_path / "ours")
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "p2p.py").write_text("")
    assert "atoll's package 'p2p'" in judged(tmp_path / "theirs", ours)


@pytest.mark.slow
def test_a_package_that_was_replaced(tmp_path: Path) -> None:
    ours = tree(tmp_path)
    (ours / "consensus" / "py.typed").unlink()
    assert "'consensus'" in judged(ours)
    assert "is not atoll's" in judged(ours)


@pytest.mark.slow
def test_an_installed_file_that_was_overwritten(tmp_path: Path) -> None:
    ours = tree(tmp_path)
    info = ours / "atoll-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: atoll\nVersion: 0.1.0\n")
    digest = base64.urlsafe_b64encode(hashlib.sha256(b"").digest()).rstrip(b"=").decode()
    (info / "RECORD").write_text(
        "".join(f"{name}/__init__.py,sha256={digest},0\n" for name in startup.PACKAGES)
    )
    assert judged(ours) == "None"
    (ours / "rpc" / "__init__.py").write_text("# a library for remote procedure calls\n")
    assert judged(ours).startswith("another distribution has overwritten rpc/__init__.py")
