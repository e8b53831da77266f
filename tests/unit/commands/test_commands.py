"""The command line: what a person sees for a mistake, and what the commands import."""

import subprocess
import sys
from pathlib import Path

import pytest

from node.cli import main
from node.cluster.layout import load_layout

SLOW = ("eth", "eth_account", "libp2p", "web3", "trio", "plyvel", "plyvel_next")


@pytest.mark.slow
def test_importing_the_command_is_light() -> None:
    program = f"import sys, node.cli; print([name for name in {SLOW} if name in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert found.stdout == "[]\n"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["upp"], 'Unknown command "upp". Did you mean "up"?'),
        (["up", "--shards", "0"], "--shards"),
        (["up", "--shards", "two"], "--shards"),
        (["up", "--rpc-port", "70000"], "--rpc-port"),
        (["up", "--detahc"], "--detahc"),
        (["up", "--param", "gas=1"], "--param 'gas=1': section 'params'"),
        (["up", "--block-time", "0"], "--block-time"),
        (["up", "--compat", "geth"], "--compat"),
        (["up", "--manifest", "absent.toml"], "absent.toml: there is no such file"),
        (["logs"], "there is no network in"),
        (["node"], "--config"),
        (["node", "--config", "absent.toml"], "absent.toml: there is no such file"),
        (["init", "--manifest", "absent.toml"], "absent.toml: there is no such file"),
        (["status", "--dir", "absent"], "there is no network in"),
        (["audit", "--dir", "absent"], "there is no network in"),
        (["logs", "s0v0", "--dir", "absent"], "there is no network in"),
        (["prove", "0x00", "--dir", "absent"], "there is no network in"),
        (["verify"], "FILE"),
        (["verify", "absent.json"], ".atoll/genesis.json: there is no such file; a genesis"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(
    arguments: list[str],
    expected: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    out, error = capsys.readouterr()
    assert error.startswith("atoll: error: ")
    assert expected in error
    assert error.count("\n") == 1
    assert out == ""
    assert list(tmp_path.iterdir()) == []


def test_down_without_a_network_is_no_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["down", "--dir", str(tmp_path)]) == 0
    assert "no node of" in capsys.readouterr().out


def test_init_writes_a_network_and_says_how_to_start_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = tmp_path / "network.toml"
    manifest.write_text('shards = 1\nvalidators = 2\nseed = "s"\n[rpc]\nport = 0\n')
    directory = tmp_path / "net"
    assert main(["init", "--manifest", str(manifest), "--dir", str(directory)]) == 0
    assert f"atoll node --config {directory}/nodes/s0v0/node.toml" in capsys.readouterr().out
    assert len(load_layout(directory).nodes) == 2
    assert main(["init", "--manifest", str(manifest), "--dir", str(directory)]) == 2
    assert "already" in capsys.readouterr().err


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip()
    assert main(["--help"]) == 0
    help_text = capsys.readouterr().out
    assert all(
        word in help_text
        for word in ("up", "down", "status", "init", "node", "logs", "audit", "prove", "verify")
    )


CALL_MAIN = "import sys; from node.cli import main; sys.exit(main(['--version']))"


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["-m", "node", "--version"], ["-c", CALL_MAIN]])
def test_optimised_python_is_refused(arguments: list[str]) -> None:
    found = subprocess.run(
        [sys.executable, "-O", *arguments], capture_output=True, text=True, check=False
    )
    assert found.returncode != 0
    assert found.stderr.startswith("atoll: error: Python's -O")
    assert found.stderr.count("\n") == 1


def test_the_environment_may_name_the_directory(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATOLL_DIR", str(tmp_path / "there"))
    assert main(["status"]) == 2
    assert str(tmp_path / "there") in capsys.readouterr().err
    assert main(["status", "--dir", str(tmp_path / "here")]) == 2
    assert str(tmp_path / "here") in capsys.readouterr().err
