"""The bulk trie: known roots, what is written, what is missing, proofs, order, bounds."""

import pytest

from node.execution.trie.errors import BadProof
from node.execution.trie.trie import Trie, ordered_root
from node.execution.trie.trie_cache import NodeCache
from node.execution.trie.trie_proof import iterate, prove, verify_proof
from node.primitives import rlp
from node.primitives.basics import EMPTY_TRIE_ROOT, keccak256
from node.primitives.errors import CorruptData


def nothing(_: bytes) -> None:
    """A database without a single node."""


def built(items: dict[bytes, bytes]) -> tuple[dict[bytes, bytes], bytes]:
    nodes: dict[bytes, bytes] = {}
    trie = Trie(nodes.get)
    trie.update(items.items())
    return nodes, trie.commit(nodes)


def hashed(count: int) -> dict[bytes, bytes]:
    return {keccak256(n.to_bytes(2, "big")): b"value %d" % n for n in range(count)}


def test_the_empty_trie() -> None:
    trie = Trie(nothing)
    assert trie.get(b"key") == b""
    out: dict[bytes, bytes] = {}
    assert trie.commit(out) == EMPTY_TRIE_ROOT
    assert out == {}


def test_root_of_the_yellow_paper_suite() -> None:
    items = {b"do": b"verb", b"dog": b"puppy", b"doge": b"coin", b"horse": b"stallion"}
    _, root = built(items)
    assert root.hex() == "5991bb8c6514148a29db676a14ac506cd2cd5775ace63c30a4fe457715e9ac84"


def test_deleting_everything_gives_the_empty_root() -> None:
    items = hashed(50)
    nodes, root = built(items)
    trie = Trie(nodes.get, root)
    trie.update([(key, b"") for key in items])
    assert trie.commit({}) == EMPTY_TRIE_ROOT


def test_deletion_restores_the_earlier_root() -> None:
    items = hashed(300)
    nodes, root = built(items)
    trie = Trie(nodes.get, root)
    extra = {keccak256(key): b"more" for key in items}
    trie.update(extra.items())
    trie.update([(key, b"") for key in extra])
    assert trie.commit({}) == root


def test_commit_gives_only_new_nodes() -> None:
    items = hashed(200)
    nodes, root = built(items)
    trie = Trie(nodes.get, root)
    key = next(iter(items))
    trie.update([(key, b"changed")])
    out: dict[bytes, bytes] = {}
    assert trie.commit(out) in out
    assert 0 < len(out) < 8
    again: dict[bytes, bytes] = {}
    trie.commit(again)
    assert again == {}


def test_a_missing_node_is_named() -> None:
    nodes, root = built(hashed(40))
    lost = next(key for key in nodes if key != root)
    del nodes[lost]
    with pytest.raises(CorruptData, match=lost.hex()):
        list(iterate(nodes.get, root))
    with pytest.raises(CorruptData, match="trie node"):
        Trie(nothing, root).get(b"\0" * 32)


@pytest.mark.parametrize("body", [b"\xc0", b"\xc3\x01\x02\x03", b"\xc2\xc0\x01", b"\x01"])
def test_a_body_that_is_no_node(body: bytes) -> None:
    root = keccak256(body)
    with pytest.raises(CorruptData):
        Trie({bytes(root): body}.get, root).get(b"\x12")


def test_copies_do_not_see_each_other() -> None:
    items = hashed(100)
    nodes, root = built(items)
    first = Trie(nodes.get, root)
    second = first.copy()
    key = next(iter(items))
    first.update([(key, b"one")])
    second.update([(key, b"two")])
    assert (first.get(key), second.get(key)) == (b"one", b"two")
    assert Trie(nodes.get, root).get(key) == items[key]


class TestCache:
    def test_it_is_bounded_and_loses_nothing(self) -> None:
        items = hashed(2000)
        nodes, root = built(items)
        cache = NodeCache(100)
        trie = Trie(nodes.get, root, cache=cache)
        for _ in range(2):
            for key, value in items.items():
                assert trie.get(key) == value
                assert len(cache) <= 100

    def test_what_is_used_stays(self) -> None:
        items = hashed(1000)
        nodes, root = built(items)
        reads: list[bytes] = []

        def read(key: bytes) -> bytes | None:
            reads.append(key)
            return nodes.get(key)

        trie = Trie(read, root, cache=NodeCache(100))
        hot = next(iter(items))
        trie.get(hot)
        path = set(reads)
        assert len(path) > 1
        for key in items:
            trie.get(key)
            reads.clear()
            assert trie.get(hot) == items[hot]
            assert not reads
        assert path

    @pytest.mark.parametrize("limit", [2, 10, 100_000])
    def test_a_commit_that_is_not_written_yet_can_be_read(self, limit: int) -> None:
        items = hashed(500)
        nodes, root = built(items)
        trie = Trie(nodes.get, root, cache=NodeCache(limit))
        for value in (b"first", b"second"):
            out: dict[bytes, bytes] = {}
            trie.update([(key, value) for key in items])
            trie.commit(out)
            assert all(trie.get(key) == value for key in items)
            assert all(trie.copy().get(key) == value for key in items)

    def test_after_a_write_the_database_alone_is_read(self) -> None:
        items = hashed(100)
        nodes, root = built(items)
        trie = Trie(nodes.get, root, cache=NodeCache(2))
        out: dict[bytes, bytes] = {}
        trie.update([(key, b"new") for key in items])
        trie.commit(out)
        trie.written()
        with pytest.raises(CorruptData, match="trie node"):
            [trie.get(key) for key in items]
        nodes.update(out)
        assert all(trie.get(key) == b"new" for key in items)


def test_a_change_is_seen_before_the_commit() -> None:
    items = hashed(50)
    nodes, root = built(items)
    trie = Trie(nodes.get, root)
    first, second, *_ = items
    trie.update([(first, b"new"), (second, b"")])
    twin = trie.copy()
    for one in (trie, twin):
        assert (one.get(first), one.get(second)) == (b"new", b"")
    assert trie.commit({}) == twin.commit({}) != root


def test_ordered_root_of_a_few_and_of_many() -> None:
    assert ordered_root([]) == EMPTY_TRIE_ROOT
    for count in (1, 2, 127, 128, 129, 300):
        items = [b"item %d" % n * (n % 5 + 1) for n in range(count)]
        _, root = built({rlp.encode_int(n): item for n, item in enumerate(items)})
        assert ordered_root(items) == root


def test_iteration_is_ordered_and_starts_where_told() -> None:
    items = hashed(200)
    nodes, root = built(items)
    ordered = sorted(items.items())
    assert list(iterate(nodes.get, root)) == ordered
    start = ordered[77][0]
    assert list(iterate(nodes.get, root, start)) == ordered[77:]
    after = start[:-1] + bytes([start[-1] ^ 1])
    assert list(iterate(nodes.get, root, after)) == [i for i in ordered if i[0] >= after]
    assert list(iterate(nodes.get, EMPTY_TRIE_ROOT)) == []


class TestProofs:
    def test_presence_and_absence(self) -> None:
        items = hashed(100)
        nodes, root = built(items)
        for key, value in items.items():
            assert verify_proof(root, key, prove(nodes.get, root, key)) == value
        for n in range(50):
            absent = keccak256(b"absent %d" % n)
            assert verify_proof(root, absent, prove(nodes.get, root, absent)) is None

    def test_the_empty_trie(self) -> None:
        assert prove(nothing, EMPTY_TRIE_ROOT, b"key") == ()
        assert verify_proof(EMPTY_TRIE_ROOT, b"key", ()) is None

    def test_a_short_root_body_and_embedded_nodes(self) -> None:
        nodes, root = built({b"\x11": b"a", b"\x12": b"b"})
        assert verify_proof(root, b"\x12", prove(nodes.get, root, b"\x12")) == b"b"
        assert verify_proof(root, b"\x13", prove(nodes.get, root, b"\x13")) is None

    @pytest.mark.parametrize("change", ["drop", "flip", "extra", "swap", "empty"])
    def test_a_wrong_proof_is_refused(self, change: str) -> None:
        items = hashed(100)
        nodes, root = built(items)
        key = next(iter(items))
        proof = list(prove(nodes.get, root, key))
        match change:
            case "drop":
                proof.pop()
            case "flip":
                proof[-1] = proof[-1][:-1] + bytes([proof[-1][-1] ^ 1])
            case "extra":
                proof.append(proof[-1])
            case "swap":
                proof.reverse()
            case "empty":
                proof = []
        with pytest.raises(BadProof):
            verify_proof(root, key, proof)

    def test_a_proof_that_is_too_long(self) -> None:
        with pytest.raises(BadProof, match="too long"):
            verify_proof(b"\1" * 32, b"key", [b"\xc0"] * 1000)

    def test_a_node_that_is_not_canonical(self) -> None:
        body = b"\xc4\x20\x81\x05"  # 0x05 must stand for itself
        with pytest.raises(BadProof):
            verify_proof(keccak256(body), b"", [body])
