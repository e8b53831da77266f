"""Merkle proofs and ordered iteration over tries that are read straight from storage."""

from collections.abc import Callable, Iterator, Sequence

from node.execution.trie.errors import BadProof
from node.execution.trie.trie_nodes import (
    DIGIT,
    NIBBLE,
    Branch,
    Extension,
    Leaf,
    Node,
    Reader,
    body_of,
    decode_node,
    is_hash,
    load,
)
from node.primitives import rlp
from node.primitives.basics import EMPTY_TRIE_ROOT, keccak_fast
from node.primitives.errors import CorruptData, DecodeError

MAX_PROOF_NODES = 68  # a 32-byte key has 64 nibbles
MAX_NODE_BYTES = 64 * 1024


def _root_ref(root: bytes) -> bytes | None:
    return None if root == EMPTY_TRIE_ROOT else b"\xa0" + root


def prove(read: Reader, root: bytes, key: bytes) -> tuple[bytes, ...]:
    """The bodies of the nodes from the root to `key`, or to where it is seen to be absent.

    Nodes embedded in their parent are not listed (the form of eth_getProof). Raises CorruptData.
    """
    proof: list[bytes] = []
    nibbles = key.hex()
    depth = 0
    ref = _root_ref(root)
    while ref is not None:
        body = body_of(read, ref)
        if is_hash(ref):
            proof.append(body)
        node = decode_node(body)
        if isinstance(node, Branch):
            if depth == len(nibbles):
                break
            ref = node.ref(NIBBLE[nibbles[depth]])
            depth += 1
        elif isinstance(node, Leaf) or not nibbles.startswith(node.key, depth):
            break
        else:
            depth += len(node.key)
            ref = node.ref
    return tuple(proof)


def verify_proof(root: bytes, key: bytes, proof: Sequence[bytes]) -> bytes | None:
    """The value that the trie with `root` has for `key`; None where it proves that there is none.

    Raises BadProof unless the nodes are exactly the path of `key`, each the preimage of its reference.
    """
    if len(proof) > MAX_PROOF_NODES:
        raise BadProof(f"a proof of {len(proof)} nodes is too long")
    bodies = iter(proof)
    value = follow(root, key, lambda _: next(bodies, b""))
    if next(bodies, None) is not None:
        raise BadProof("the proof has nodes beyond the path of its key")
    return value or None


def follow(
    root: bytes, key: bytes, fetch: Callable[[bytes], bytes], max_node_bytes: int = MAX_NODE_BYTES
) -> bytes:
    """The value of `key`, b"" where it is proven absent. Raises BadProof.

    `fetch` is asked for the body of each hash on the path, and may give anything where it has none.
    """
    nibbles = key.hex()
    depth = 0
    ref = _root_ref(root)
    while ref is not None:
        body = ref
        if is_hash(ref):
            body = fetch(ref[1:])
            if keccak_fast(body) != ref[1:]:
                raise BadProof(f"node {ref[1:].hex()} is missing from the proof")
        node = proven_node(body, max_node_bytes)
        if isinstance(node, Branch):
            if depth == len(nibbles):
                return node.value
            ref = node.ref(NIBBLE[nibbles[depth]])
            depth += 1
        elif isinstance(node, Leaf):
            return node.value if nibbles[depth:] == node.key else b""
        elif not nibbles.startswith(node.key, depth):
            return b""
        else:
            depth += len(node.key)
            ref = node.ref
    return b""


def proven_node(body: bytes, max_node_bytes: int = MAX_NODE_BYTES) -> Node:
    """The node of a body that a peer sent. Raises BadProof."""
    try:
        if len(body) > max_node_bytes:
            raise BadProof("a proof node is too large")
        rlp.decode(body)  # strict: the decoder below trusts its input
        node = decode_node(body)
    except (DecodeError, CorruptData) as error:
        raise BadProof(f"a proof node is malformed: {error}") from None
    if isinstance(node, Extension) and not node.key:
        raise BadProof("a proof node is an extension over nothing")
    return node


def iterate(read: Reader, root: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
    """Every (key, value) with key >= `start`, in key order. Raises CorruptData."""
    bound = start.hex()
    stack: list[tuple[str, bytes]] = []
    ref = _root_ref(root)
    if ref is not None:
        stack.append(("", ref))
    while stack:
        path, ref = stack.pop()
        node = load(read, ref)
        if isinstance(node, Leaf):
            key = path + node.key
            if key >= bound:
                yield bytes.fromhex(key), node.value
        elif isinstance(node, Branch):
            for slot in range(15, -1, -1):
                below = node.ref(slot)
                deeper = path + DIGIT[slot]
                # a subtrie lies wholly before the bound where its prefix is smaller than the bound's
                if below is not None and deeper >= bound[: len(deeper)]:
                    stack.append((deeper, below))
            if node.value and path >= bound:
                yield bytes.fromhex(path), node.value
        else:
            path += node.key
            if path >= bound[: len(path)]:
                stack.append((path, node.ref))
