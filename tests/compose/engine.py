"""A container engine for the tests: the one that runs, or one of our own that ends with them."""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
START_SECONDS = 60.0
STOP_SECONDS = 60.0


class NoEngine(Exception):
    """No engine can run here; the text says why."""


@dataclass(frozen=True, slots=True)
class Engine:
    """Where `docker` and both kinds of Compose find their engine."""

    environment: dict[str, str]

    def docker(self, *args: str, check: bool = True, **options: Any) -> str:
        """The output of a docker command; raises AssertionError with both streams if it fails."""
        return run("docker", *args, env=self.environment, check=check, **options)

    def inspect(self, *names: str) -> list[dict[str, Any]]:
        return list(json.loads(self.docker("inspect", *names)))

    def compose(self, version: int) -> list[str] | None:
        """The command of Compose v2, or of docker-compose 1; None where it is not installed."""
        command = ["docker", "compose"] if version == 2 else ["docker-compose"]
        if shutil.which(command[0]) is None:
            return None
        found = subprocess.run(
            [*command, "version", "--short"],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        is_it = found.returncode == 0 and found.stdout.strip().lstrip("v").startswith(f"{version}.")
        return command if is_it else None


def run(*command: str, env: dict[str, str], check: bool = True, seconds: float = 120.0) -> str:
    done = subprocess.run(
        command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False
    )
    if check and done.returncode != 0:
        shown = f"{' '.join(command)}: exit {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        raise AssertionError(shown)
    return done.stdout


@contextmanager
def engine() -> Iterator[Engine]:
    """Raises NoEngine."""
    if shutil.which("docker") is None:
        raise NoEngine("docker is not installed (Debian: apt-get install docker.io)")
    with ExitStack() as stack:
        environment = dict(os.environ)
        if not _answers(environment):
            environment |= stack.enter_context(_own_daemon())
            environment.setdefault("DOCKER_BUILDKIT", "0")  # the builder that needs no plugin
        found = Engine(environment)
        if found.compose(2) is None and "ATOLL_COMPOSE_TOOL" in environment:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="atoll-compose-")))
            run("bash", environment["ATOLL_COMPOSE_TOOL"], str(folder), env=environment)
            environment["DOCKER_CONFIG"] = str(folder)
        yield found


def provide_base_image(found: Engine) -> None:
    """The image that the Dockerfile builds on. Where no registry of images can be reached, a tool makes one."""
    tool = found.environment.get("ATOLL_BASE_IMAGE_TOOL")
    match = re.search(r"^ARG PYTHON=(\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert match is not None
    if tool is None or found.docker("images", "-q", match[1]).strip():
        return
    with tempfile.TemporaryDirectory(prefix="atoll-base-") as folder:
        done = subprocess.run(
            ["bash", tool, match[1]],
            env=found.environment,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        log = "".join(file.read_text()[-2000:] for file in Path(folder).glob("*.log"))
    assert done.returncode == 0, f"{tool}: exit {done.returncode}\n{done.stderr[-2000:]}\n{log}"


def _answers(environment: dict[str, str]) -> bool:
    found = subprocess.run(
        ["docker", "info"], env=environment, capture_output=True, check=False, timeout=60
    )
    return found.returncode == 0


@contextmanager
def _own_daemon() -> Iterator[dict[str, str]]:
    """A dockerd with its socket and all its files in a folder of its own. Raises NoEngine."""
    if shutil.which("dockerd") is None:
        raise NoEngine("no engine runs, and dockerd is not installed (apt-get install docker.io)")
    if os.geteuid() != 0:
        raise NoEngine("no engine runs, and only root can start one")
    bridged = Path("/sys/class/net/docker0").exists()
    folder = Path(tempfile.mkdtemp(prefix="atoll-dockerd-"))
    host = f"unix://{folder}/docker.sock"
    with (folder / "dockerd.log").open("wb") as log:
        daemon = subprocess.Popen(
            [
                "dockerd",
                f"--host={host}",
                f"--data-root={folder}/data",
                f"--exec-root={folder}/exec",
                f"--pidfile={folder}/dockerd.pid",
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )
    environment = {"DOCKER_HOST": host}
    try:
        _await_start(daemon, folder, dict(os.environ) | environment)
        yield environment
    finally:
        daemon.send_signal(signal.SIGTERM)
        try:
            daemon.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()
        if not bridged:
            subprocess.run(["ip", "link", "delete", "docker0"], capture_output=True, check=False)
        shutil.rmtree(folder, ignore_errors=True)


def _await_start(daemon: "subprocess.Popen[bytes]", folder: Path, env: dict[str, str]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _answers(env):
        if daemon.poll() is not None or time.monotonic() > deadline:
            log = (folder / "dockerd.log").read_text(errors="replace")[-1500:]
            raise NoEngine(f"dockerd does not start here: {log}")
        time.sleep(0.2)
