"""The launcher of a network, as the process that wanted it sees it."""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from node.cluster.errors import NetworkFailed
from node.cluster.launch import READY_DEADLINE, READY_DEADLINE_PER_NODE, locked_directory
from node.cluster.layout import LAUNCHER, NETWORK
from node.cluster.manifest import Manifest
from node.cluster.processes.pidfile import read_pid_file
from node.cluster.processes.processes import KILL_DEADLINE, STOP_DEADLINE
from node.commands.common import EXIT_USER_ERROR
from node.config.toml import render_toml
from node.primitives.errors import UserError

START_MARGIN = 30.0
POLL_INTERVAL = 0.03


def patience(nodes: int) -> float:
    """Seconds in which a network of so many nodes is up."""
    return READY_DEADLINE + READY_DEADLINE_PER_NODE * nodes + START_MARGIN


class Supervised:
    """The network in `directory`, stored or new, run by a launcher (node.testing.launcher) that ends with this
    process."""

    def __init__(self, manifest: Manifest, directory: Path) -> None:
        """Starts the launcher, which goes on by itself: `wait_until_up` is to be called next."""
        self._directory = directory
        self._patience = patience(sum(manifest.committee_sizes()))
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 - open for as long as the launcher
        self._process = subprocess.Popen(
            # -P: whatever is called `node` where the tests are run is not meant
            [sys.executable, "-P", "-m", "node.testing.launcher", directory, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=self._said,
            stderr=self._said,
            text=True,
            start_new_session=True,  # Ctrl-C in a terminal is for the tests; they stop it
        )
        try:
            assert self._process.stdin is not None
            with contextlib.suppress(BrokenPipeError), self._process.stdin as pipe:
                pipe.write(render_toml(manifest))
        except BaseException:  # Ctrl-C: nobody else knows of it yet
            self.stop()
            raise

    def wait_until_up(self, timeout: float | None = None) -> None:
        """Return when every chain makes blocks. Raises UserError or NetworkFailed; it may still run then."""
        timeout = self._patience if timeout is None else timeout
        deadline = time.monotonic() + timeout
        while not self._is_up():
            if self._process.poll() is not None:
                kind = UserError if self._process.returncode == EXIT_USER_ERROR else NetworkFailed
                raise kind(f"the network could not be started: {self._told()}")
            if time.monotonic() > deadline:
                raise NetworkFailed(
                    f"the network is not up after {timeout:g} s; {self._told()}; "
                    f"the logs of its nodes are below {self._directory}"
                )
            time.sleep(POLL_INTERVAL)

    def stop(self) -> None:
        """Stop the nodes and the launcher. Idempotent."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_DEADLINE + 2 * KILL_DEADLINE)
            except subprocess.TimeoutExpired:
                self._process.kill()  # its nodes notice
                self._process.wait()
        # If it was killed, its nodes are still there. Whoever has the lock meanwhile has stopped them.
        with contextlib.suppress(UserError), locked_directory(self._directory, reset=False):
            pass
        self._said.close()

    def _is_up(self) -> bool:
        """True if our launcher says so. It has the lock since before it wrote its name, and removed what other
        launchers had left."""
        launcher = read_pid_file(self._directory / LAUNCHER)
        ours = launcher is not None and launcher.pid == self._process.pid
        return ours and (self._directory / NETWORK).exists()

    def _told(self) -> str:
        self._said.seek(0)
        return self._said.read().strip() or "its launcher said nothing"
