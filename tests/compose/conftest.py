"""The network of docker-compose.yml in containers. ATOLL_COMPOSE=1 runs these tests: they build an image."""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from web3 import Web3

from tests.compose.engine import Engine, NoEngine, engine, provide_base_image, run

UP_SECONDS = 400.0
WAIT_SECONDS = 180.0

_timings: dict[str, float] = {}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.compose)
            item.add_marker(pytest.mark.timeout(900))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _timings:
        terminalreporter.section("containers")
        for what, seconds in _timings.items():
            terminalreporter.write_line(f"{what:<58}{seconds:8.1f} s")


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Shown at the end of the run."""
    started = time.monotonic()
    yield
    _timings[what] = time.monotonic() - started


def wait_for(condition: Any, what: str, seconds: float = WAIT_SECONDS) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds:g} s for {what}")
        time.sleep(0.2)
    return found


@pytest.fixture(scope="session")
def docker() -> Iterator[Engine]:
    if os.environ.get("ATOLL_COMPOSE") != "1":
        pytest.skip("ATOLL_COMPOSE=1 builds the image and runs the network in containers")
    try:
        with engine() as found:
            yield found
    except NoEngine as reason:
        pytest.skip(f"NOT RUN, no container engine can run here: {reason}")


@pytest.fixture(scope="session")
def image(docker: Engine) -> str:
    """atoll:local, built as the Compose file says."""
    with timed("base image"):
        provide_base_image(docker)
    with timed("build"):
        run(*_compose(docker, 2), "build", "genesis", env=docker.environment, seconds=900)
    return "atoll:local"


def _compose(docker: Engine, version: int) -> list[str]:
    command = docker.compose(version)
    if command is None:
        pytest.skip(f"NOT RUN: Compose {version} is not installed")
    return command


class Project:
    """The Compose file as a project of its own, on a free port."""

    def __init__(self, docker: Engine, version: int = 2, profiles: str = "") -> None:
        self.docker = docker
        self.name = f"atoll-test-{os.getpid()}-{version}" + profiles.replace(",", "-")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._command = [*_compose(docker, version), "--project-name", self.name]
        self._environment = {
            **docker.environment,
            "ATOLL_RPC_PORT": str(self.port),
            "COMPOSE_PROFILES": profiles,
        }

    def __call__(self, *args: str, seconds: float = UP_SECONDS, check: bool = True) -> str:
        return run(*self._command, *args, env=self._environment, seconds=seconds, check=check)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def w3(self) -> Web3:
        return Web3(Web3.HTTPProvider(self.endpoint, request_kwargs={"timeout": 20}))

    def container(self, service: str) -> str:
        """The id of a service's container, stopped ones too."""
        label = f"label=com.docker.compose.service={service}"
        found = self.docker.docker("ps", "-aq", "--filter", label, "--filter", self.label)
        return found.strip()

    @property
    def label(self) -> str:
        return f"label=com.docker.compose.project={self.name}"

    def containers(self) -> dict[str, dict[str, Any]]:
        """What the engine knows of every container, by service."""
        ids = self.docker.docker("ps", "-aq", "--filter", self.label).split()
        found = self.docker.inspect(*ids) if ids else []
        return {c["Config"]["Labels"]["com.docker.compose.service"]: c for c in found}

    def nodes(self) -> dict[str, dict[str, Any]]:
        return {name: c for name, c in self.containers().items() if name != "genesis"}

    def health(self, service: str) -> str:
        (found,) = self.docker.inspect(self.container(service))
        state = found["State"]
        return str(state["Health"]["Status"]) if state["Running"] else str(state["Status"])

    def accounts(self, shard: int) -> list[dict[str, Any]]:
        """Funded accounts at home on a shard."""
        text = self.docker.docker(
            "exec", self.container("s0v0"), "cat", "/network/net/accounts.json"
        )
        return [account for account in json.loads(text) if account["home"] == shard]

    def height(self, shard: int) -> int:
        """The shard's own height, from its best node, as the published endpoint tells."""
        shards = self.w3.provider.make_request("atoll_shards", [])["result"]  # type: ignore[arg-type]
        return next(s["height"] or 0 for s in shards if s["id"] == shard)

    def own_height(self, service: str) -> int | None:
        """What a node itself says, None if it does not answer."""
        ask = (
            "import json, urllib.request as r\n"
            'call = b\'{"jsonrpc":"2.0","id":1,"method":"atoll_status"}\'\n'
            "request = r.Request('http://127.0.0.1:8545', call, {'Content-Type': 'application/json'})\n"
            "print(json.load(r.urlopen(request, timeout=3))['result']['chains']['shard']['height'])"
        )
        out = self.docker.docker("exec", self.container(service), "python", "-c", ask, check=False)
        return int(out) if out.strip() else None

    def is_back(self, service: str, shard: int) -> bool:
        """Whether a node is healthy, and no more than a moment behind its shard."""
        if self.health(service) != "healthy":
            return False
        own = self.own_height(service)
        return own is not None and own >= self.height(shard) - 2

    def leftovers(self) -> str:
        """What the engine still has of the project: containers, networks, volumes."""
        return "".join(
            self.docker.docker(*command, "-q", "--filter", self.label)
            for command in (("ps", "-a"), ("network", "ls"), ("volume", "ls"))
        )

    def save_logs(self, folder: Path) -> None:
        (folder / f"{self.name}.log").write_text(self("logs", "--no-color", check=False))


@pytest.fixture(scope="session")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the logs of all containers stay."""
    return tmp_path_factory.mktemp("containers")


@pytest.fixture(scope="session")
def project(docker: Engine, image: str, logs: Path) -> Iterator[Project]:
    """2 shards of 4 validators, each in a container, all healthy."""
    project = Project(docker)
    try:
        with timed("2x4: up --wait"):
            project("up", "--wait", "--detach")
        yield project
    finally:
        project.save_logs(logs)
        with timed("2x4: down -v"):
            project("down", "-v", check=False)
