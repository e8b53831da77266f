"""Bulk changes of a trie: sorted once, one descent, every new node encoded and hashed once on the way up.

Every step gives a subtrie as (node, reference), and NOTHING where nothing is left of it.
"""

from typing import TypeAlias

from node.execution.trie.trie_cache import NodeCache
from node.execution.trie.trie_nodes import (
    ABSENT,
    BELOW,
    DIGIT,
    FULL,
    FULL_START,
    NIBBLE,
    REF_BYTES,
    Branch,
    Extension,
    Leaf,
    Node,
    Reader,
    decode_node,
    extension_body,
    leaf_body,
    list_body,
    mask_of,
    split,
    start,
    string_item,
    string_of,
)
from node.primitives.basics import keccak_fast

Change: TypeAlias = tuple[str, bytes]
"""The nibbles of a key and its new value; an empty value deletes."""
Subtrie: TypeAlias = tuple[Node | None, bytes]
Edit: TypeAlias = tuple[int, bytes]
"""A slot of a branch and its new reference, b"" where it is empty from now on."""

NOTHING: Subtrie = (None, b"")


class Update:
    """One bulk change over the nodes that `read` gives. Raises CorruptData where one is missing.

    `out` receives the bodies of the new nodes by hash. Where a deletion makes two nodes one, the body of
    the lower may be among them though the new trie does not refer to it.
    """

    __slots__ = ("_cache", "_out", "_read", "_young")

    def __init__(self, read: Reader, cache: NodeCache, out: dict[bytes, bytes]) -> None:
        self._read = read
        self._cache = cache
        self._young = cache.young
        self._out = out

    def apply(self, ref: bytes, changes: list[Change]) -> bytes:
        """The reference of the trie `ref` with these changes: sorted, at least one, of distinct keys."""
        _, ref = self._apply(ref, changes, 0)
        self._cache.age()
        return ref

    def build(self, items: list[Change], depth: int) -> bytes:
        """The reference of the subtrie `depth` nibbles below the root that has these keys alone."""
        return self._build(items, depth)[1]

    def _load(self, ref: bytes) -> Node:
        if len(ref) < REF_BYTES:
            return decode_node(ref)
        key = ref[1:]
        return self._young.get(key) or self._cache.load(key, self._read)

    def _put(self, node: Node, body: bytes) -> Subtrie:
        if len(body) < 32:
            return node, body
        key = keccak_fast(body)
        self._out[key] = body
        self._young[key] = node
        return node, b"\xa0" + key

    def _apply(self, ref: bytes, changes: list[Change], depth: int) -> Subtrie:
        if len(changes) == 1 and changes[0][1]:
            return self._set_one(ref, *changes[0], depth)
        if not ref:
            return self._build(changes, depth)
        node = self._load(ref)
        if type(node) is Branch:
            return self._apply_to_branch(node, changes, depth)
        if type(node) is Leaf:
            return self._apply_to_leaf(node, changes, depth)
        return self._apply_to_extension(node, changes, depth)

    # -- one key: most of the changes, below the top levels

    def _set_one(self, ref: bytes, key: str, value: bytes, depth: int) -> Subtrie:
        """Without recursion through branches: this is most of a root's cost."""
        path: list[tuple[Branch, int, int]] = []
        size = len(key)
        young = self._young
        found: Subtrie | None = None
        while ref:
            node = (young.get(ref[1:]) if len(ref) == REF_BYTES else None) or self._load(ref)
            if type(node) is Branch:
                if depth == size:
                    found = self._replace(node, [], value)
                    break
                slot = NIBBLE[key[depth]]
                depth += 1
                mask = node.mask
                if mask == FULL:
                    at = FULL_START + REF_BYTES * slot
                    ref = node.body[at : at + REF_BYTES]
                elif mask >> slot & 1 and mask > 0:
                    at = start(node.body) + slot + 32 * (mask & BELOW[slot]).bit_count()
                    ref = node.body[at : at + REF_BYTES]
                else:
                    at = 0
                    ref = node.ref(slot) or b""
                path.append((node, slot, at))
            elif type(node) is Leaf:
                if not (len(node.key) == size - depth and key.endswith(node.key)):
                    found = self._apply_to_leaf(node, [(key, value)], depth)
                break
            else:
                found = self._apply_to_extension(node, [(key, value)], depth)
                break
        new, ref = found or self._leaf(key[depth:], value)
        out = self._out
        while path:
            branch, slot, at = path.pop()
            if at and len(ref) == REF_BYTES:
                body = branch.body
                body = body[:at] + ref + body[at + REF_BYTES :]
                new = Branch(body, branch.mask)
                hashed = keccak_fast(body)
                out[hashed] = body
                young[hashed] = new
                ref = b"\xa0" + hashed
            else:
                new, ref = self._replace(branch, [(slot, ref)], None)
        return new, ref

    # -- many keys

    def _apply_to_branch(self, node: Branch, changes: list[Change], depth: int) -> Subtrie:
        at = 0
        end = len(changes)
        value: bytes | None = None
        if len(changes[0][0]) == depth:
            value = changes[0][1]
            at = 1
        edits: list[Edit] = []
        while at < end:
            digit = changes[at][0][depth]
            stop = at + 1
            while stop < end and changes[stop][0][depth] == digit:
                stop += 1
            slot = NIBBLE[digit]
            _, ref = self._apply(node.ref(slot) or b"", changes[at:stop], depth + 1)
            edits.append((slot, ref))
            at = stop
        return self._replace(node, edits, value)

    def _replace(self, node: Branch, edits: list[Edit], value: bytes | None) -> Subtrie:
        """The branch with other children, in order of their slots, and another value where not None."""
        mask = node.mask
        body = node.body
        if mask < 0 or value is not None:
            return self._replace_items(split(body), edits, value)
        begin = done = start(body)
        parts = []
        for slot, ref in edits:
            at = begin + slot + 32 * (node.mask & BELOW[slot]).bit_count()
            parts.append(body[done:at])
            done = at + (REF_BYTES if node.mask >> slot & 1 else 1)
            if not ref:
                mask &= ~(1 << slot)
                parts.append(ABSENT)
            elif len(ref) == REF_BYTES:
                mask |= 1 << slot
                parts.append(ref)
            else:
                return self._replace_items(split(body), edits, value)
        if mask.bit_count() < 2:
            return self._replace_items(split(body), edits, value)
        parts.append(body[done:])
        body = list_body(b"".join(parts))
        return self._put(Branch(body, mask), body)

    def _replace_items(self, items: list[bytes], edits: list[Edit], value: bytes | None) -> Subtrie:
        """The same by the items of the branch, which may end as another kind of node or as none."""
        for slot, ref in edits:
            items[slot] = ref or ABSENT
        if value is not None:
            items[16] = string_item(value)
        left = [slot for slot in range(16) if items[slot] != ABSENT]
        if len(left) > 1 or (left and items[16] != ABSENT):
            return self._branch(items)
        if left:
            ref = items[left[0]]
            return self._join(DIGIT[left[0]], self._load(ref), ref)
        return self._leaf("", string_of(items[16])) if items[16] != ABSENT else NOTHING

    def _apply_to_leaf(self, node: Leaf, changes: list[Change], depth: int) -> Subtrie:
        full = changes[0][0][:depth] + node.key
        if not any(key == full for key, _ in changes):
            changes = sorted([*changes, (full, node.value)])
        return self._build(changes, depth)

    def _apply_to_extension(self, node: Extension, changes: list[Change], depth: int) -> Subtrie:
        run = node.key
        # what is not below the run is not there to be deleted
        changes = [change for change in changes if change[1] or change[0].startswith(run, depth)]
        if not changes:
            return self._extension(run, node.ref)
        shared = min(_shared(run, changes[0][0], depth), _shared(run, changes[-1][0], depth))
        if shared == len(run):
            below, ref = self._apply(node.ref, changes, depth + shared)
        else:
            rest = run[shared + 1 :]
            items = [ABSENT] * 17
            items[NIBBLE[run[shared]]] = self._extension(rest, node.ref)[1] if rest else node.ref
            # a branch of one child, which the changes make a whole one
            fork = Branch(list_body(b"".join(items)), mask_of(items))
            below, ref = self._apply_to_branch(fork, changes, depth + shared)
        return self._join(run[:shared], below, ref) if shared else (below, ref)

    def _join(self, run: str, node: Node | None, ref: bytes) -> Subtrie:
        """`node` under a run of nibbles, in the one form the trie may have."""
        if node is None:
            return NOTHING
        if type(node) is Leaf:
            return self._leaf(run + node.key, node.value)
        if type(node) is Extension:
            return self._extension(run + node.key, node.ref)
        return self._extension(run, ref)

    # -- from nothing

    def _build(self, changes: list[Change], depth: int) -> Subtrie:
        """The subtrie of these changes alone; deletions of what is not there mean nothing."""
        changes = [change for change in changes if change[1]]
        return self._build_present(changes, depth) if changes else NOTHING

    def _build_present(self, changes: list[Change], depth: int) -> Subtrie:
        first = changes[0][0]
        end = len(changes)
        if end == 1:
            return self._leaf(first[depth:], changes[0][1])
        last = changes[-1][0]
        fork = depth
        limit = min(len(first), len(last))
        while fork < limit and first[fork] == last[fork]:
            fork += 1
        items = [ABSENT] * 17
        at = 0
        if len(first) == fork:
            items[16] = string_item(changes[0][1])
            at = 1
        while at < end:
            digit = changes[at][0][fork]
            stop = at + 1
            while stop < end and changes[stop][0][fork] == digit:
                stop += 1
            items[NIBBLE[digit]] = self._build_present(changes[at:stop], fork + 1)[1]
            at = stop
        branch = self._branch(items)
        return self._extension(first[depth:fork], branch[1]) if fork > depth else branch

    # -- new nodes

    def _leaf(self, key: str, value: bytes) -> Subtrie:
        return self._put(Leaf(key, value), leaf_body(key, value))

    def _extension(self, key: str, ref: bytes) -> Subtrie:
        return self._put(Extension(key, ref), extension_body(key, ref))

    def _branch(self, items: list[bytes]) -> Subtrie:
        body = list_body(b"".join(items))
        return self._put(Branch(body, mask_of(items)), body)


def _shared(run: str, key: str, depth: int) -> int:
    """The number of nibbles that `run` shares with the key at `depth`."""
    count = 0
    for a, b in zip(run, key[depth:], strict=False):
        if a != b:
            break
        count += 1
    return count
