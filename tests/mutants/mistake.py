"""What a deliberate mistake is: a small change of the product, and the tests that have to find it."""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class DoesNotApply(Exception):
    """The text that a mistake replaces is not in its file exactly once: the list has to follow the code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """``old`` becomes ``new`` in ``file``. ``suite`` are arguments of pytest: the narrowest that find it."""

    name: str
    file: str
    old: str
    new: str
    suite: tuple[str, ...]

    @property
    def area(self) -> str:
        """The part of the product that it is in."""
        parts = self.file.split("/")
        return parts[1] if parts[0] == "node" and len(parts) > 2 else parts[0]

    def mistaken(self, source: str) -> str:
        """The source with the mistake.

        Raises:
            DoesNotApply: it has not exactly one place for it.
        """
        found = source.count(self.old)
        if found != 1:
            raise DoesNotApply(f"{self.name}: {self.file} has {found} places like {self.old!r}")
        return source.replace(self.old, self.new)

    def apply(self, root: Path) -> str:
        """Make the mistake in the tree at ``root``; the text of the file before. Raises DoesNotApply."""
        path = root / self.file
        before = path.read_text()
        path.write_text(self.mistaken(before))
        return before


@dataclass(frozen=True, slots=True, kw_only=True)
class InProcess:
    """One that the simulation makes itself, by another class or function: see its `mutants.py`."""

    name: str
    kind: str
    schedules: int

    @property
    def area(self) -> str:
        """What it runs in."""
        return f"simulation {self.kind}"

    @property
    def arguments(self) -> tuple[str, ...]:
        """Of `python -m tests.simulation.run`."""
        return (
            "--kind", self.kind, "--mutant", self.name, "--schedules", str(self.schedules), "--jobs", "1",
        )  # fmt: skip
