"""What the public state tests came to, per fork and directory of the suite."""

from collections import Counter


class ConformanceTable:
    """Counts of cases: run, failed, and left out with the reason."""

    def __init__(self) -> None:
        self._ran: Counter[tuple[str, str]] = Counter()
        self._failed: Counter[tuple[str, str]] = Counter()
        self._left_out: Counter[tuple[str, str, str]] = Counter()

    def ran(self, fork: str, directory: str, *, failed: bool) -> None:
        self._ran[fork, directory] += 1
        self._failed[fork, directory] += failed

    def left_out(self, fork: str, directory: str, why: str) -> None:
        self._left_out[fork, directory, why] += 1

    @property
    def total(self) -> int:
        return self._ran.total()

    @property
    def omitted(self) -> int:
        return self._left_out.total()

    def count(self, fork: str) -> int:
        return sum(count for (name, _), count in self._ran.items() if name == fork)

    def lines(self) -> list[str]:
        """The table to print, empty where nothing was counted."""
        if not self._ran and not self._left_out:
            return []
        lines = [f"{'fork':<10}{'directory':<16}{'run':>6}{'failed':>8}"]
        lines += [
            f"{fork:<10}{directory:<16}{count:6}{self._failed[fork, directory]:8}"
            for (fork, directory), count in sorted(self._ran.items())
        ]
        lines.append(f"{'together':<26}{self.total:6}{self._failed.total():8}")
        lines += [
            f"left out: {count} of {fork}, {directory}: {why}"
            for (fork, directory, why), count in sorted(self._left_out.items())
        ]
        return lines
