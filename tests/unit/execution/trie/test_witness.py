"""Witnesses: any number of keys from one set of nodes, and nothing in it that is not needed."""

import pytest

from node.execution.trie.errors import BadProof
from node.execution.trie.trie import Trie, ordered_key, ordered_root
from node.execution.trie.witness import Witness, gather, gather_items, pack
from node.primitives.basics import EMPTY_TRIE_ROOT, keccak256


def built(count: int, salt: bytes = b"") -> tuple[dict[bytes, bytes], bytes]:
    nodes: dict[bytes, bytes] = {}
    trie = Trie(nodes.get)
    trie.update([(keccak256(salt + b"%d" % n), b"value %d" % n) for n in range(count)])
    root = trie.commit(nodes)
    return nodes, root


def test_keys_of_several_tries_are_proven_by_one_set() -> None:
    (first, one), (second, other) = built(300), built(40, b"other")
    keys = [keccak256(b"%d" % n) for n in (3, 200, 999)]
    paths = [(one, key) for key in keys] + [(other, keccak256(b"other7"))]
    witness = Witness(gather((first | second).get, paths))
    assert [witness.get(one, key) for key in keys] == [b"value 3", b"value 200", None]
    assert witness.get(other, keccak256(b"other7")) == b"value 7"
    witness.finish()


def test_a_node_that_is_missing_altered_or_not_needed_is_named() -> None:
    nodes, root = built(300)
    key = keccak256(b"3")
    whole = gather(nodes.get, [(root, key)])
    assert len(whole) >= 2
    for index in range(len(whole)):
        with pytest.raises(BadProof, match="is missing from the proof"):
            Witness(whole[:index] + whole[index + 1 :]).get(root, key)
        altered = pack([*whole[:index], whole[index][:-1] + b"\0", *whole[index + 1 :]])
        with pytest.raises(BadProof, match="is missing from the proof"):
            Witness(altered).get(root, key)
    more = Witness(pack([*whole, b"\xc0"]))
    assert more.get(root, key) == b"value 3"
    with pytest.raises(BadProof, match="is on no path that is needed"):
        more.finish()


def test_one_set_has_one_form() -> None:
    nodes, root = built(300)
    whole = gather(nodes.get, [(root, keccak256(b"3")), (root, keccak256(b"4"))])
    for other in (whole[::-1], (*whole, whole[-1])):
        with pytest.raises(BadProof, match="not in ascending order"):
            Witness(other)


def test_the_limit_of_a_node_holds() -> None:
    items = [b"\1" * 1000, b"\2" * 100_000]
    root = ordered_root(items)
    nodes = gather_items(items, [1])
    assert Witness(nodes, max_node_bytes=1 << 20).get(root, ordered_key(1)) == items[1]
    with pytest.raises(BadProof, match="too large"):
        Witness(nodes).get(root, ordered_key(1))


def test_nothing_is_needed_to_see_that_an_empty_trie_is_empty() -> None:
    witness = Witness([])
    assert witness.get(EMPTY_TRIE_ROOT, keccak256(b"key")) is None
    witness.finish()


@pytest.mark.parametrize("count", [1, 2, 17, 130])
def test_items_against_the_root_in_a_header(count: int) -> None:
    items = [b"item %d" % n * 5 for n in range(count)]
    root = ordered_root(items)
    for index in range(count):
        witness = Witness(gather_items(items, [index]))
        assert witness.get(root, ordered_key(index)) == items[index]
        witness.finish()
    outside = Witness(gather_items(items, [count]))
    assert outside.get(root, ordered_key(count)) is None
