"""A process that ends with another one, however that one ends: cleanly, by a signal, or by `kill -9`.

A launcher that stays writes its pid file into the directory of the network. A program that starts a node there
ties it to that launcher (`node.cluster.processes.processes`), so that no node runs on without a process that
would stop it.
"""

import os
import signal
import threading
import time

from node.cluster.processes.pidfile import ProcessId

POLL_INTERVAL = 0.5
PATIENCE = 20.0
"""Seconds that a process has to stop cleanly before it kills itself."""


def end_with(process: ProcessId, *, patience: float = PATIENCE) -> None:
    """Once `process` has ended, send ourselves SIGTERM, and SIGKILL if we are still there after `patience`.

    A thread waits for it, since an event loop may be what does not come to an end. It asks for the process
    itself and not for our parent: a node that was started again has another one. (PR_SET_PDEATHSIG would look
    at the *thread* that started us.)
    """
    threading.Thread(target=_wait, args=(process, patience), name="lifeline", daemon=True).start()


def _wait(process: ProcessId, patience: float) -> None:
    while process.is_alive:
        time.sleep(POLL_INTERVAL)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(patience)
    os.kill(os.getpid(), signal.SIGKILL)
