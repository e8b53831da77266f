"""The commands ask all nodes at once, in threads, right after their program has begun."""

import subprocess
import sys

import pytest

RACES = 60

RACE = """
import os, sys, threading
from pathlib import Path
import msgspec
from node.cluster.client import client
from node.cluster.processes import pidfile
from node.cluster import network_status as status

ANSWER = b'{"jsonrpc":"2.0","id":1,"result":null,"error":{"code":-32000,"message":"no"}}'
CHAIN = {"height": 1, "hash": "0x", "round": 0}
STATUS = {
    "name": "s0v0", "shard": 0, "chains": {"beacon": CHAIN, "shard": CHAIN}, "peers": 1,
    "peersExpected": 1, "pool": {"pending": 0, "queued": 0}, "syncing": False,
    "lanes": [{"src": 0, "dst": 1, "sent": 0, "delivered": 0}],
}
PID = Path(sys.argv[2])

def ask():
    begin.wait()
    client.decode_answer(ANSWER)
    msgspec.convert(STATUS, status.NodeStatus)
    assert pidfile.read_pid_file(PID).pid == 1

sys.setswitchinterval(1e-6)
died = 0
for _ in range(int(sys.argv[1])):
    child = os.fork()
    if child == 0:
        begin = threading.Barrier(8)
        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        os._exit(0)
    died += os.waitpid(child, 0)[1] != 0
print(died)
"""


@pytest.mark.slow
def test_first_answers_in_threads_do_not_crash(tmp_path):
    """msgspec crashed when two threads were the first to decode into one type."""
    pid = tmp_path / "node.pid"
    pid.write_text('{"pid":1,"started":"1"}')
    done = subprocess.run(
        [sys.executable, "-c", RACE, str(RACES), str(pid)],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    assert done.stdout.strip() == "0", f"{done.stdout.strip()} of {RACES} died"
