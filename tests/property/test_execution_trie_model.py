"""The bulk trie against a dict, and its roots and proofs against py-trie's HexaryTrie."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trie import HexaryTrie

from node.execution.trie.errors import BadProof
from node.execution.trie.trie import Trie
from node.execution.trie.trie_cache import NodeCache
from node.execution.trie.trie_proof import iterate, prove, verify_proof
from tests.support.effort import examples

# few distinct nibbles and lengths: shared prefixes, embedded nodes, values in branches
KEYS = st.binary(min_size=1, max_size=4).map(lambda key: bytes(b & 0x33 for b in key))
LONG_KEYS = st.sampled_from([bytes([a, b]) * 16 for a in range(6) for b in range(6)])
PRESENT = st.one_of(st.binary(min_size=1, max_size=3), st.binary(min_size=33, max_size=40))
VALUES = st.one_of(st.just(b""), PRESENT)
BATCHES = st.lists(
    st.dictionaries(st.one_of(KEYS, LONG_KEYS), VALUES, max_size=12), min_size=1, max_size=6
)


@given(BATCHES)
@settings(max_examples=examples(400))
def test_batches(batches: list[dict[bytes, bytes]]) -> None:
    """Every batch is applied to the trie as it came from storage and to the one that stayed in memory."""
    nodes: dict[bytes, bytes] = {}
    kept = Trie(nodes.get, cache=NodeCache(4))
    root = kept.commit({})
    model: dict[bytes, bytes] = {}
    reference = HexaryTrie({})
    for batch in batches:
        fresh = Trie(nodes.get, root)
        out: dict[bytes, bytes] = {}
        kept.update(batch.items())
        fresh.update(batch.items())
        root = kept.commit(out)
        assert fresh.commit({}) == root
        nodes.update(out)
        kept.written()
        for key, value in batch.items():
            model[key] = value
            reference[key] = value  # an empty value deletes
        model = {key: value for key, value in model.items() if value}
        assert root == reference.root_hash
        assert all(kept.get(key) == value for key, value in model.items())
        assert list(iterate(nodes.get, root)) == sorted(model.items())
        reread = Trie(nodes.get, root)
        for key in batch:
            assert reread.get(key) == model.get(key, b"")
            assert verify_proof(root, key, prove(nodes.get, root, key)) == model.get(key)


@given(st.dictionaries(LONG_KEYS, PRESENT, min_size=1), LONG_KEYS)
@settings(max_examples=examples(200))
def test_iteration_from_any_start(items: dict[bytes, bytes], start: bytes) -> None:
    nodes: dict[bytes, bytes] = {}
    trie = Trie(nodes.get)
    trie.update(items.items())
    root = trie.commit(nodes)
    expected = [item for item in sorted(items.items()) if item[0] >= start]
    assert list(iterate(nodes.get, root, start)) == expected


@given(st.dictionaries(LONG_KEYS, PRESENT, min_size=1, max_size=20), st.data())
@settings(max_examples=examples(200))
def test_a_changed_proof_proves_nothing(items: dict[bytes, bytes], data: st.DataObject) -> None:
    nodes: dict[bytes, bytes] = {}
    trie = Trie(nodes.get)
    trie.update(items.items())
    root = trie.commit(nodes)
    key = data.draw(st.sampled_from(sorted(items)))
    proof = [bytearray(node) for node in prove(nodes.get, root, key)]
    node = data.draw(st.sampled_from(proof))
    at = data.draw(st.integers(0, len(node) - 1))
    node[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(BadProof):
        verify_proof(root, key, [bytes(item) for item in proof])
