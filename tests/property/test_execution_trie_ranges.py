"""Ranges of a trie against a sorted dict, and against everything that a lying peer could change."""

from bisect import bisect_left

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.execution.trie.errors import BadProof
from node.execution.trie.trie import Trie
from node.execution.trie.trie_range import TrieRange, read_range, verify_range
from node.primitives.basics import keccak256
from tests.support.effort import examples

# two bytes that share many prefixes: leaves, extensions and branches at every depth, some embedded
KEYS = st.binary(min_size=2, max_size=2).map(lambda key: bytes(b & 0x73 for b in key))
LONG_KEYS = st.integers(0, 40).map(lambda n: bytes(keccak256(bytes([n]))))
SMALL = st.binary(min_size=1, max_size=3)
PRESENT = st.one_of(SMALL, st.binary(min_size=33, max_size=40))
TRIES = st.one_of(
    st.dictionaries(KEYS, PRESENT, max_size=30), st.dictionaries(LONG_KEYS, PRESENT, max_size=30)
)


def stored(items: dict[bytes, bytes]) -> tuple[dict[bytes, bytes], bytes]:
    nodes: dict[bytes, bytes] = {}
    trie = Trie(nodes.get)
    trie.update(items.items())
    return nodes, trie.commit(nodes)


def a_start(items: dict[bytes, bytes], data: st.DataObject) -> bytes:
    size = len(next(iter(items), b"ab"))
    anywhere = st.binary(min_size=size, max_size=size)
    return data.draw(st.one_of(anywhere, st.sampled_from(sorted(items))) if items else anywhere)


def honest(items: dict[bytes, bytes], data: st.DataObject) -> tuple[bytes, bytes, TrieRange]:
    nodes, root = stored(items)
    start = a_start(items, data)
    return root, start, read_range(nodes.get, root, start, data.draw(st.integers(1, 12)))


@given(TRIES, st.data())
@settings(max_examples=examples(200))
def test_a_range_is_what_the_model_has(items: dict[bytes, bytes], data: st.DataObject) -> None:
    nodes, root = stored(items)
    start, limit = a_start(items, data), data.draw(st.integers(1, 12))
    found = read_range(nodes.get, root, start, limit)
    ordered = sorted(items.items())
    begin = bisect_left(ordered, (start, b""))
    assert list(found.items) == ordered[begin : begin + limit]
    more = verify_range(root, start, found.items, found.proof)
    assert more == (begin + limit < len(ordered))


@given(TRIES, st.integers(1, 7))
@settings(max_examples=examples(100))
def test_pages_make_up_the_whole_trie(items: dict[bytes, bytes], limit: int) -> None:
    nodes, root = stored(items)
    start: bytes = b"\0" * len(next(iter(items), b"ab"))
    collected: dict[bytes, bytes] = {}
    more = True
    while more:
        page = read_range(nodes.get, root, start, limit)
        more = verify_range(root, start, page.items, page.proof)
        assert len(page.items) == limit or not more
        collected.update(page.items)
        if page.items:
            start = (int.from_bytes(page.items[-1][0], "big") + 1).to_bytes(len(start), "big")
    assert collected == items
    assert stored(collected)[1] == root


@given(TRIES, st.data())
@settings(max_examples=examples(200))
def test_other_items_are_refused(items: dict[bytes, bytes], data: st.DataObject) -> None:
    root, start, found = honest(items, data)
    lie = list(found.items)
    changes = ["add"]
    if lie:
        changes += ["value"]
    if len(lie) > 1:
        changes += ["drop", "swap", "twice"]
    match data.draw(st.sampled_from(changes)):
        case "add":
            size = len(start)
            key = data.draw(st.binary(min_size=size, max_size=size))
            lie = sorted({**dict(lie), key: b"more"}.items())
        case "drop":
            lie.pop(data.draw(st.integers(0, len(lie) - 2)))
        case "value":
            at = data.draw(st.integers(0, len(lie) - 1))
            lie[at] = (lie[at][0], data.draw(st.one_of(PRESENT, st.just(b""))))
        case "swap":
            lie.reverse()
        case "twice":
            lie.append(lie[-1])
    if lie == list(found.items):
        return
    with pytest.raises(BadProof):
        verify_range(root, start, lie, found.proof)


def test_a_shorter_range_is_refused_or_has_more_after_it() -> None:
    """The nodes of a proof may also prove that: what is small is in the nodes above it."""
    proven = 0

    @given(st.dictionaries(KEYS, SMALL, min_size=2, max_size=30), st.data())
    @settings(max_examples=examples(200))
    def check(items: dict[bytes, bytes], data: st.DataObject) -> None:
        nonlocal proven
        nodes, root = stored(items)
        start, limit = min(items), data.draw(st.integers(2, len(items)))
        found = read_range(nodes.get, root, start, limit)
        shorter = found.items[: data.draw(st.integers(0, limit - 1))]
        try:
            more = verify_range(root, start, shorter, found.proof)
        except BadProof:
            return
        assert shorter
        assert more
        proven += 1

    check()
    assert proven, "no shorter range was proven"


@given(TRIES, st.data())
@settings(max_examples=examples(200))
def test_other_proofs_prove_nothing_else(items: dict[bytes, bytes], data: st.DataObject) -> None:
    root, start, found = honest(items, data)
    proof = list(found.proof)
    if not proof:
        return
    at = data.draw(st.integers(0, len(proof) - 1))
    match data.draw(st.sampled_from(["drop", "flip", "extra"])):
        case "drop":
            proof.pop(at)
        case "flip":
            body = bytearray(proof[at])
            body[data.draw(st.integers(0, len(body) - 1))] ^= data.draw(st.integers(1, 255))
            proof[at] = bytes(body)
        case "extra":
            proof.append(data.draw(st.sampled_from([b"", b"\xc0", b"\x80", proof[at] + b"\0"])))
    with pytest.raises(BadProof):
        verify_range(root, start, found.items, proof)


@given(TRIES, st.data())
@settings(max_examples=examples(200))
def test_another_start_needs_another_proof(items: dict[bytes, bytes], data: st.DataObject) -> None:
    """With an earlier start, what lies before the range's first key would be left out."""
    root, start, found = honest(items, data)
    earlier = a_start(items, data)
    expected = [item for item in sorted(items.items()) if item[0] >= earlier]
    try:
        verify_range(root, earlier, found.items, found.proof)
    except BadProof:
        return
    assert list(found.items) == expected[: len(found.items)]
    assert start == earlier or found.items or not expected
