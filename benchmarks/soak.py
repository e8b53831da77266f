"""Half an hour of mixed load with a crash in the middle; nothing may grow, slow down or go missing.

    .venv/bin/python benchmarks/soak.py [--shape 2x2] [--minutes 30] [--rate 120]

Transfers, ERC-20 transfers and swaps, a tenth of them to the other shard, at a fixed rate; one row a minute:
transactions per second, latency, memory (proportional, of all processes), bytes on disk. In the middle one
validator is killed without warning and started again; its minute is marked. Every receipt is read. At the end
the audit must balance, and the last third is compared with the first. Loopback only.
"""

import argparse
import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import targets
from load import Load, Outcome, Signed
from network import percentile
from processes import atoll, cpu_seconds, disk_bytes, memory_mb
from targets import Target
from workloads import Scene, make_senders

MIX = ("transfers", "transfers", "transfers", "transfers", "ERC-20", "ERC-20", "ERC-20", "swaps")
SENDERS = 24  # of each shard and kind
MINUTE = 60.0


class Mixed:
    """Eight connections to each shard, with the kinds of `MIX`."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._scenes = {
            kind: Scene(target, kind, make_senders(target.shards, SENDERS, kind), across=0.1)
            for kind in dict.fromkeys(MIX)
        }
        for scene in self._scenes.values():
            scene.prepare()

    def minute(self, rate: float, seconds: float) -> Outcome:
        places: list[tuple[str, int, str]] = []
        work: list[Iterator[Signed]] = []
        for scene in self._scenes.values():
            scene.read_nonces(sender for row in scene.senders for sender in row)
        each = int(seconds * rate / len(MIX) / self._target.shards) + 1
        for shard in range(self._target.shards):
            for index, kind in enumerate(MIX):
                part, parts = MIX[:index].count(kind), MIX.count(kind)
                places.append(self._target.endpoints[shard][0])
                work.append(self._scenes[kind].work(shard, part, parts, each))
        return Load(places, work, window=2000, rate=rate).run(seconds)


def crash(directory: Path, name: str) -> None:
    """Kill a node without warning, and start it again ten seconds later."""
    atoll("fault", "kill", name, "--dir", str(directory))
    time.sleep(10.0)
    atoll("fault", "heal", "--dir", str(directory))


def audit(directory: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "node", "audit", "--json", "--dir", str(directory)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    print(f"audit: {json.loads(done.stdout)}")


def measure(target: Target, options: argparse.Namespace) -> None:
    directory = target.folders[0].parent
    mixed = Mixed(target)
    middle = options.minutes // 2
    victim = f"s{target.shards - 1}v{int(options.shape.split('x')[1]) - 1}"
    rows: list[tuple[float, float, float, float, float]] = []
    print("minute     tx/s   p50 / p99 ms    CPU ms/tx   memory MB   disk MB  refused")
    for minute in range(options.minutes):
        helper = None
        if minute == middle:
            helper = threading.Thread(target=crash, args=(directory, victim))
            helper.start()
        pids = nodes_of(directory)
        cpu = sum(map(cpu_seconds, pids))
        outcome = mixed.minute(options.rate, MINUTE)
        if helper is not None:
            helper.join()
            cpu = float("nan")  # of a process that is gone
        used = sum(map(cpu_seconds, nodes_of(directory))) - cpu
        memory = sum(memory_mb(pid)[1] for pid in nodes_of(directory))
        disk = disk_bytes(target.folders) / 1e6
        p50, p99 = statistics.median(outcome.latencies), percentile(outcome.latencies, 0.99)
        rate = outcome.confirmed / (outcome.end - outcome.begin)
        rows.append((rate, p50, p99, memory, disk))
        print(
            f"{minute:6} {rate:8.1f} {1000 * p50:6.0f} / {1000 * p99:<6.0f} "
            f"{1000 * used / outcome.confirmed:11.2f} {memory:11.0f} {disk:9.1f} {outcome.refused:8}"
            + (f"   {victim} was killed and came back" if minute == middle else ""),
            flush=True,
        )
    audit(directory)
    compare(rows)


def nodes_of(directory: Path) -> list[int]:
    info = json.loads((directory / "network.json").read_text())
    return [node["pid"] for shard in info["shards"] for node in shard["nodes"] if node["pid"]]


def compare(rows: list[tuple[float, float, float, float, float]]) -> None:
    third = max(1, len(rows) // 3)
    first, last = rows[1 : third + 1], rows[-third:]
    for index, name in enumerate(("tx/s", "p50", "p99", "memory")):
        before, after = (statistics.median(row[index] for row in part) for part in (first, last))
        print(f"{name:<8} last third / first third {after / before:5.2f}")
    growth = [b[4] - a[4] for a, b in pairwise(rows)]
    early, late = statistics.mean(growth[:third]), statistics.mean(growth[-third:])
    print(f"disk     {early:.2f} MB a minute in the first third, {late:.2f} in the last")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", default="2x2")
    parser.add_argument("--minutes", type=int, default=30)
    parser.add_argument("--rate", type=float, default=120.0)
    options = parser.parse_args()
    shards, validators = map(int, options.shape.split("x"))
    with targets.ours(shards, validators) as target:
        measure(target, options)


if __name__ == "__main__":
    main()
