"""The limit on the nesting of a JSON text, checked before a parser sees it.

msgspec recurses on the C stack and relies on Python's recursion limit to stop. That limit is no protection
here: py_ecc, which py-evm and web3 import, raises it to 100 000, and then 100 kB of `[` end the process
with a segmentation fault. So the depth is bounded from the bytes, before parsing.
"""

MAX_DEPTH = 32
"""Every legal request stays far below: a batch of `eth_call` with an access list nests 7 deep."""

MAX_CONTAINERS = 100_000
"""Arrays and objects in one text, inside strings or not. A full batch of calls has a few thousand; without
this bound the passes below could take half a second on a body of 5 MiB."""

_BRACKETS = b"[]{}"
_FOLD = bytes.maketrans(b"{}", b"[]")
_OTHERS = bytes(set(range(256)) - set(_BRACKETS))


def too_deep(text: bytes) -> bool:
    """True if `text` may nest deeper than a parser should follow. Never true for JSON that nests at most
    MAX_DEPTH deep and has at most MAX_CONTAINERS arrays and objects; always true for text of which some
    prefix, valid so far, nests deeper than twice MAX_DEPTH.

    Works in a fixed number of passes at C speed, whatever the text.
    """
    containers = text.count(b"[") + text.count(b"{")
    if containers <= MAX_DEPTH:
        return False
    if containers > MAX_CONTAINERS:
        return True
    if b"\\" in text:  # escapes: after this every quote opens or closes a string
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    outside_strings = b"".join(text.split(b'"')[::2])
    brackets = outside_strings.translate(_FOLD, _OTHERS)
    # Each pass takes away the innermost pairs, so the depth of any prefix falls by at most one.
    for _ in range(MAX_DEPTH):
        rest = brackets.replace(b"[]", b"")
        if len(rest) == len(brackets):
            break
        brackets = rest
    return brackets.count(b"[") > MAX_DEPTH
