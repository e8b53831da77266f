"""`atoll logs`: what nodes wrote, of one or of all of them, and what they add."""

import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from node.cluster.processes.logfile import older
from node.primitives.decoding import BAD_INPUT
from node.primitives.errors import UserError

CHUNK_BYTES = 64 * 1024
LEVELS = ("debug", "info", "warning", "error")
TEXT_LINE = re.compile(r"(\d{4}-\d\d-\d\dT[\d:.]+Z?) +\[(\w+) *\]")
SEVERE = {"critical": "error", "exception": "error"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of a node's log. What belongs to the line before it, as in a traceback, has its `time` (as
    written, UTC) and `level`; both are empty before the first one that has them."""

    node: str
    time: str
    level: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """A filter of lines: at least as severe as `level`, and `pattern` is found in them."""

    level: str = ""
    pattern: re.Pattern[str] | None = None

    @property
    def chooses(self) -> bool:
        """True if the filter leaves out any line."""
        return bool(self.level) or self.pattern is not None

    def takes(self, line: Line) -> bool:
        if self.level and _severity(line.level) < _severity(self.level):
            return False
        return self.pattern is None or self.pattern.search(line.text) is not None


class _Fields(msgspec.Struct):
    timestamp: str = ""
    level: str = ""


_decode = msgspec.json.Decoder(_Fields).decode


class LogReader:
    """Reads one log, and what is added to it, through turns of the files."""

    def __init__(self, name: str, path: Path) -> None:
        self._name = name
        self._path = path
        self._time = self._level = ""
        self._descriptor = -1
        self._rest = b""

    def last(self, count: int, wanted: Filter) -> list[Line]:
        """The last `count` lines that the filter takes; `more` goes on behind them. Raises UserError."""
        found: deque[Line] = deque(maxlen=count)
        files = [path for path in (older(self._path), self._path) if path.exists()]
        for path in files:
            self._open(path)
            if path == files[-1] and not wanted.chooses:
                start = _start_of_last(self._descriptor, count)
                if start > 0:
                    found.clear()
                os.lseek(self._descriptor, start, os.SEEK_SET)
            found.extend(filter(wanted.takes, self._lines()))
        return list(found)

    def more(self) -> Iterator[Line]:
        """The lines that were added since. A log that became shorter was made anew: it is read from its
        beginning.
        """
        while self._descriptor >= 0 or self._path.exists():
            if self._descriptor < 0:
                self._open(self._path)
            replaced = self._is_replaced()
            yield from self._lines()
            if not replaced:
                return
            self.close()

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self, path: Path) -> None:
        self.close()
        self._rest = b""
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise UserError(f"{path}: cannot read the log: {error.strerror}") from None

    def _is_replaced(self) -> bool:
        """True if another file has the name now, or this one was cut; asked before it is read to its end."""
        opened = os.fstat(self._descriptor)
        try:
            named = self._path.stat()
        except OSError:
            return False
        if not os.path.samestat(named, opened):
            return True
        return opened.st_size < os.lseek(self._descriptor, 0, os.SEEK_CUR)

    def _lines(self) -> Iterator[Line]:
        while piece := os.read(self._descriptor, CHUNK_BYTES):
            *lines, self._rest = (self._rest + piece).split(b"\n")
            yield from map(self._line, lines)

    def _line(self, raw: bytes) -> Line:
        text = raw.decode(errors="replace")
        if found := TEXT_LINE.match(text):
            self._time, self._level = found.groups()
        elif text.startswith("atoll: error: "):
            self._level = "error"
        elif text.startswith("{"):
            try:
                fields = _decode(raw)
            except BAD_INPUT:
                pass
            else:
                self._time, self._level = fields.timestamp, fields.level
        return Line(node=self._name, time=self._time, level=self._level, text=text)


def merged_logs(
    logs: Sequence[tuple[str, Path]],
    count: int,
    wanted: Filter,
    *,
    follow: bool = False,
    wait: Callable[[], object] = lambda: None,
) -> Iterator[Line]:
    """The last `count` lines of all these logs (name, path) together, in the order of their times; with
    `follow` then what is added, without an end. `wait()` is called when there is nothing new.

    Raises UserError: there is no log at all, or one cannot be read.
    """
    if not follow and not any(path.exists() for _, path in logs):
        raise UserError(f"{logs[0][1]}: no log yet; the node was never started here")
    readers = [LogReader(name, path) for name, path in logs]
    try:
        found = _in_order(line for reader in readers for line in reader.last(count, wanted))
        yield from found[-count:] if count else []
        while follow:
            if added := _in_order(line for reader in readers for line in reader.more()):
                yield from filter(wanted.takes, added)
            else:
                wait()
    finally:
        for reader in readers:
            reader.close()


def _in_order(lines: Iterable[Line]) -> list[Line]:
    """By time; those of one node, and those of one time, stay in their order."""
    return sorted(lines, key=lambda line: line.time)


def _severity(level: str) -> int:
    level = SEVERE.get(level, level)
    return LEVELS.index(level) if level in LEVELS else 0


def _start_of_last(descriptor: int, lines: int) -> int:
    """The offset at which the last `lines` lines begin, looking from the end."""
    position = size = os.fstat(descriptor).st_size
    if lines <= 0:
        return size
    found = 0
    while position > 0:
        step = min(CHUNK_BYTES, position)
        position -= step
        piece = os.pread(descriptor, step, position)
        at = len(piece)
        while (at := piece.rfind(b"\n", 0, at)) >= 0:
            if position + at == size - 1:
                continue  # the end of the last line
            found += 1
            if found == lines:
                return position + at + 1
    return 0
