"""Which crosslinks a block takes in while a developer has ordered network blocks."""

from types import SimpleNamespace

from node.beacon.rounds import includable, next_round
from node.primitives.mining import Round

A, B = b"order  a", b"order  b"


def link(name, mined=None):
    return SimpleNamespace(name=name, requests=SimpleNamespace(mined=mined))


def row(*links):
    """Crosslinks of one shard: plain ones by their name, ordered ones by (order, index)."""
    return [
        link(x) if isinstance(x, str) else link(f"{x[0].decode()[-1]}{x[1]}", Round(x[0], x[1], 2))
        for x in links
    ]


def names(rows, *, late=False):
    return [c.name for c in includable(rows, lambda _: late)]


def test_without_an_order_everything_is_taken():
    rows = {0: row("x", "y"), 1: row("z"), 2: []}
    assert names(rows) == ["x", "y", "z"]
    assert next_round(rows) is None


def test_the_blocks_of_a_round_are_taken_together_and_nothing_after_them():
    rows = {0: row("x", (A, 0), (A, 1), "y"), 1: row((A, 0)), 2: row("z")}
    assert names(rows) == ["x", "a0", "a0", "z"]
    rows = {0: row((A, 1), "y"), 1: row("w", (A, 1), (A, 2))}
    assert names(rows) == ["a1", "w", "a1"]


def test_a_round_is_waited_for():
    """Meanwhile no network block is made that was not ordered."""
    rows = {0: row((A, 0)), 1: row("x")}
    assert names(rows) == []
    assert names(rows, late=True) == ["a0", "x"]


def test_two_orders_at_once_come_one_after_the_other():
    rows = {0: row((A, 0), (B, 0)), 1: row((B, 0), (A, 0))}
    assert next_round(rows) == (Round(A, 0, 2), {0})
    assert names(rows) == ["a0"], "no shard can bring what the other waits for"
    rows = {0: row((B, 0)), 1: row((B, 0), (A, 0))}
    assert names(rows) == ["b0", "b0"]
