"""Broken input for every decoder, as much of it as is wanted.

    .venv/bin/python -m tests.property.decoders --inputs 1000000 --seed 3

Prints what was raised that is not declared, and the slowest decoders. Exits 1 if anything was.
"""

import argparse
import secrets
import sys

from node.concurrency.worker import limit_recursion
from tests.property.decoders.run import feed


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.property.decoders")
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=None, help="a random one if left out")
    options = parser.parse_args()
    seed = secrets.randbelow(1 << 32) if options.seed is None else options.seed
    limit_recursion()  # as in a node
    report = feed(options.inputs, seed)
    never = sorted(set(report.inputs) - set(report.accepted))
    print(f"{report.inputs.total():,} inputs for {len(report.inputs)} decoders, seed {seed}")
    print(
        f"{report.accepted.total():,} were accepted; of none by {', '.join(never) or 'no decoder'}"
    )
    slow = sorted(report.slowest.items(), key=lambda item: -item[1][0])[:3]
    print(
        "slowest:",
        ", ".join(f"{name} {s * 1000:.0f} ms for {size:,} bytes" for name, (s, size) in slow),
    )
    print(f"not declared: {len(report.faults)}")
    for line in report.lines():
        print("  ", line)
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
