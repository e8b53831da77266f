"""The launcher of a network for tests, where another program has the network, or had it."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from node.cluster.launch import launch_lock
from node.cluster.layout import LAUNCHER, NETWORK, NetworkLayout
from node.cluster.make import make_network
from node.cluster.manifest import Manifest, RpcSection
from node.cluster.processes.pidfile import ProcessId
from node.commands.common import EXIT_INTERRUPTED
from node.config.toml import render_toml
from node.primitives.errors import UserError
from node.testing import launcher, supervised
from node.testing.supervised import Supervised

Enlist = Callable[[Path], ProcessId]


@pytest.fixture
def layout(tmp_path: Path) -> NetworkLayout:
    return make_network(Manifest(shards=1, validators=1, rpc=RpcSection(port=0)), tmp_path / "net")


@pytest.mark.cluster
def test_what_another_program_starts_at_the_same_time_is_left_alone(
    layout: NetworkLayout, silent: Enlist
) -> None:
    with launch_lock(layout.directory):
        node = silent(layout.nodes[0].files.pid)
        layout.network_file.write_text("{}")
        starting = Supervised(layout.manifest, layout.directory)
        try:
            with pytest.raises(UserError, match="another `atoll up` has the network in") as told:
                starting.wait_until_up()
        finally:
            starting.stop()
        assert "\n" not in str(told.value)
        assert node.is_alive
        assert layout.network_file.read_text() == "{}"


@pytest.mark.cluster
def test_a_launcher_that_is_not_told_its_network_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def children() -> set[int]:
        return set(
            map(int, Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split())
        )

    before, started = children(), set[int]()

    def interrupted(_: Manifest) -> str:
        started.update(children() - before)
        raise KeyboardInterrupt

    monkeypatch.setattr(supervised, "render_toml", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Supervised(Manifest(), tmp_path / "net")
    assert started
    assert all(ProcessId.of(pid) is None for pid in started)


def test_it_first_stops_what_a_killed_launcher_has_left(
    layout: NetworkLayout,
    silent: Enlist,
    killed: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As `atoll up` does: such nodes are about to end, and would end under those who use them."""
    node = silent(layout.nodes[0].files.pid)
    killed(layout.directory / LAUNCHER)
    (layout.directory / NETWORK).touch()
    seen = []

    class Launch:
        def __init__(self, of: NetworkLayout, *_: object, stays: bool) -> None:
            with pytest.raises(UserError, match="another `atoll up`"):
                launch_lock(of.directory)

        def up(self, _: object) -> None:
            seen.append((node.is_alive, layout.network_file.exists()))

    monkeypatch.setattr(launcher, "Launch", Launch)
    monkeypatch.setattr(launcher, "preloaded_node", lambda: None)
    code = launcher.launch(layout.directory, os.getpid(), render_toml(layout.manifest))
    assert (code, seen) == (EXIT_INTERRUPTED, [(False, False)])
