"""`atoll up` and `down` over processes that only look like nodes: they count blocks and answer status."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from node.cli import main
from node.cluster.client.client import call
from node.cluster.layout import list_node_files, load_layout
from node.cluster.make import make_network
from node.cluster.manifest import Manifest, RpcSection
from node.cluster.network_status import NodeReport
from node.cluster.processes.processes import running_nodes, stop_nodes
from node.cluster.readiness import Readiness
from node.primitives.node_status import ChainStatus, ChainStatuses, NodeStatus, PoolStatus

pytestmark = pytest.mark.cluster

SECONDS = 120.0  # far more than anything takes: for a machine that does much else

PROGRAM = '''
"""atoll, with a node that makes no blocks but says that it does. Its manners are in DIR/manners."""
import json, signal, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import node.cli
import node.commands.network
from node.config.node_config import load_node_config


def run(path):
    config = load_node_config(path)
    manners = json.loads((config.genesis.parent / "manners").read_text()).get(config.name, {})
    print("starting", config.name)
    if manners.get("dies"):
        sys.exit("the sky is falling")
    stored = config.data_dir / "height"
    first = int(stored.read_text()) if stored.exists() else 0
    began = time.monotonic()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    if manners.get("stubborn"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            grown = 0 if manners.get("stalls") else int((time.monotonic() - began) / 0.2)
            head = {"height": first + grown, "hash": "0x" + "ab" * 32, "round": 0}
            result = {"name": config.name, "shard": int(config.name[1]), "validator": None,
                "version": "1", "genesis": "0x", "chains": {"beacon": head, "shard": head}, "peers": 1,
                "peersExpected": 1, "pool": {"pending": 3, "queued": 1},
                "lanes": [{"src": 0, "dst": 1, "sent": 5, "delivered": 4}], "syncing": False}
            answer = {"jsonrpc": "2.0", "id": request["id"], "result": result}
            if request["method"] == "atoll_audit":
                balanced = not manners.get("steals")
                answer["result"] = {"block": 7, "balanced": balanced, "difference": hex(10**30)}
            if request["params"] == ["0x63"]:
                answer = {"jsonrpc": "2.0", "id": request["id"],
                          "error": {"code": -32000, "message": "no block 99"}}
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer((config.rpc.host, config.rpc.port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    while not stop.wait(0.05):
        written = config.data_dir / "height.new"  # a node may be killed at any time
        written.write_text(str(first + int((time.monotonic() - began) / 0.2)))
        written.replace(stored)
    print("stopped", config.name)
    return 0


node.commands.network.preloaded_node = lambda: run
sys.exit(node.cli.main())
'''


class Net:
    """A network directory of 2 shards x 1, and the command over it."""

    def __init__(self, directory: Path, program: Path) -> None:
        self.directory = directory
        self.program = program
        make_network(Manifest(shards=2, validators=1, rpc=RpcSection(port=0)), directory)
        self.manners()

    def manners(self, **of_nodes: dict[str, bool]) -> None:
        (self.directory / "manners").write_text(json.dumps(of_nodes))

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(self.program), *arguments, "--dir", str(self.directory)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.getcwd()},
        )

    def run(self, *arguments: str) -> tuple[int, str, str]:
        with self.start(*arguments) as process:
            out, error = process.communicate(timeout=SECONDS)
            return process.returncode, out, error

    @property
    def document(self) -> Path:
        return self.directory / "network.json"

    def running(self) -> list[str]:
        return [item.node.name for item in running_nodes(list_node_files(self.directory))]


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Net]:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    made = Net(tmp_path / "net", program)
    yield made
    stop_nodes(running_nodes(list_node_files(made.directory)), deadline=0)


def until(condition: Callable[[], bool], seconds: float = SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.01)


def test_nodes_end_with_a_launcher_that_is_killed(net: Net) -> None:
    with net.start("up") as launcher:
        until(net.document.exists)
        assert len(net.running()) == 2
        launcher.kill()
        launcher.communicate(timeout=SECONDS)
    until(lambda: not net.running())
    for node in list_node_files(net.directory):
        assert f"stopped {node.name}" in node.log.read_text()  # cleanly
    code, _, error = net.run("up", "--detach")  # what it left is in nobody's way
    assert (code, error) == (0, "")
    assert len(net.running()) == 2


def test_up_detached_then_status_then_down(net: Net) -> None:
    code, out, error = net.run("up", "--detach")
    assert (code, error) == (0, "")
    document = json.loads(net.document.read_text())
    layout = load_layout(net.directory)
    assert document["chainId"] == 31337
    assert document["rpc"] == f"http://127.0.0.1:{layout.nodes[0].config.rpc.port}"
    assert document["ws"] == f"ws://127.0.0.1:{layout.nodes[0].config.rpc.port}"
    assert [shard["id"] for shard in document["shards"]] == [0, 1]
    second = document["shards"][1]
    assert second["rpc"] == f"{second['nodes'][0]['rpc']}/shard/1"
    assert second["nodes"][0]["name"] == "s1v0"
    assert Path(second["nodes"][0]["log"]).read_text().startswith("starting s1v0")
    assert call(second["nodes"][0]["rpc"], "atoll_status")["name"] == "s1v0"
    assert len(document["accounts"]) >= 10
    assert document["accounts"][0]["address"] in out
    assert document["accounts"][0]["privateKey"] in out
    assert f"shard {document['accounts'][0]['home']}" in out
    assert net.document.stat().st_mode & 0o777 == 0o600

    code, out, _ = net.run("status", "--json")
    status = json.loads(out)
    assert code == 0
    assert status["beacon"]["height"] >= 1
    assert status["shards"][1]["pool"] == {"pending": 3, "queued": 1}
    assert [node["state"] for node in status["nodes"]] == ["up", "up"]
    assert [node["pid"] for node in status["nodes"]] == [
        shard["nodes"][0]["pid"] for shard in document["shards"]
    ]
    assert all(node["lag"] == 0 and node["problem"] is None for node in status["nodes"])
    assert status["lanes"] == [{"src": 0, "dst": 1, "sent": 5, "delivered": 4}]
    code, out, _ = net.run("status")
    assert code == 0
    assert "0 -> 1" in out
    assert "s1v0" in out

    code, _, error = net.run("up", "--detach")
    assert code == 2
    assert "is running; `atoll down` stops it" in error
    code, _, error = net.run("up", "--reset")
    assert code == 2
    assert "is running" in error

    code, out, _ = net.run("down")
    assert (code, out) == (0, "stopped 2 nodes\n")
    assert net.running() == []
    assert not net.document.exists()
    assert net.run("down")[0] == 0
    code, out, _ = net.run("status")
    assert code == 1
    assert "down" in out


def test_up_in_the_foreground_until_ctrl_c_and_again(net: Net) -> None:
    with net.start("up") as process:
        until(net.document.exists)
        assert net.run("up")[0] == 2  # also while another one watches it
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=SECONDS)
    assert (process.returncode, error) == (0, "")
    assert net.running() == []
    assert not net.document.exists()
    assert "stopped s0v0" in (net.directory / "nodes/s0v0/node.log").read_text()
    height = int((net.directory / "nodes/s0v0/data/height").read_text())

    assert net.run("up", "--detach")[0] == 0
    rpc = json.loads(net.document.read_text())["rpc"]
    assert call(rpc, "atoll_status")["chains"]["beacon"]["height"] > height


def test_ctrl_c_while_it_starts(net: Net) -> None:
    net.manners(s0v0={"stalls": True}, s1v0={"stalls": True})
    with net.start("up") as process:
        until(lambda: len(net.running()) == 2)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    assert net.running() == []


def test_a_second_ctrl_c_does_not_wait(net: Net) -> None:
    net.manners(s0v0={"stubborn": True})
    with net.start("up") as process:
        until(net.document.exists)
        process.send_signal(signal.SIGINT)
        until(lambda: net.running() == ["s0v0"])
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=SECONDS)
    assert "were killed: s0v0" in out
    assert net.running() == []


def test_a_node_that_dies_at_the_start_is_shown_with_its_log(net: Net) -> None:
    net.manners(s1v0={"dies": True})
    code, _, error = net.run("up", "--detach")
    assert code == 1
    assert error.startswith("atoll: error: s1v0 has stopped")
    assert "the sky is falling" in error
    assert "Traceback" not in error
    assert net.running() == []


def test_a_node_that_dies_later_is_reported_and_the_rest_goes_on(net: Net) -> None:
    with net.start("up") as process:
        until(net.document.exists)
        running = running_nodes(list_node_files(net.directory))
        running[0].process.send(signal.SIGKILL)
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        assert any("s0v0 has stopped" in line for line in lines)
        assert net.running() == ["s1v0"]
        running[1].process.send(signal.SIGKILL)
        assert any("no node is left" in line for line in lines)
        process.communicate(timeout=SECONDS)
    assert process.returncode == 1


def test_up_starts_what_is_missing_of_a_detached_network(net: Net) -> None:
    net.run("up", "--detach")
    running = running_nodes(list_node_files(net.directory))
    running[0].process.send(signal.SIGKILL)
    until(lambda: net.running() == ["s1v0"])
    code, out, error = net.run("up", "--detach")
    assert (code, error) == (0, "")
    assert "running already: s1v0" in out
    assert net.running() == ["s0v0", "s1v0"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--shards", "3"), "2 shards, not 3"),
        (("--validators", "4"), "1/1 validators per shard, not 4"),
        (("--chain-id", "5"), "chain id 31337, not 5"),
        (("--rpc-port", "1234"), "not 1234"),
    ],
)
def test_another_layout_than_the_stored_one_is_refused(
    net: Net, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], expected: str
) -> None:
    assert main(["up", "--dir", str(net.directory), *arguments]) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert "--reset" in error


def test_reset_makes_a_new_network_and_keeps_what_is_not_ours(net: Net) -> None:
    before = load_layout(net.directory).genesis.hash
    code, _, error = net.run(
        "up", "--detach", "--reset", "--shards", "2", "--validators", "1", "--rpc-port", "0"
    )
    assert (code, error) == (0, "")
    assert load_layout(net.directory).genesis.hash != before
    assert (net.directory / "manners").exists()


def test_a_port_in_use_is_found_before_anything_is_started(
    net: Net, capsys: pytest.CaptureFixture[str]
) -> None:
    port = load_layout(net.directory).nodes[1].config.rpc.port
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        code, _, error = net.run("up", "--detach")
    assert code == 2
    assert f"port {port} of 127.0.0.1, which s1v0 is to listen at, is in use" in error
    assert net.running() == []


def test_audit(net: Net) -> None:
    code, _, error = net.run("audit")
    assert code == 1
    assert "no node of" in error
    net.run("up", "--detach")
    code, out, _ = net.run("audit")
    assert code == 0
    assert "the audit balances" in out
    assert "1,000,000,000,000 ETH" in out
    code, _, error = net.run("audit", "--block", "99")
    assert (code, error) == (1, "atoll: error: no block 99 (code -32000)\n")
    net.run("down")
    net.manners(s0v0={"steals": True})
    net.run("up", "--detach")
    code, out, _ = net.run("audit", "--json")
    assert code == 1
    assert json.loads(out)["balanced"] is False


def test_logs(net: Net) -> None:
    code, _, error = net.run("logs", "s0v0")
    assert code == 2
    assert "no log yet" in error
    log = net.directory / "nodes/s0v0/node.log"
    log.write_text("".join(f"line {number}\n" for number in range(300)))
    assert net.run("logs", "s0v0", "-n", "2")[1] == "line 298\nline 299\n"
    assert net.run("logs", "s0v0")[1].startswith("line 200\n")
    assert "there is no node 'x'" in net.run("logs", "x")[2]
    with net.start("logs", "s0v0", "-f", "-n", "1") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "line 299\n"
        with log.open("a") as file:
            file.write("added\n")
        assert process.stdout.readline() == "added\n"
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=SECONDS)
    assert (process.returncode, error) == (0, "")


def report(net: Net, name: str, height: int | None, beacon: int = 1) -> NodeReport:
    node = load_layout(net.directory).node(name)
    status: Any = None
    if height is not None:
        head, beacon_head = (ChainStatus(height=h, hash="0x", round=0) for h in (height, beacon))
        status = NodeStatus(
            name=name,
            shard=node.shard,
            chains=ChainStatuses(beacon=beacon_head, shard=head),
            peers=1,
            peers_expected=1,
            pool=PoolStatus(pending=0, queued=0),
            lanes=(),
            syncing=False,
        )
    return NodeReport(node=node, pid=1, status=status)


def test_a_new_network_is_ready_with_the_first_block_of_every_chain(net: Net) -> None:
    readiness = Readiness(range(2), new=True)
    readiness.observe([report(net, "s0v0", 5), report(net, "s1v0", None)])
    assert readiness.missing() == ["s1v0 does not answer", "shard 1 has made no block"]
    readiness.observe([report(net, "s0v0", 5), report(net, "s1v0", 0)])
    assert readiness.missing() == ["shard 1 has made no block"]
    readiness.observe([report(net, "s0v0", 5), report(net, "s1v0", 1)])
    assert readiness.missing() == []


def test_blocks_of_an_earlier_run_prove_nothing(net: Net) -> None:
    readiness = Readiness(range(2), new=False)
    readiness.observe([report(net, "s0v0", 5, beacon=9), report(net, "s1v0", 8, beacon=7)])
    assert len(readiness.missing()) == 3
    readiness.observe([report(net, "s0v0", 6, beacon=9), report(net, "s1v0", 8, beacon=9)])
    assert readiness.missing() == ["the beacon has made no block", "shard 1 has made no block"]
    readiness.observe([report(net, "s0v0", 6, beacon=10), report(net, "s1v0", 9, beacon=9)])
    assert readiness.missing() == []


def test_a_frozen_shard_is_not_waited_for(net: Net) -> None:
    readiness = Readiness(range(2), new=False)
    frozen = report(net, "s1v0", 8)
    assert frozen.status is not None
    frozen = replace(frozen, status=msgspec.structs.replace(frozen.status, frozen=True))
    readiness.observe([report(net, "s0v0", 5, beacon=9), frozen])
    assert readiness.missing() == ["the beacon has made no block", "shard 0 has made no block"]
    readiness.observe([report(net, "s0v0", 6, beacon=10), frozen])
    assert readiness.missing() == []
