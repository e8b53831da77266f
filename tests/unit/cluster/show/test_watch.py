"""The live picture of a network: it fits every terminal, and what is wrong is on it."""

import io
from itertools import product
from typing import Any

import pytest
from rich.console import Console

from node.cluster.show.watch import StatusPicture
from tests.support.effort import thinned


def document(
    shards: int = 2, validators: int = 4, *, height: int = 100, sent: int = 50, **trouble: Any
) -> dict[str, Any]:
    """What `network_status` says; `trouble`: fields of the last node that differ."""
    head = {"height": height, "hash": "0x" + "ab" * 32, "round": 0}
    nodes = [
        {
            "name": f"s{shard}v{index}", "shard": shard, "state": "up", "pid": 12345, "beacon": height,
            "rpc": "http://127.0.0.1:8545", "height": height, "lag": 0, "peers": 7, "peersExpected": 7,
            "problem": None,
        }
        for shard in range(shards)
        for index in range(validators)
    ]  # fmt: skip
    faults = trouble.pop("faults", [])
    nodes[-1] |= trouble
    return {
        "faults": faults,
        "chainId": 31337,
        "devMethods": True,
        "running": True,
        "beacon": head,
        "shards": [
            {
                "id": shard, **head, "frozen": False, "pool": {"pending": 12, "queued": 3},
                "nodesUp": validators, "nodes": validators,
            }
            for shard in range(shards)
        ],
        "lanes": [
            {"src": src, "dst": dst, "sent": sent, "delivered": sent - dst}
            for src in range(shards)
            for dst in range(shards)
            if src != dst
        ],
        "nodes": nodes,
    }  # fmt: skip


def drawn(watch: StatusPicture, width: int, height: int) -> list[str]:
    out = Console(file=io.StringIO(), width=width, height=height, force_terminal=False)
    out.print(watch.render(width, height))
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue().splitlines()


@pytest.mark.parametrize(
    "shape", [(1, 1), (2, 4), *(pytest.param((n, n), marks=pytest.mark.slow) for n in (4, 8))]
)
def test_it_fits(shape: tuple[int, int]) -> None:
    watch = StatusPicture("/a/directory/with/quite/a/long/name/.atoll")
    for second in range(200):
        watch.observe(document(*shape, height=second * second), float(second))
    least = shape[0] + 5  # the header and the chains are always there
    sizes = list(product((10, 16, 24, 50, 200), (20, 40, 72, 80, 100, 200)))
    for height, width in thinned(sizes):
        lines = drawn(watch, width, height)
        assert max(map(len, lines)) <= width
        assert len(lines) <= max(height, least)


def test_what_is_on_it() -> None:
    watch = StatusPicture("here")
    for second in range(30):
        watch.observe(document(height=3 * second, sent=10 * second), float(second))
    text = "\n".join(drawn(watch, 120, 50))
    assert "8 of 8 nodes up" in text
    beacon, *_ = [line.split() for line in text.splitlines() if line.startswith("beacon")]
    assert beacon[1:3] == ["87", "3.0"]
    lane = next(line.split() for line in text.splitlines() if line.startswith("0 → 1"))
    assert lane[3:5] == ["1", "10.0"]
    assert lane[-2:] == ["290", "289"]
    assert "12 + 3" in text
    assert text.count("http://127.0.0.1:8545") == 8
    assert "● ● ● ●" in text


def test_a_height_that_is_unknown_and_one_that_falls() -> None:
    watch = StatusPicture("here")
    watch.observe(document(height=10), 0.0)
    assert "-" in drawn(watch, 80, 24)[4]
    unknown = document()
    unknown["beacon"] = {"height": None, "hash": None, "round": None}
    watch.observe(unknown, 1.0)
    watch.observe(document(height=4), 2.0)  # another node speaks for the chain now
    assert "0.0" in drawn(watch, 80, 24)[4]


@pytest.mark.parametrize(
    ("trouble", "told"),
    [
        ({"state": "down", "height": None, "lag": None, "peers": None, "beacon": None}, "7 of 8"),
        ({"problem": "http://127.0.0.1:8545 does not answer"}, "s1v3: http://127.0.0.1:8545 does"),
        ({"faults": [{"name": "kill-1", "what": "s1v3 is killed"}]}, "kill-1: s1v3 is killed"),
    ],
)
def test_what_is_wrong_is_seen_in_any_terminal(trouble: dict[str, Any], told: str) -> None:
    watch = StatusPicture("here")
    watch.observe(document(**trouble), 0.0)
    for height in (10, 12, 16, 24, 50):
        lines = drawn(watch, 80, height)
        assert any(told in line for line in lines), (height, lines)
        assert len(lines) <= height
    short = document(**trouble)
    short["shards"][0]["frozen"] = True
    watch.observe(short, 1.0)
    assert any("shard 0 is frozen" in line for line in drawn(watch, 80, 16))


def test_the_node_that_is_not_up_comes_first_where_there_is_no_room_for_all() -> None:
    watch = StatusPicture("here")
    watch.observe(document(state="down", height=None, lag=None, peers=None, beacon=None), 0.0)
    rows = [line[:4] for line in drawn(watch, 80, 22) if line.startswith(("s0v", "s1v"))]
    assert rows[0] == "s1v3"
    assert 1 < len(rows) < 8
    rows = [line[:4] for line in drawn(watch, 80, 50) if line.startswith(("s0v", "s1v"))]
    assert rows[0] == "s0v0"
    assert len(rows) == 8
