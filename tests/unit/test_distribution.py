"""What `pip install atoll` and the source distribution bring: all that is needed, and nothing else."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PACKAGES = ("consensus", "p2p", "rpc", "node")
DATA = {".py", ".typed", ".json", ".html", ".css", ".js", ".svg"}
METADATA = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "LICENSE"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", directory],
        cwd=ROOT, check=True, timeout=120, capture_output=True,
    )  # fmt: skip
    return directory


def ours(*below: str) -> set[str]:
    """The files of the repository, as git knows them or would take them."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout: nobody knows which files are ours")
    done = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *below],
        cwd=ROOT, check=True, timeout=60, capture_output=True, text=True,
    )  # fmt: skip
    return {name for name in done.stdout.split("\0") if name and (ROOT / name).exists()}


def test_the_wheel_has_the_packages_and_their_data(built: Path) -> None:
    (path,) = built.glob("atoll-*.whl")
    with zipfile.ZipFile(path) as wheel:
        names = set(wheel.namelist())
    metadata = {name for name in names if ".dist-info/" in name}
    assert {PurePosixPath(name).name for name in metadata} == METADATA
    packed = names - metadata
    assert packed == {name.removeprefix("node/public/") for name in ours(*PACKAGES)}
    assert {PurePosixPath(name).suffix for name in packed} <= DATA
    assert {f"{package}/py.typed" for package in (*PACKAGES, "atoll")} <= packed
    assert {f"node/primitives/{name}.json" for name in ("messenger", "predeploys")} <= packed
    assert path.stat().st_size < 2 << 20


def test_the_wheel_says_what_it_brings(built: Path) -> None:
    (path,) = built.glob("atoll-*.whl")
    with zipfile.ZipFile(path) as wheel:
        texts = {
            PurePosixPath(name).name: wheel.read(name).decode()
            for name in wheel.namelist()
            if ".dist-info/" in name
        }
    assert "atoll = node.cli:main" in texts["entry_points.txt"]
    assert "[pytest11]\natoll = node.testing.plugin" in texts["entry_points.txt"]
    assert "Provides-Extra: pytest" in texts["METADATA"]
    assert "Requires-Dist: pytest>=8; extra == 'pytest'" in texts["METADATA"]
    assert "Requires-Dist: pytest\n" not in texts["METADATA"]


def test_the_source_distribution_can_be_tested_and_built_again(built: Path) -> None:
    (path,) = built.glob("atoll-*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames()}
    assert names == ours() | {"PKG-INFO"}
