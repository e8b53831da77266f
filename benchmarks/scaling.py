"""The growth of a network's cost with shards and validators, by processor time, so that it holds on two cores.

    .venv/bin/python benchmarks/scaling.py [--seconds 10] [--rate 60] [--out FILE | --read FILE]

Runs networks of several shapes with transfers at a fixed rate per shard and a fixed share of them to other
shards, counts what happened (transactions, messages, shard blocks, beacon blocks) and what it took (CPU of all
processes, bytes between nodes, bytes on disk), and fits a cost for each kind of event that cannot be negative:

    CPU = T a + T v e + T q w + X x + (B v + H c) s + (B v (v-1) + H c (c-1)) m + H n b + B n l + n t i

T transactions, X of them to another shard, B shard blocks, H beacon blocks, n nodes of which q are asked for
receipts, v validators of a shard, c of the beacon, t seconds. docs/scaling.md says what follows. Some runs, of
each number of shards one, are left out of the fit and predicted: the table shows measured against predicted.
Then networks of 2 to 1024 shards with one core for each node are predicted. Loopback only, bounded.
"""

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import targets
from load import Load
from processes import cpu_seconds, disk_bytes
from targets import Target
from workloads import Scene, make_senders

SENDERS = 32
BEACON = 4  # validators of the beacon, if there are as many nodes
ASKED = 2  # nodes of each shard that the client is connected to, if there are as many
RUNS = (  # shards, validators, share across, times the rate
    (1, 1, 0.0, 0.0), (1, 1, 0.0, 1.0), (1, 2, 0.0, 1.0), (1, 4, 0.0, 1.0), (1, 4, 0.0, 3.0),
    (2, 1, 0.0, 0.0), (2, 1, 0.0, 1.0), (2, 1, 0.0, 3.0), (2, 1, 0.5, 1.0), (2, 2, 0.1, 1.0), (2, 4, 0.1, 1.0),
    (4, 1, 0.1, 1.0), (4, 1, 0.1, 2.0), (8, 1, 0.1, 1.0),
)  # fmt: skip
HELD_OUT = (
    (1, 1, 0.0, 3.0), (2, 1, 0.5, 3.0), (4, 1, 0.5, 1.0), (8, 1, 0.5, 1.0), (4, 2, 0.1, 1.0),
)  # fmt: skip
COSTS = (
    ("a", "admission and receipt of a transaction, on one node"),
    ("e", "its gossip, execution and commit, on each validator of the shard"),
    ("w", "listing it in the network's block, on each node that is asked for such a block"),
    ("x", "sending it to another shard instead, all nodes together"),
    ("s", "deciding a block, on each validator of its chain"),
    ("m", "its votes, for each pair of them"),
    ("b", "following a beacon block, on every node"),
    ("l", "a crosslink in it, on every node"),
    ("i", "a second of being there, on every node"),
)
WIRE = (
    ("tx", "a transaction, to each other validator of the shard"),
    ("message", "a message to another shard, to each validator there"),
    ("votes", "deciding a block, for each pair of its validators"),
    ("crosslink", "a crosslink, to every node"),
    ("beacon", "a beacon block, to every node"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The counts of one measurement."""

    shards: int
    validators: int
    across: float
    seconds: float
    transactions: int
    crossing: int
    shard_blocks: int
    beacon_blocks: int
    cpu: float
    wire: int
    disk: int

    @property
    def nodes(self) -> int:
        return self.shards * self.validators

    @property
    def seats(self) -> int:
        """Seats of the beacon."""
        return min(BEACON, self.nodes)

    @property
    def asked(self) -> int:
        """The number of nodes that the client asks for receipts."""
        return self.shards * min(ASKED, self.validators)

    @property
    def name(self) -> str:
        rate = self.transactions / self.seconds
        return (
            f"{self.shards} x {self.validators}, {100 * self.across:.0f} % across, {rate:.0f} tx/s"
        )

    def events(self) -> list[float]:
        """The number of occurrences of each of COSTS."""
        t, x, b, h = self.transactions, self.crossing, self.shard_blocks, self.beacon_blocks
        n, v, c = self.nodes, self.validators, self.seats
        decided, votes = b * v + h * c, b * v * (v - 1) + h * c * (c - 1)
        return [t, t * v, t * self.asked, x, decided, votes, h * n, b * n, n * self.seconds]

    def sendings(self) -> list[float]:
        """The number of occurrences of each of WIRE."""
        t, x, b, h = self.transactions, self.crossing, self.shard_blocks, self.beacon_blocks
        n, v, c = self.nodes, self.validators, self.seats
        votes = b * v * (v - 1) + h * c * (c - 1)
        return [t * (v - 1), x * v, votes, b * (n - 1), h * (n - 1)]


def heights(target: Target) -> tuple[int, int]:
    """(shard blocks of all shards, beacon blocks)."""
    shards = 0
    for shard, nodes in enumerate(target.endpoints):
        host, port, _ = nodes[0]
        shards += int(targets.ask((host, port, f"/shard/{shard}"), "eth_blockNumber"), 16)
    return shards, int(target.ask("eth_blockNumber"), 16)


def measure(shards: int, validators: int, across: float, rate: float, seconds: float) -> Run:
    with targets.ours(shards, validators) as target:
        scene = Scene(target, "transfers", make_senders(shards, SENDERS), across=across)
        scene.prepare()
        places, work = [], []
        for shard in range(shards):
            for part in range(ASKED):
                places.append(target.endpoints[shard][part % validators])
                count = math.ceil(rate * seconds / ASKED)
                work.append(scene.work(shard, part, ASKED, count))
        blocks, beacon = heights(target)
        cpu, disk, wire = (
            sum(map(cpu_seconds, target.pids)),
            disk_bytes(target.folders),
            target.wire_bytes(),
        )
        load = Load(places, work, window=10**6, rate=rate * shards)
        outcome = load.run(seconds, least=seconds)
        cpu = sum(map(cpu_seconds, target.pids)) - cpu
        wire, disk = target.wire_bytes() - wire, disk_bytes(target.folders) - disk
        more, higher = heights(target)
        count = outcome.confirmed
        return Run(
            shards=shards, validators=validators, across=across if shards > 1 else 0.0,
            seconds=outcome.end - outcome.begin, transactions=count,
            crossing=round(count * across) if shards > 1 else 0,
            shard_blocks=more - blocks, beacon_blocks=higher - beacon,
            cpu=cpu, wire=wire, disk=disk,
        )  # fmt: skip


def fit(rows: Sequence[Sequence[float]], values: Sequence[float]) -> list[float]:
    """Non-negative least squares of relative errors, by coordinate descent: it is small and convex."""
    scaled = [[x / y for x in row] for row, y in zip(rows, values, strict=True)]
    width = len(scaled[0])
    found = [0.0] * width
    squares = [sum(row[j] ** 2 for row in scaled) for j in range(width)]
    for _ in range(100_000):
        moved = 0.0
        for j in range(width):
            if not squares[j]:
                continue
            rest = [1.0 - sum(row[k] * found[k] for k in range(width) if k != j) for row in scaled]
            best = max(
                0.0, sum(row[j] * r for row, r in zip(scaled, rest, strict=True)) / squares[j]
            )
            moved = max(moved, abs(best - found[j]) * math.sqrt(squares[j]))
            found[j] = best
        if moved < 1e-9:
            break
    return found


def predicted(costs: Sequence[float], events: Sequence[float]) -> float:
    return sum(c * e for c, e in zip(costs, events, strict=True))


def show_fit(
    runs: Sequence[Run], held_out: Sequence[Run], cpu: Sequence[float], wire: Sequence[float]
) -> None:
    for (letter, text), cost in zip(COSTS, cpu, strict=True):
        print(f"  {letter}  {1e3 * cost:9.4f} ms   {text}")
    for (name, text), cost in zip(WIRE, wire, strict=True):
        print(f"  {name:<10} {cost:9.0f} bytes   {text}")
    print(f"\n{'':<34} CPU s measured  predicted  ratio   wire kB measured  predicted")
    for run in (*runs, *held_out):
        guess, sent = predicted(cpu, run.events()), predicted(wire, run.sendings())
        mark = "" if run in runs else "   not in the fit"
        print(
            f"{run.name:<34} {run.cpu:14.2f} {guess:10.2f} {run.cpu / guess:6.2f}"
            f" {run.wire / 1e3:18.0f} {sent / 1e3:10.0f}{mark}"
        )


def extrapolate(cpu: Sequence[float], wire: Sequence[float], disk: float, across: float) -> None:
    """Print the predicted rate of a network of k shards with one core for each node, at two paces of its
    blocks.
    """
    a, e, w, x, s, m, b, link, i = cpu
    print(
        f"\nOne core a node, {100 * across:.0f} % across, disk {disk:.0f} bytes a transaction and validator"
    )
    for validators in (1, 4):
        for pace in (20.0, 1.0):
            print(
                f"\n{validators} validators a shard, {pace:g} blocks a second of every shard and the beacon"
            )
            print(
                "  shards     tx/s all   tx/s a shard   beacon's share   MB/s a node   GB/day a node"
            )
            for power in range(1, 11):
                k = 2**power
                v, n = validators, validators * k
                following = pace * b + k * pace * link
                # of those that decide the beacon's blocks
                seat = pace * (s + (min(BEACON, n) - 1) * m)
                fixed = pace * (s + (v - 1) * m) + seat + following + i
                # Users of each shard ask one of its nodes for receipts: it lists all shards' transactions.
                each = (1.0 - fixed) / (a / v + e + k * w / v + across * x / v)
                if each <= 0:
                    limit = int((1.0 - fixed + k * pace * link) / (pace * link))
                    print(
                        f"  {k:6}   blocks alone fill the core: at most {max(limit, 0)} shards at this pace"
                    )
                    continue
                total = each * k
                second = Run(
                    shards=k, validators=v, across=across, seconds=1.0, transactions=round(total),
                    crossing=round(total * across), shard_blocks=round(pace * k),
                    beacon_blocks=round(pace), cpu=0.0, wire=0, disk=0,
                )  # fmt: skip
                sent = predicted(wire, second.sendings()) / n
                print(
                    f"  {k:6} {total:12,.0f} {each:14,.0f} {100 * (following + seat):14.0f} %"
                    f" {sent / 1e6:13.2f} {each * disk * 86400 / 1e9:15.1f}"
                )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument(
        "--rate", type=float, default=60.0, help="transactions per second of each shard"
    )
    parser.add_argument("--out", type=Path, help="where to keep what was counted, as JSON")
    parser.add_argument("--read", type=Path, help="do not run anything: fit what is in this file")
    options = parser.parse_args()
    runs: list[list[Run]] = [[], []]
    if options.read:
        runs = [[Run(**row) for row in part] for part in json.loads(options.read.read_text())]
    else:
        for part, shapes in enumerate((RUNS, HELD_OUT)):
            for shards, validators, across, times in shapes:
                run = measure(shards, validators, across, options.rate * times, options.seconds)
                runs[part].append(run)
                print(
                    f"{run.name:<34} {run.cpu:6.2f} s CPU, {run.shard_blocks} + {run.beacon_blocks} blocks",
                    flush=True,
                )
    if options.out:
        options.out.write_text(
            json.dumps([[asdict(run) for run in part] for part in runs], indent=1)
        )
    seen, held_out = runs
    cpu = fit([run.events() for run in seen], [run.cpu for run in seen])
    talking = [run for run in seen if run.wire]
    wire = fit([run.sendings() for run in talking], [run.wire for run in talking])
    busy = [run for run in seen if run.transactions]
    disk = sum(r.disk for r in busy) / sum(r.transactions * r.validators for r in busy)
    show_fit(seen, held_out, cpu, wire)
    extrapolate(cpu, wire, disk, 0.1)


if __name__ == "__main__":
    main()
