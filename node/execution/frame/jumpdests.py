"""The valid destinations of jumps (Yellow Paper 9.4.3), found lazily and kept small.

All code before a byte decides if it is an instruction or push data. One byte is kept for every `CHUNK` bytes of
code: the offset of the first instruction in that chunk. From there a regular expression finds the rest when a
jump is made. So 24 KiB of code of any kind take half a millisecond once and 192 bytes, and code behind the
farthest jump takes nothing.
"""

import re

CHUNK = 128  # bytes of code
_JUMPDEST = 0x5B
_PUSH0 = 0x5F

# As many whole instructions as there are. Possessive: what was matched is never tried another way.
_INSTRUCTIONS = re.compile(
    rb"(?:[^\x60-\x7f]++|"
    + b"|".join(re.escape(bytes([_PUSH0 + size])) + b".{%d}" % size for size in range(1, 33))
    + rb")*+",
    re.DOTALL,
)
_match = _INSTRUCTIONS.match


class JumpDestinations:
    """The jump destinations of one code. May be shared by threads."""

    __slots__ = ("_code", "_starts")

    def __init__(self, code: bytes) -> None:
        self._code = code
        self._starts = b"\0"  # per chunk: bytes from its begin to the first instruction in it

    def __contains__(self, offset: int) -> bool:
        """True if `offset`, any number, is a valid destination: a JUMPDEST that is not push data."""
        code = self._code
        if offset >= len(code) or code[offset] != _JUMPDEST:
            return False
        chunk = offset // CHUNK
        if chunk >= len(self._starts):
            self._extend(chunk)
        at = chunk * CHUNK + self._starts[chunk]
        return at <= offset and self._end(at, offset) == offset

    def _end(self, at: int, limit: int) -> int:
        """The end of the last instruction that begins at `at` or later and ends at `limit` or before."""
        found = _match(self._code, at, limit)
        assert found is not None  # it matches nothing at all, too
        return found.end()

    def _extend(self, chunk: int) -> None:
        code = self._code
        starts = bytearray(self._starts)
        at = (len(starts) - 1) * CHUNK + starts[-1]
        while len(starts) <= chunk:
            begin = len(starts) * CHUNK
            at = self._end(at, begin)
            if at < begin:  # a push whose data reach into the chunk
                at += 1 + code[at] - _PUSH0
            starts.append(at - begin)
        self._starts = bytes(starts)  # at once: another thread may be reading
