"""Families of metrics, the samples of one scrape, and their text form.

The text is version 0.0.4 of Prometheus' exposition format:
https://prometheus.io/docs/instrumenting/exposition_formats/
"""

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"

Kind = Literal["counter", "gauge", "histogram"]

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Bucket bounds for durations from a millisecond to ten seconds."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")


class Histogram:
    """A histogram of durations in seconds. One task or thread writes; an observation takes some 0.3 us."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float] = SECONDS) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    @property
    def count(self) -> int:
        return sum(self.counts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A family of metrics: one name. Counters end in `_total`; units are in the name, always base units."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not all(_NAME.fullmatch(name) for name in (self.name, *self.labels)):
            raise ValueError(f"{self.name} {self.labels}: not a name")
        if (self.kind == "counter") != self.name.endswith("_total"):
            raise ValueError(f"{self.name}: counters end in _total, and nothing else does")


class Sheet:
    """The samples of one scrape, of `families` by name. The samples of a family stand together."""

    def __init__(self, families: Mapping[str, Family]) -> None:
        self._families = families
        self._lines: dict[str, list[str]] = {}

    def put(self, name: str, value: float | None, *labels: object) -> None:
        """Add a sample, with `labels` in the order of the family's. A value of None adds nothing."""
        if value is not None:
            labelled = _labels(self._families[name].labels, labels)
            self._rows(name).append(f"{name}{labelled} {_number(value)}\n")

    def histogram(self, name: str, value: Histogram, *labels: object) -> None:
        counts = list(accumulate(value.counts))
        own = self._families[name].labels
        rows = self._rows(name)
        for bound, count in zip((*map(_number, value.bounds), "+Inf"), counts, strict=True):
            rows.append(f"{name}_bucket{_labels((*own, 'le'), (*labels, bound))} {count}\n")
        rows.append(f"{name}_sum{_labels(own, labels)} {_number(value.sum)}\n")
        rows.append(f"{name}_count{_labels(own, labels)} {counts[-1]}\n")

    def _rows(self, name: str) -> list[str]:
        return self._lines.setdefault(name, [])

    @property
    def names(self) -> list[str]:
        """Families with samples."""
        return list(self._lines)

    def render(self) -> bytes:
        parts: list[str] = []
        for name, lines in self._lines.items():
            family = self._families[name]
            parts.append(f"# HELP {name} {_escape(family.help)}\n# TYPE {name} {family.kind}\n")
            parts += lines
        return "".join(parts).encode()


def _number(value: float) -> str:
    """Format a number. Whole numbers are written exactly; a reader may round (Prometheus keeps 53 bits)."""
    return str(int(value)) if isinstance(value, int) else repr(value)


def _labels(names: Sequence[str], values: Sequence[object]) -> str:
    if not names:
        return ""
    pairs = zip(names, map(str, values), strict=True)
    shown = [f'{name}="{_quote(value)}"' for name, value in pairs if value]  # empty: as if absent
    return "{" + ",".join(shown) + "}" if shown else ""


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _quote(text: str) -> str:
    return _escape(text).replace('"', r"\"")
