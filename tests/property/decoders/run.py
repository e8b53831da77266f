"""Feed every decoder with broken input and note what it should not have done."""

import random
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field

from tests.property.decoders.mutate import mutated
from tests.property.decoders.registry import ENTRIES, Entry


@dataclass(slots=True)
class Report:
    """`faults`: by decoder and where it happened, what was raised and the first input that did."""

    inputs: Counter[str] = field(default_factory=Counter)
    accepted: Counter[str] = field(default_factory=Counter)
    faults: dict[tuple[str, str], str] = field(default_factory=dict)
    slowest: dict[str, tuple[float, int]] = field(default_factory=dict)  # seconds, bytes

    def lines(self) -> list[str]:
        return [f"{name} ({where}): {what}" for (name, where), what in sorted(self.faults.items())]


def feed(inputs: int, seed: int, entries: list[Entry] = ENTRIES) -> Report:
    """`inputs` in all, one decoder after the other; the same ones for a seed."""
    rnd, report = random.Random(seed), Report()
    others = [data for entry in entries for data in entry.seeds]
    for number in range(inputs):
        entry = entries[number % len(entries)]
        seeds = entry.seeds
        data = seeds[number // len(entries)] if number < len(entries) * len(seeds) else None
        check(entry, data or mutated(rnd.choice(seeds), entry.form, others, rnd), report)
    return report


def check(entry: Entry, data: bytes, report: Report) -> None:
    """One input: the value has it for its encoding, or the declared error is raised."""
    name, started = entry.name, time.perf_counter()
    report.inputs[name] += 1
    try:
        value = entry.decode(data)
    except entry.declared:
        pass
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        where = traceback.extract_tb(error.__traceback__)[-1].name
        report.faults.setdefault(
            (name, where), f"{error!r:.200} for {data[:300].hex()} ({len(data)} bytes)"
        )
    else:
        report.accepted[name] += 1
        if entry.again is not None and entry.again(value) != data:
            report.faults.setdefault((name, "again"), f"another encoding: {data[:300].hex()}")
    took = time.perf_counter() - started
    if took > report.slowest.get(name, (0.0, 0))[0]:
        report.slowest[name] = (took, len(data))
