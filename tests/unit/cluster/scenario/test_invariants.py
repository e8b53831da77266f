"""Invariants see what is broken: on answers of nodes that do not agree."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import pytest

from node.cluster.errors import InvariantBroken, NetworkFailed, RpcUnreachable
from node.cluster.scenario.invariants import Invariants
from node.primitives.messenger import inbox_slots, outbox_slots


class Fake:
    """A node of a network of two shards, whose answers a test may change."""

    def __init__(self, shard: int) -> None:
        self.shard = shard
        self.blocks = [{"number": hex(n), "hash": f"0x{n}", "parentHash": f"0x{n - 1}",
                        "stateRoot": "0xa", "receiptsRoot": "0xb"} for n in range(5)]  # fmt: skip
        self.audit: dict[str, Any] = {"balanced": True, "difference": "0x0"}
        self.audited: list[int] = []
        self.sent = [0, 1, 2, 3, 3]
        self.received = [0, 0, 1, 3, 3]
        self.head = "0xc{}"
        self.pending = 0
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = msgspec.json.decode(self.rfile.read(int(self.headers["Content-Length"])))
                one = not isinstance(body, list)
                answers = [
                    {"id": r["id"], "result": fake.answer(r["method"], r["params"])}
                    for r in ([body] if one else body)
                ]
                encoded = msgspec.json.encode(answers[0] if one else answers)
                self.send_response(200)
                self.send_header("Content-Length", str(len(encoded)))
                self.end_headers()
                self.wfile.write(encoded)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, method: str, params: list[Any]) -> Any:
        other = 1 - self.shard
        match method:
            case "eth_blockNumber":
                return hex(len(self.blocks) - 1)
            case "eth_getBlockByNumber":
                return self.blocks[int(params[0], 16)]
            case "atoll_audit":
                self.audited.append(int(params[0], 16))
                return self.audit
            case "eth_getStorageAt":
                slot, height = int(params[1], 16), int(params[2], 16)
                for slots, counts in (
                    (outbox_slots(other), self.sent),
                    (inbox_slots(other), self.received),
                ):
                    count = counts[height]
                    words = {
                        slots.count: hex(count),
                        slots.head: self.head.format(count),
                        slots.gas: "0x0",
                        slots.wei: hex(10 * count),
                        slots.asked: hex(count),
                    }
                    if slot in words:
                        return words[slot]
                raise AssertionError(slot)
            case "atoll_status":
                lane = {
                    "src": self.shard,
                    "dst": other,
                    "sent": self.sent[-1],
                    "delivered": self.received[-1],
                }
                return {
                    "name": f"s{self.shard}",
                    "pool": {"pending": self.pending, "queued": 0},
                    "lanes": [lane],
                }
        raise AssertionError(method)


@pytest.fixture
def fakes() -> Iterator[list[Fake]]:
    """Two nodes of shard 0 and one of shard 1."""
    nodes = [Fake(0), Fake(0), Fake(1)]
    yield nodes
    for node in nodes:
        node.server.shutdown()
        node.server.server_close()
        node.thread.join()


@pytest.fixture
def invariants(fakes: list[Fake]) -> Invariants:
    return Invariants(lambda: {0: [fakes[0].url, fakes[1].url], 1: [fakes[2].url]})


def test_a_sound_network_passes_and_what_was_seen_is_not_looked_at_again(
    fakes: list[Fake], invariants: Invariants
) -> None:
    invariants.check()
    assert (invariants.check_blocks(), invariants.check_audit()) == (0, 0)
    invariants.start_over()
    assert (invariants.check_blocks(), invariants.check_audit()) == (10, 5)


def test_two_nodes_with_different_roots(fakes: list[Fake], invariants: Invariants) -> None:
    fakes[1].blocks[3] = fakes[1].blocks[3] | {"stateRoot": "0xd"}
    with pytest.raises(InvariantBroken, match="shard 0, block 0x3"):
        invariants.check_blocks()


def test_network_blocks_that_differ_or_do_not_chain(
    fakes: list[Fake], invariants: Invariants
) -> None:
    fakes[2].blocks[2] = fakes[2].blocks[2] | {"hash": "0xdead"}
    with pytest.raises(InvariantBroken, match="network block 0x2 differs"):
        invariants.check_network_blocks()
    fakes[0].blocks[2] = fakes[2].blocks[2]
    with pytest.raises(InvariantBroken, match="network block 0x3 has another parent"):
        invariants.check_network_blocks()


def test_of_very_many_blocks_some_are_audited_and_the_newest_is(
    fakes: list[Fake], invariants: Invariants, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.cluster.scenario.invariants.MAX_AUDITS", 2)
    assert invariants.check_audit() == 2
    assert fakes[0].audited == [1, 4]
    monkeypatch.setattr("node.cluster.scenario.invariants.MAX_AUDITS", 5)
    invariants.start_over()
    assert invariants.check_audit() == 5


def test_an_audit_that_does_not_balance(fakes: list[Fake], invariants: Invariants) -> None:
    fakes[0].audit = {"balanced": True, "difference": "0x1"}
    with pytest.raises(InvariantBroken, match="does not balance"):
        invariants.check_audit()


@pytest.mark.parametrize(
    ("received", "head", "reason"),
    [
        ([0, 0, 1, 4, 4], "0xc{}", "consumed, 3 sent"),
        ([0, 0, 1, 3, 3], "0xf{}", r"consumed, .*sent"),
        ([0, 0, 1, 2, 2], "0xc{}", "is not drained"),
    ],
)
def test_an_inbox_that_is_no_prefix_of_its_outbox(
    fakes: list[Fake], invariants: Invariants, received: list[int], head: str, reason: str
) -> None:
    fakes[2].received, fakes[2].head = received, head
    with pytest.raises(InvariantBroken, match=reason):
        invariants.check_lanes()


def test_what_is_under_way_is_waited_for_and_named(
    fakes: list[Fake], invariants: Invariants
) -> None:
    invariants.wait_until_quiet(0.0)
    fakes[1].pending = 2
    with pytest.raises(NetworkFailed, match=r"s0 has a pool of 2 \+ 0"):
        invariants.wait_until_quiet(0.0)


def test_without_nodes_there_is_nothing_to_say() -> None:
    nobody = Invariants(dict)
    assert nobody.check_blocks() == 0
    for check in (nobody.check_audit, nobody.check_network_blocks):
        with pytest.raises(RpcUnreachable, match="no node answers"):
            check()
