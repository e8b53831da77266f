"""Spans of real blocks of two shards, exported by several nodes that tell each other nothing: one trace."""

from types import SimpleNamespace

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from node.telemetry import spans as spans_module
from node.telemetry.spans import HeightStep, Spans
from node.telemetry.spans_export import Exporter

SECOND = 10**9


class Traced:
    """A node with a clock that goes on by a second every time it is read."""

    def __init__(self, node, me, out, ratio=1.0):
        self.time = 1_700_000_000 * SECOND
        exporter = Exporter(SimpleSpanProcessor(out), node=node, version="1", ratio=ratio)
        self.spans = Spans(node=node, me=me, export=exporter.export, now=self.now)
        self.began = None
        self.times = {name: self.spans.chain(name, lambda: self.began) for name in ("s", "beacon")}

    def now(self):
        self.time += SECOND
        return self.time

    def block(self, executed, kit):
        self.spans.shard_block("s", executed, kit.certificate(executed))


@pytest.fixture
def out():
    return InMemorySpanExporter()


def named(out, name):
    return [span for span in out.get_finished_spans() if span.name == name]


def hex_id(number, size):
    return "0x" + number.to_bytes(size, "big").hex()


def test_a_transaction_and_its_messages_are_one_tree_over_nodes_and_shards(make_world, kit, out):
    here, there = make_world(here=0), make_world(here=1)
    reverts = there.deploy(kit.revert, user=there.users[1][1])
    for world in (here, there):
        world.beacon.homes[reverts] = 1
    entry = Traced("s0v0", b"\1" * 20, out)  # took the transaction; others made the blocks
    proposer, far = Traced("s0v1", here.coinbase, out), Traced("s1v0", there.coinbase, out)

    tx = here.users[0][1].tx(reverts, 5, b"", 100_000)
    entry.spans.admitted(tx.hash)
    departure = here.make(tx)
    for node in (entry, proposer):
        node.block(departure, kit)
    there.inbox[0] = [sent.message for sent in departure.sent]
    arrival = there.make()
    far.block(arrival, kit)
    here.inbox[1] = [sent.message for sent in arrival.sent]
    refunded = here.make()
    for node in (entry, proposer):
        node.block(refunded, kit)

    trace = int.from_bytes(tx.hash[:16], "big")
    spans = [span for span in out.get_finished_spans() if span.context.trace_id == trace]
    assert len({span.context.span_id for span in spans}) == len(spans) == 5
    chain, parent = [], None
    while found := [s for s in spans if (s.parent and s.parent.span_id) == parent]:
        (span,) = found
        chain.append(span)
        parent = span.context.span_id
    assert [(span.name, span.resource.attributes["service.instance.id"]) for span in chain] == [
        ("transaction", "s0v0"),
        ("message sent", "s0v1"),
        ("message delivered", "s1v0"),
        ("message sent", "s1v0"),
        ("message delivered", "s0v1"),
    ]
    root, sent, delivered, back, home = chain
    assert hex_id(root.context.span_id, 8) == "0x" + tx.hash[16:24].hex()
    assert dict(root.attributes) == {
        "chain": "s", "height": departure.header.number, "tx": "0x" + tx.hash.hex(), "index": 0,
    }  # fmt: skip
    assert root.end_time - root.start_time == SECOND  # admitted, then read again for the block
    assert root.status.status_code is StatusCode.UNSET
    message = departure.sent[0].message
    facts = {"tx": "0x" + tx.hash.hex(), "chain": "s", "index": 0}
    assert dict(sent.attributes) == facts | {
        "message": "0x" + message.id.hex(), "kind": "call", "src": 0, "dst": 1, "seq": 0,
        "height": departure.header.number,
    }  # fmt: skip
    assert dict(delivered.attributes) == dict(sent.attributes) | {"height": arrival.header.number}
    assert delivered.status.status_code is StatusCode.ERROR
    assert delivered.status.description == "execution failed"
    assert (back.attributes["src"], back.attributes["dst"]) == (1, 0)
    assert back.attributes["message"] == home.attributes["message"]
    assert home.status.status_code is StatusCode.UNSET
    blocks = {span.context.span_id: span.attributes["hash"] for span in named(out, "block")}
    assert [blocks[span.links[0].context.span_id] for span in chain] == [
        "0x" + executed.header.hash.hex()
        for executed in (departure, departure, arrival, arrival, refunded)
    ]


def test_the_nodes_that_made_a_block_are_one_tree(world, kit, out):
    proposer, other = Traced("s0v0", world.coinbase, out), Traced("s0v1", b"\1" * 20, out)
    executed = world.make(world.users[0][1].tx(world.users[0][2].address, 1, b"", 21_000))
    proposer.times["s"].add(HeightStep(name="build", start=10, end=20))
    other.times["s"].add(HeightStep(name="judge", start=30, end=40, error="its time is ahead"))
    other.times["s"].add(HeightStep(name="judge", start=50, end=60))
    other.began = 25
    for node in (proposer, other):
        node.times["s"].committing = node.now()
        node.block(executed, kit)
    made, seen = named(out, "block")
    trace, digest = made.context.trace_id, executed.header.hash
    assert hex_id(trace, 16) == "0x" + digest[:16].hex()
    assert {span.context.trace_id for span in out.get_finished_spans()} == {trace}
    assert made.parent is None
    assert seen.parent.span_id == made.context.span_id
    facts = {"chain": "s", "height": 1, "round": 0, "hash": "0x" + digest.hex()}
    facts |= {"transactions": 1, "messages": 0}
    assert dict(made.attributes) == dict(seen.attributes) == facts
    assert (made.start_time, seen.start_time) == (10, 25)  # of the first step; of the height
    children = [
        (s.parent.span_id == made.context.span_id, s.name, s.start_time, s.status.description)
        for s in out.get_finished_spans()
        if s.name != "block"
    ]
    committed = proposer.time - SECOND
    assert children == [
        (True, "build", 10, None),
        (True, "commit", committed, None),
        (False, "judge", 30, "its time is ahead"),
        (False, "judge", 50, None),
        (False, "commit", committed, None),
    ]
    assert {s.end_time for s in named(out, "commit")} == {made.end_time}
    assert made.end_time == proposer.time
    assert len({s.context.span_id for s in out.get_finished_spans()}) == 7

    executed = world.make()
    proposer.block(executed, kit)  # nothing is left of the height before
    assert len(out.get_finished_spans()) == 8


def test_a_beacon_block(out):
    node = Traced("s0v0", b"\1" * 20, out)
    header = SimpleNamespace(proposer=b"\1" * 20)
    body = SimpleNamespace(crosslinks=[1, 2])
    block = SimpleNamespace(hash=bytes(range(32)), height=7, header=header, body=body)
    node.spans.beacon_block(block, SimpleNamespace(round=3))
    (span,) = out.get_finished_spans()
    assert span.parent is None
    assert dict(span.attributes) == {
        "chain": "beacon", "height": 7, "round": 3, "hash": "0x" + bytes(range(32)).hex(),
        "crosslinks": 2,
    }  # fmt: skip


def test_what_is_kept_for_later_is_bounded(world, kit, out, monkeypatch):
    monkeypatch.setattr(spans_module, "MAX_OPEN", 2)
    monkeypatch.setattr(spans_module, "MAX_STEPS", 2)
    alice, bob = world.users[0][1:3]
    transactions = [alice.tx(bob.address, 1, b"", 21_000) for _ in range(3)]
    node = Traced("s0v0", None, out)
    for tx in transactions:
        node.spans.admitted(tx.hash)
    for start in range(3):
        node.times["s"].add(HeightStep(name="judge", start=start, end=start + 1))
    node.block(world.make(*transactions), kit)
    found = {span.attributes["tx"] for span in named(out, "transaction")}
    assert found == {"0x" + tx.hash.hex() for tx in transactions[1:]}
    assert [span.start_time for span in named(out, "judge")] == [0, 1]


def test_all_nodes_leave_out_the_same_traces(world, kit, out):
    alice, bob = world.users[0][1:3]
    transactions = [alice.tx(bob.address, 1, b"", 21_000) for _ in range(24)]
    executed = world.make(*transactions)
    kept = []
    for name in ("s0v0", "s0v1"):
        out.clear()
        node = Traced(name, None, out, ratio=0.5)
        for tx in transactions:
            node.spans.admitted(tx.hash)
        node.block(executed, kit)
        kept.append({span.attributes["tx"] for span in named(out, "transaction")})
    assert kept[0] == kept[1]
    assert kept[0] == {
        "0x" + tx.hash.hex() for tx in transactions if tx.hash[8] < 0x80
    }  # the low half of the trace's id
    assert 0 < len(kept[0]) < 24
