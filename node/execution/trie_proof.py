"""Merkle proofs and ordered iteration over tries that are read straight from storage."""

from collections.abc import Iterator, Sequence

from node.execution.errors import BadProof
from node.execution.trie_nodes import (
    DIGIT,
    HASH_REF,
    NIBBLE,
    REF_BYTES,
    Branch,
    Child,
    Leaf,
    Reader,
    decode_node,
    load,
    root_child,
)
from node.primitives import rlp
from node.primitives.basics import EMPTY_TRIE_ROOT, keccak_fast
from node.primitives.errors import CorruptData, DecodeError

MAX_PROOF_NODES = 68  # a 32-byte key has 64 nibbles
MAX_NODE_BYTES = 64 * 1024


def _is_hash(ref: bytes) -> bool:
    return len(ref) == REF_BYTES and ref[0] == HASH_REF


def prove(read: Reader, root: bytes, key: bytes) -> tuple[bytes, ...]:
    """The bodies of the nodes from the root to `key`, or to where it is seen to be absent.

    Nodes embedded in their parent are not listed (the form of eth_getProof). Raises CorruptData.
    """
    proof: list[bytes] = []
    nibbles = key.hex()
    depth = 0
    ref: Child | None = root_child(root)
    while ref is not None:
        if not isinstance(ref, bytes):
            raise TypeError("a node read from storage has decoded children")
        if _is_hash(ref):
            node = load(read, ref)
            proof.append(read(ref[1:]) or b"")
        else:
            node = decode_node(ref)
        if isinstance(node, Branch):
            if depth == len(nibbles):
                break
            ref = node.children[NIBBLE[nibbles[depth]]]
            depth += 1
        elif isinstance(node, Leaf) or not nibbles.startswith(node.key, depth):
            break
        else:
            depth += len(node.key)
            ref = node.child
    return tuple(proof)


def verify_proof(root: bytes, key: bytes, proof: Sequence[bytes]) -> bytes | None:
    """The value that the trie with `root` has for `key`; None where it proves that there is none.

    Raises BadProof unless the nodes are exactly the path of `key`, each the preimage of its reference.
    """
    if len(proof) > MAX_PROOF_NODES:
        raise BadProof(f"a proof of {len(proof)} nodes is too long")
    bodies = iter(proof)
    value = _follow(root, key.hex(), bodies)
    if next(bodies, None) is not None:
        raise BadProof("the proof has nodes beyond the path of its key")
    return value or None


def _follow(root: bytes, nibbles: str, bodies: Iterator[bytes]) -> bytes:
    if root == EMPTY_TRIE_ROOT:
        return b""
    depth = 0
    ref: Child | None = b"\xa0" + root
    while ref is not None:
        if not isinstance(ref, bytes):
            raise TypeError("a decoded proof node has decoded children")
        body = ref
        if _is_hash(ref):
            body = next(bodies, b"")
            if keccak_fast(body) != ref[1:]:
                raise BadProof(f"node {ref[1:].hex()} is missing from the proof")
        try:
            if len(body) > MAX_NODE_BYTES:
                raise BadProof("a proof node is too large")
            rlp.decode(body)  # strict: the decoder below trusts its input
            node = decode_node(body)
        except (DecodeError, CorruptData) as error:
            raise BadProof(f"a proof node is malformed: {error}") from None
        if isinstance(node, Branch):
            if depth == len(nibbles):
                return node.value
            ref = node.children[NIBBLE[nibbles[depth]]]
            depth += 1
        elif isinstance(node, Leaf):
            return node.value if nibbles[depth:] == node.key else b""
        elif not nibbles.startswith(node.key, depth):
            return b""
        else:
            if not node.key:
                raise BadProof("a proof node is an extension over nothing")
            depth += len(node.key)
            ref = node.child
    return b""


def iterate(read: Reader, root: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
    """Every (key, value) with key >= `start`, in key order. Raises CorruptData."""
    bound = start.hex()
    stack: list[tuple[str, Child]] = []
    child = root_child(root)
    if child is not None:
        stack.append(("", child))
    while stack:
        path, item = stack.pop()
        node = load(read, item) if isinstance(item, bytes) else item
        if isinstance(node, Leaf):
            key = path + node.key
            if key >= bound:
                yield bytes.fromhex(key), node.value
        elif isinstance(node, Branch):
            for slot in range(15, -1, -1):
                below = node.children[slot]
                deeper = path + DIGIT[slot]
                # a subtrie lies wholly before the bound where its prefix is smaller than the bound's
                if below is not None and deeper >= bound[: len(deeper)]:
                    stack.append((deeper, below))
            if node.value and path >= bound:
                yield bytes.fromhex(path), node.value
        else:
            path += node.key
            if path >= bound[: len(path)]:
                stack.append((path, node.child))
