"""tools/setup.sh: which Python it takes, and what it says of one that cannot be used, before it installs."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


class Machine:
    """A checkout without .venv, and a PATH whose Pythons say that they are of other versions."""

    def __init__(self, directory: Path) -> None:
        self.bin = directory / "bin"
        self.checkout = directory / "checkout"
        self.bin.mkdir()
        (self.checkout / "tools").mkdir(parents=True)
        for name in ("setup.sh", "usable_python.py"):
            shutil.copy(ROOT / "tools" / name, self.checkout / "tools" / name)
        for program in ("sh", "sed", "dirname", "cat"):
            (self.bin / program).symlink_to(str(shutil.which(program)))

    def python(self, name: str, version: str, change: str = "") -> Path:
        """An interpreter that says it is of another version; `change` is a line that it runs first."""
        path = self.bin / name
        path.parent.mkdir(parents=True, exist_ok=True)
        number = tuple(map(int, version.split(".")))
        path.write_text(
            "#!/bin/sh\n"
            f'[ "$1" = --version ] && {{ echo "Python {version}"; exit; }}\n'
            f"exec '{sys.executable}' -c 'import platform, runpy, sys, sysconfig\n"
            f'sys.version_info = {number}\n{change}\nrunpy.run_path(sys.argv[1], run_name="__main__")\' "$@"\n'
        )
        path.chmod(0o755)
        return path

    def choice(self, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/bin/sh", "tools/setup.sh", "which"],
            cwd=self.checkout, env={"PATH": str(self.bin), **env}, text=True, capture_output=True, check=False,
        )  # fmt: skip


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("version", ["3.11.2", "3.12.0", "3.13.7"])
def test_python3_is_taken_if_it_is_fit(machine: Machine, version: str) -> None:
    machine.python("python3", version)
    machine.python("python3.13", "3.13.0")
    assert machine.choice().stdout == f"{machine.bin / 'python3'}: Python {version}\n"


@pytest.mark.parametrize("version", ["3.10.13", "3.14.0"])
def test_otherwise_the_newest_that_is_fit(machine: Machine, version: str) -> None:
    machine.python("python3", version)
    machine.python("python3.11", "3.11.7")
    machine.python("python3.12", "3.12.1")
    assert machine.choice().stdout == f"{machine.bin / 'python3.12'}: Python 3.12.1\n"


def test_a_shim_that_leads_nowhere_is_passed_over(machine: Machine) -> None:
    for name in ("python3", "python3.13"):
        (machine.bin / name).write_text("#!/bin/sh\necho pyenv: command not found >&2; exit 127\n")
        (machine.bin / name).chmod(0o755)
    machine.python("python3.12", "3.12.1")
    assert machine.choice().stdout == f"{machine.bin / 'python3.12'}: Python 3.12.1\n"


def test_the_environment_that_is_there_stays(machine: Machine) -> None:
    machine.python("python3", "3.13.0")
    machine.python("../checkout/.venv/bin/python", "3.12.1")
    assert machine.choice().stdout == ".venv/bin/python: Python 3.12.1\n"


def test_what_the_user_names_comes_first_and_has_no_substitute(machine: Machine) -> None:
    machine.python("python3", "3.13.0")
    named = machine.python("a python/python", "3.11.7")
    assert machine.choice(PYTHON=str(named)).stdout == f"{named}: Python 3.11.7\n"
    refused = machine.choice(PYTHON=str(machine.python("python3.10", "3.10.1")))
    assert "Python 3.10 is too old" in refused.stderr


@pytest.mark.parametrize(
    ("version", "change", "said"),
    [
        ("3.9.1", "", "Python 3.9 is too old"),
        ("3.14.0", "", "Python 3.14 is too new: coincurve has no wheel for it yet"),
        (
            "3.13.0",
            'platform.python_implementation = lambda: "PyPy"',
            "cannot be used: the dependencies have wheels for CPython",
        ),
        (
            "3.13.0",
            'sysconfig.get_config_var = {"Py_GIL_DISABLED": 1}.get',
            "cannot be used: the dependencies have wheels for CPython with the GIL",
        ),
        (
            "3.11.0",
            'platform.system, platform.machine = lambda: "Darwin", lambda: "arm64"',
            "Python 3.11 cannot be used on Darwin arm64: plyvel has wheels for it on Linux x86_64 alone",
        ),
        ("3.12.0", 'sys.modules["ensurepip"] = None', "Python 3.12 lacks venv"),
        (
            "3.12.0",
            'sysconfig.get_path = lambda name: "/nowhere"',
            "Python 3.12 lacks its headers, /nowhere/Python.h",
        ),
    ],
)
def test_what_a_python_lacks_is_said_in_one_line(
    machine: Machine, version: str, change: str, said: str
) -> None:
    machine.python("python3", version, change)
    done = machine.choice()
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "Python 3.11, 3.12 or 3.13 is needed" in done.stderr


def test_no_python_at_all(machine: Machine) -> None:
    done = machine.choice()
    assert done.returncode == 2
    assert done.stderr.startswith("atoll: error: no Python was found; Python 3.11, 3.12 or 3.13")
