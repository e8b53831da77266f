"""Random transactions through our execution, stock py-evm and EELS: all must agree in everything.

    .venv/bin/python -m tests.conformance.differential --seed 1 --count 1000
    .venv/bin/python -m tests.conformance.differential --seed 1 --only 42     one case, in words
    .venv/bin/python -m tests.conformance.differential --case found.json      a case from a file

`--count` is cases of about four transactions; `--transactions` ends when so many were executed. EELS
runs in an environment that is made at the first use (`--eels PYTHON` names one, `--no-eels` leaves it
out). A difference that no known fault of another engine explains is shrunk, printed and written to
`--out`; the exit code is then 1.
"""

import argparse
import itertools
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.conformance.differential import eels_env
from tests.conformance.differential.case import Case
from tests.conformance.differential.compare import (
    Answer,
    Difference,
    differences,
    state_difference,
)
from tests.conformance.differential.engines import Engines
from tests.conformance.differential.faults import FAULTS
from tests.conformance.differential.generate import generate
from tests.conformance.differential.shrink import readable, shrink


@dataclass(slots=True)
class Tally:
    """What the workers have found so far."""

    cases: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: Counter[tuple[str, str]] = field(default_factory=Counter)
    unexplained: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def transactions(self) -> int:
        return self.outcomes.total()

    def add(self, ours: Answer, found: list[Difference]) -> None:
        with self.lock:
            self.cases += 1
            for outcome in ours.get("outcomes", ()):
                kind = "invalid" if "invalid" in outcome else ("failed", "ok")[outcome["status"]]
                self.outcomes[kind] += 1
            for difference in found:
                self.faults.update((difference.engine, name) for name in difference.faults)
                self.unexplained += not difference.faults


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=1000, help="cases")
    parser.add_argument("--transactions", type=int, help="instead of --count")
    parser.add_argument("--start", type=int, default=0, help="the first case")
    parser.add_argument("--only", type=int, help="run and print this one case")
    parser.add_argument("--case", type=Path, help="run the case in this file")
    parser.add_argument("--jobs", type=int, default=1, help="sets of engines side by side")
    parser.add_argument("--eels", help="the Python of an environment with ethereum-execution")
    parser.add_argument("--no-eels", action="store_true")
    parser.add_argument("--no-py-evm", action="store_true")
    parser.add_argument("--out", type=Path, default=Path(), help="where differences are written")
    return parser.parse_args()


def eels_python(args: argparse.Namespace) -> str | None:
    if args.no_eels:
        return None
    if args.eels:
        return str(args.eels)
    try:
        return str(eels_env.python())
    except subprocess.CalledProcessError as error:
        print(f"EELS cannot be installed, it is left out: {error}", file=sys.stderr)
        return None


def report(engines: Engines, case: Case, first: Difference, out: Path) -> None:
    """Shrink, print and save a case with an unexplained difference."""

    def fails(candidate: Case) -> bool:
        _, found = differences(engines, candidate.wire())
        return any(
            d.engine == first.engine and d.kind == first.kind and not d.faults for d in found
        )

    print(f"\n== {case.name}: {first.engine} differs: {first.text}\nshrinking", flush=True)
    small = shrink(case, fails)
    show(engines, small.wire(), readable(small))
    path = out / f"difference-{case.name.replace('/', '-')}.json"
    path.write_text(json.dumps(small.wire(), indent=1))
    print(f"written to {path}", flush=True)


def show(engines: Engines, wire: dict[str, Any], text: str) -> bool:
    """Print one case and all that differs; whether all of it is explained."""
    ours, found = differences(engines, wire)
    lines = [text, *(f"ours: {outcome}" for outcome in ours.get("outcomes", [ours]))]
    for difference in found:
        why = f" (explained by: {', '.join(difference.faults)})" if difference.faults else ""
        lines.append(f"{difference.engine} differs{why}: {difference.text}")
        if not difference.faults and "crash" not in difference.text:
            lines += state_difference(engines, wire, difference.engine)
    print("\n".join(lines), flush=True)
    return all(difference.faults for difference in found)


def work(args: argparse.Namespace, eels: str | None, job: int, tally: Tally) -> None:
    with Engines(eels, pyevm=not args.no_py_evm) as engines:
        for index in itertools.count(args.start + job, args.jobs):
            if args.transactions is None:
                if index >= args.start + args.count:
                    break
            elif tally.transactions >= args.transactions:
                break
            case = generate(args.seed, index)
            ours, found = differences(engines, case.wire())
            tally.add(ours, found)
            for difference in found:
                if not difference.faults:
                    report(engines, case, difference, args.out)


def run_many(args: argparse.Namespace, eels: str | None) -> bool:
    tally = Tally()
    begin = time.monotonic()
    threads = [
        threading.Thread(target=work, args=(args, eels, job, tally)) for job in range(args.jobs)
    ]
    for thread in threads:
        thread.start()
    shown = begin
    while any(thread.is_alive() for thread in threads):
        threads[0].join(0.2)
        for thread in threads:
            thread.join(0.05)
        if time.monotonic() - shown > 30:
            shown = time.monotonic()
            print(f"{tally.cases} cases, {tally.transactions} transactions", flush=True)
    seconds = time.monotonic() - begin
    counts = ", ".join(f"{count} {kind}" for kind, count in sorted(tally.outcomes.items()))
    print(
        f"seed {args.seed}: {tally.cases} cases, {tally.transactions} transactions ({counts}) in "
        f"{seconds:.0f} s, {tally.transactions / seconds:.0f}/s, EELS {'in' if eels else 'left out'}"
    )
    for fault in FAULTS:
        count = tally.faults[fault.engine, fault.mend]
        print(f"{count:8} x {fault.engine} {fault.mend}: {fault.reason}")
    print(f"{tally.unexplained} unexplained differences")
    if args.transactions is None:
        complete = tally.cases == args.count
    else:
        complete = tally.transactions >= args.transactions
    if not complete:
        print("an engine ended early: not all cases were run", file=sys.stderr)
    return complete and tally.unexplained == 0


def main() -> int:
    args = parse()
    eels = eels_python(args)
    if args.only is None and args.case is None:
        return 0 if run_many(args, eels) else 1
    with Engines(eels, pyevm=not args.no_py_evm) as engines:
        if args.case is not None:
            wire = json.loads(args.case.read_text())
            text = json.dumps(wire, indent=1)
        else:
            case = generate(args.seed, args.only)
            wire, text = case.wire(), readable(case)
        return 0 if show(engines, wire, text) else 1


if __name__ == "__main__":
    sys.exit(main())
