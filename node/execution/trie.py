"""A Merkle-Patricia trie that is read key by key and changed in bulk.

`update` takes a whole block's changes, sorts them once and descends once; roots come out of `commit`.
Every node is encoded and hashed once in its life: that, and the decoded nodes that stay from block to
block, is what makes a state root cost microseconds per account (docs: EXECUTION, state root).
"""

from collections.abc import Iterable, Sequence

from node.execution.trie_nodes import (
    DIGIT,
    NIBBLE,
    Branch,
    Child,
    Extension,
    Leaf,
    Node,
    Reader,
    load,
    root_child,
    root_hash,
)
from node.execution.trie_proof import iterate, prove, verify_proof
from node.primitives import rlp
from node.primitives.basics import EMPTY_TRIE_ROOT, Hash32

__all__ = ["Trie", "iterate", "ordered_root", "prove", "verify_proof"]

DEFAULT_CACHE_NODES = 200_000
_Change = tuple[str, bytes]


class NodeCount:
    """How many nodes the tries that share it have decoded or made since they were last trimmed.

    An upper bound of what they keep in memory; threads may miscount by a few.
    """

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0


class Trie:
    """The trie with `root`, over the bodies that `read` gives.

    Reading and updating raise CorruptData where a node is missing. Not for two threads at once, but
    copies are independent and may be used by different threads.
    """

    __slots__ = ("_read", "cache_nodes", "count", "node")

    def __init__(
        self,
        read: Reader,
        root: bytes = EMPTY_TRIE_ROOT,
        *,
        cache_nodes: int = DEFAULT_CACHE_NODES,
        count: "NodeCount | None" = None,
    ) -> None:
        self._read = read
        self.node: Child | None = root_child(root)
        self.cache_nodes = cache_nodes
        self.count = count if count is not None else NodeCount()

    def copy(self) -> "Trie":
        """Another trie of the same content, sharing the decoded nodes; neither sees the other's changes."""
        twin = Trie(self._read, cache_nodes=self.cache_nodes, count=self.count)
        twin.node = self.node
        return twin

    def get(self, key: bytes) -> bytes:
        """The value of `key`, b"" where there is none."""
        nibbles = key.hex()
        size = len(nibbles)
        depth = 0
        parent: Node | None = None
        slot = 0
        node = self.node
        while node is not None:
            if isinstance(node, bytes):
                node = load(self._read, node)
                self.count.value += 1
                if parent is None:
                    self.node = node
                elif isinstance(parent, Branch):
                    parent.children[slot] = node
                elif isinstance(parent, Extension):
                    parent.child = node
            if isinstance(node, Branch):
                if depth == size:
                    return node.value
                slot = NIBBLE[nibbles[depth]]
                parent = node
                node = node.children[slot]
                depth += 1
            elif isinstance(node, Leaf):
                return node.value if nibbles[depth:] == node.key else b""
            else:
                if not nibbles.startswith(node.key, depth):
                    return b""
                depth += len(node.key)
                parent = node
                node = node.child
        return b""

    def update(self, items: Iterable[tuple[bytes, bytes]]) -> None:
        """Set every (key, value); an empty value deletes. Keys must be distinct."""
        changes = sorted([(key.hex(), value) for key, value in items])
        if changes:
            self.node = self._apply(self.node, changes, 0)

    def commit(self, out: dict[bytes, bytes]) -> Hash32:
        """The root. The bodies of nodes that are new since the last commit are put into `out` by hash."""
        before = len(out)
        root = root_hash(self.node, out)
        self.count.value += len(out) - before
        return root

    def trim(self) -> None:
        """Forget decoded nodes, deepest first, where more than `cache_nodes` may be in memory.

        Only to be called when every committed body can be read again.
        """
        if self.count.value > self.cache_nodes:
            self.count.value = trim_nodes([self.node], self.cache_nodes // 2)

    # -- changes

    def _load(self, ref: bytes) -> Node:
        self.count.value += 1
        return load(self._read, ref)

    def _apply(self, node: Child | None, changes: list[_Change], depth: int) -> Node | None:
        if node is None:
            return _build(changes, depth)
        if isinstance(node, bytes):
            node = self._load(node)
        if isinstance(node, Branch):
            return self._apply_to_branch(node.children[:], node.value, changes, depth)
        if isinstance(node, Leaf):
            return _apply_to_leaf(node, changes, depth)
        return self._apply_to_extension(node, changes, depth)

    def _apply_to_branch(
        self, children: list[Child | None], value: bytes, changes: list[_Change], depth: int
    ) -> Node | None:
        at = 0
        end = len(changes)
        shrunk = False
        key = changes[0][0]
        if end == 1 and len(key) > depth:  # as most are below the top: nothing to group
            slot = NIBBLE[key[depth]]
            child = self._apply(children[slot], changes, depth + 1)
            children[slot] = child
            return Branch(children, value) if child is not None else self._collapse(children, value)
        if len(key) == depth:
            value = changes[0][1]
            shrunk = not value
            at = 1
        while at < end:
            digit = changes[at][0][depth]
            stop = at + 1
            while stop < end and changes[stop][0][depth] == digit:
                stop += 1
            slot = NIBBLE[digit]
            part = changes if stop - at == end else changes[at:stop]
            child = self._apply(children[slot], part, depth + 1)
            children[slot] = child
            if child is None:
                shrunk = True
            at = stop
        return self._collapse(children, value) if shrunk else Branch(children, value)

    def _apply_to_extension(
        self, node: Extension, changes: list[_Change], depth: int
    ) -> Node | None:
        run = node.key
        shared = min(_shared(run, changes[0][0], depth), _shared(run, changes[-1][0], depth))
        if shared == len(run):
            return self._join(run, self._apply(node.child, changes, depth + shared))
        below: Child = (
            node.child if shared == len(run) - 1 else Extension(run[shared + 1 :], node.child)
        )
        children: list[Child | None] = [None] * 16
        children[NIBBLE[run[shared]]] = below
        branch = self._apply_to_branch(children, b"", changes, depth + shared)
        return self._join(run[:shared], branch) if shared else branch

    def _join(self, run: str, child: Child | None) -> Node | None:
        """`child` under a run of nibbles, in the one form the trie may have."""
        if child is None:
            return None
        node = self._load(child) if isinstance(child, bytes) else child
        if isinstance(node, Leaf):
            return Leaf(run + node.key, node.value)
        if isinstance(node, Extension):
            return Extension(run + node.key, node.child)
        return Extension(run, node)

    def _collapse(self, children: list[Child | None], value: bytes) -> Node | None:
        """What a branch becomes that may have lost children."""
        left = [slot for slot, child in enumerate(children) if child is not None]
        if len(left) > 1 or (left and value):
            return Branch(children, value)
        if value:
            return Leaf("", value)
        return self._join(DIGIT[left[0]], children[left[0]]) if left else None


def _shared(run: str, key: str, depth: int) -> int:
    """How many nibbles of `run` the key has at `depth`."""
    count = 0
    for a, b in zip(run, key[depth:], strict=False):
        if a != b:
            break
        count += 1
    return count


def _apply_to_leaf(node: Leaf, changes: list[_Change], depth: int) -> Node | None:
    first, value = changes[0]
    if len(changes) == 1 and first[depth:] == node.key:
        return Leaf(node.key, value) if value else None
    full = first[:depth] + node.key
    if not any(key == full for key, _ in changes):
        changes = sorted([*changes, (full, node.value)])
    return _build(changes, depth)


def _build(changes: list[_Change], depth: int) -> Node | None:
    """The subtrie of these changes alone; deletions of what is not there mean nothing."""
    changes = [change for change in changes if change[1]]
    return _build_present(changes, depth) if changes else None


def _build_present(changes: list[_Change], depth: int) -> Node:
    first = changes[0][0]
    end = len(changes)
    if end == 1:
        return Leaf(first[depth:], changes[0][1])
    last = changes[-1][0]
    split = depth
    limit = min(len(first), len(last))
    while split < limit and first[split] == last[split]:
        split += 1
    children: list[Child | None] = [None] * 16
    at = 0
    value = b""
    if len(first) == split:
        value = changes[0][1]
        at = 1
    while at < end:
        digit = changes[at][0][split]
        stop = at + 1
        while stop < end and changes[stop][0][split] == digit:
            stop += 1
        children[NIBBLE[digit]] = _build_present(changes[at:stop], split + 1)
        at = stop
    branch = Branch(children, value)
    return Extension(first[depth:split], branch) if split > depth else branch


def trim_nodes(roots: Iterable[Child | None], keep: int) -> int:
    """Keep about `keep` decoded nodes, those nearest to the roots; returns how many are left.

    Nodes without a reference (not committed yet) are kept whatever their depth.
    """
    level: list[Node] = [node for node in roots if node is not None and not isinstance(node, bytes)]
    kept = len(level)
    while level:
        below: list[Node] = []
        for node in level:
            if isinstance(node, Branch):
                below += [c for c in node.children if c is not None and not isinstance(c, bytes)]
            elif isinstance(node, Extension) and not isinstance(node.child, bytes):
                below.append(node.child)
        if kept + len(below) > keep:
            for node in level:
                if isinstance(node, Branch):
                    node.children[:] = [_reference_only(child) for child in node.children]
                elif isinstance(node, Extension):
                    node.child = _reference_only(node.child) or node.child
            return kept
        kept += len(below)
        level = below
    return kept


def _reference_only(child: Child | None) -> Child | None:
    if child is None or isinstance(child, bytes) or child.ref is None:
        return child
    return child.ref


def _no_bodies(_: bytes) -> None:
    return None


def ordered_root(items: Sequence[bytes]) -> Hash32:
    """The root of the trie rlp(index) -> item: a header's transactions and receipts roots."""
    trie = Trie(_no_bodies)
    trie.update([(rlp.encode_int(index), item) for index, item in enumerate(items)])
    return trie.commit({})
