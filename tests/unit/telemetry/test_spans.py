"""Tracing of a node: nothing of it where it is not configured, what consensus is timed by, the way out."""

import http.server
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import structlog
import trio
from eth_account import Account
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from trio.testing import MockClock

from node.cluster.make import make_network
from node.cluster.manifest import Manifest, RpcSection
from node.config.node_config import TracingConfig, load_node_config
from node.primitives.basics import ShardId
from node.primitives.errors import InvalidBlock, UserError
from node.runtime.node import Node
from node.telemetry import spans_export
from node.telemetry.node_spans import NodeSpans, TimedApplication
from node.telemetry.spans import HeightStep, HeightTimes, Span, SpanId
from node.telemetry.spans_export import open_exporter


@pytest.mark.slow
def test_opentelemetry_is_not_imported_where_it_is_not_configured():
    code = """
import json, sys
from pathlib import Path
import node.cli, node.runtime.main
from node.config.node_config import NodeConfig
from node.telemetry.node_spans import NodeSpans
assert NodeSpans.of(NodeConfig(name="a", genesis=Path("g"), identity_key=Path("i")), None) is None
print(json.dumps([name for name in sys.modules if name.split(".")[0] == "opentelemetry"]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == []


def test_where_it_is_not_installed_a_person_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    monkeypatch.delitem(sys.modules, "node.telemetry.spans_export")
    with pytest.raises(UserError, match=r"section 'tracing': .* \(pip install 'atoll\[otel\]'"):
        NodeSpans(TracingConfig(), node="s0v0", me=None)


def test_the_environment_may_name_the_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    config = TracingConfig(endpoint="$COLLECTOR")
    monkeypatch.delenv("COLLECTOR", raising=False)
    with pytest.raises(UserError, match=r"'tracing.endpoint': .* variable COLLECTOR: '' is not"):
        NodeSpans(config, node="s0v0", me=None)
    monkeypatch.setenv("COLLECTOR", "http://collector:4318/v1/traces")
    assert config.url() == "http://collector:4318/v1/traces"


class App:
    chain = 1

    async def build(self):
        await trio.sleep(2)
        return b"id", b"value"

    async def judge(self, value, *, decided):
        await trio.sleep(1)
        if value == b"bad":
            raise InvalidBlock("it is bad")
        return b"id"

    async def commit(self, block_id, value, certificate):
        await trio.sleep(3)


async def test_what_consensus_asks_for_is_timed(autojump_clock: MockClock) -> None:
    times = HeightTimes(lambda: None)
    start = trio.current_time()
    app = TimedApplication(App(), times, lambda: round(trio.current_time() - start))
    assert await app.build() == (b"id", b"value")
    with pytest.raises(InvalidBlock):
        await app.judge(b"bad", decided=False)
    await app.judge(b"value", decided=True)
    await app.commit(b"id", b"value", None)
    began, steps = times.finish(8)
    assert began == 0
    assert [(s.name, s.start, s.end, s.error) for s in steps] == [
        ("build", 0, 2, None),
        ("judge", 2, 3, "it is bad"),
        ("judge", 3, 4, None),
        ("commit", 4, 8, None),
    ]
    assert times.finish(9) == (9, [])


def test_a_height_that_is_taken_from_others_did_not_begin_with_the_one_before() -> None:
    times = HeightTimes(lambda: 3)
    assert times.finish(5) == (3, [])
    times.add(step := HeightStep(name="judge", start=7, end=8, error=None))
    assert times.finish(9) == (7, [step])


# ---------------------------------------------------------------------- to a collector


SPAN = Span(
    name="block", id=SpanId(trace=b"\1" * 16, span=b"\2" * 8), parent=None, start=1, end=2,
    attributes={"height": 7},
)  # fmt: skip


@pytest.fixture
def collector():
    """(URL, bodies, event that has it answer) of a server on this machine."""
    bodies: list[bytes] = []
    answer = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            answer.wait(30)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))  # how soon it stops
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1/traces", bodies, answer
    answer.set()
    server.shutdown()
    thread.join()
    server.server_close()


def test_what_waits_is_sent_when_the_node_stops(collector) -> None:
    url, bodies, answer = collector
    answer.set()
    exporter = open_exporter(url, node="s0v0", version="1", ratio=1.0)
    exporter.export(SPAN)
    exporter.close(patience=60)
    (body,) = bodies
    (resource,) = ExportTraceServiceRequest.FromString(body).resource_spans
    about = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
    assert (about["service.name"], about["service.instance.id"]) == ("atoll", "s0v0")
    (span,) = resource.scope_spans[0].spans
    assert (span.name, span.trace_id, span.span_id) == ("block", b"\1" * 16, b"\2" * 8)
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (1, 2)


def test_a_collector_that_does_not_answer_does_not_keep_a_node(collector) -> None:
    url, _, answer = collector
    exporter = open_exporter(url, node="s0v0", version="1", ratio=1.0)
    exporter.export(SPAN)
    exporter.close(patience=0.05)  # returns: the collector answers nothing before the next line
    assert not answer.is_set()
    answer.set()


def test_a_collector_that_is_not_there_is_one_line_in_the_log(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(spans_export, "REQUEST_SECONDS", 0.5)
    with structlog.testing.capture_logs() as lines:
        exporter = open_exporter("http://127.0.0.1:9/", node="s0v0", version="1", ratio=1.0)
        exporter.export(SPAN)
        exporter.close(patience=60)
    assert [(line["event"], line["node"]) for line in lines] == [
        ("traces are not exported", "s0v0")
    ]


async def test_a_transaction_to_another_shard_is_one_trace_of_two_nodes(
    collector, tmp_path: Path
) -> None:
    """Two whole nodes, each a shard, which share nothing but their network."""
    url, bodies, answer = collector
    answer.set()
    layout = make_network(
        Manifest(
            shards=2, validators=1, beacon_size=1, rpc=RpcSection(port=0),
            params={"heartbeat": 0.5}, tracing=TracingConfig(endpoint=url),
        ),
        tmp_path / "net",
    )  # fmt: skip
    alice, bob = (next(a for a in layout.accounts if a.home == shard) for shard in (0, 1))
    signed = Account.from_key(alice.private_key).sign_transaction(
        {
            "type": 2, "chainId": 31337, "nonce": 0, "to": bob.address, "value": 5, "gas": 100_000,
            "maxFeePerGas": 10**11, "maxPriorityFeePerGas": 10**9,
        }
    )  # fmt: skip
    nodes = [Node(load_node_config(node.files.config)) for node in layout.nodes]
    try:
        with trio.fail_after(120):
            async with trio.open_nursery() as nursery:
                for node in nodes:
                    await nursery.start(node.run)
                tx = await nodes[0].era().gossip.submit(bytes(signed.raw_transaction))
                for node, src in (
                    (nodes[1], 0),
                    (nodes[0], 1),
                ):  # there, and what is left of the gas back
                    while node.era().shard.inbox(ShardId(src)) == 0:
                        await node.era().shard.gate.wait_change()
                nursery.cancel_scope.cancel()
    finally:
        for node in nodes:
            node.close()
    spans = [
        (resource.resource.attributes, span)
        for body in bodies
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    names = {
        span.span_id: (span.name, next(a.value.string_value for a in about if "instance" in a.key))
        for about, span in spans
        if span.trace_id == tx[:16]
    }
    parents = {span.span_id: span.parent_span_id for _, span in spans}
    assert {names[span]: names.get(parents[span]) for span in names} == {
        ("transaction", "s0v0"): None,
        ("message sent", "s0v0"): ("transaction", "s0v0"),
        ("message delivered", "s1v0"): ("message sent", "s0v0"),
        ("message sent", "s1v0"): ("message delivered", "s1v0"),
        ("message delivered", "s0v0"): ("message sent", "s1v0"),
    }
    steps = {
        (pair.value.string_value, span.name)
        for _, span in spans
        for pair in span.attributes
        if pair.key == "chain"
    }
    chains = ("shard/0", "shard/1", "beacon")
    assert {(c, n) for c in chains for n in ("block", "build", "commit")} <= steps
