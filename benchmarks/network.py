"""Throughput, latency and cost of whole networks, ours beside the alternatives that people use.

    .venv/bin/python benchmarks/network.py [--shapes 1x1 2x1] [--peers anvil-0.2 anvil hardhat]
        [--workloads transfers ERC-20 swaps] [--across 0 10 50] [--seconds 12] [--window 2000] [--tools DIR]

One client, 8 connections, transactions signed before; each receipt is read and must say that the transaction
has succeeded. All targets run on the same cores, one after the other, each with a chain made for it:

- tx/s: receipts read per second from the third second until the last transaction was sent;
- p50 / p99: from the first byte of a transaction to its receipt in the client's hands, under that load;
- CPU: user and system time of all processes of the target per transaction, admission and receipts included;
- memory: proportional, of all processes together; disk: what the data grew by, per transaction; wire: what the
  nodes sent to each other, per transaction;
- ratios: of tx/s, and of CPU per transaction, to those of `anvil` with 0.2 s blocks in the same run.

Peers come from npm and PyPI, and are left out with a line where that fails. Only loopback is sent anything.
"""

import argparse
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import targets
from load import Load, Outcome
from processes import cpu_seconds, disk_bytes, memory_mb
from targets import Target
from workloads import Scene, make_senders

CONNECTIONS = 8
SENDERS = 64  # of each shard
WARM_SECONDS = 3.0
MOST_PER_SECOND = 6_000
BASELINE = "anvil 0.2 s blocks"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measurement. Times in seconds, sizes per transaction in bytes, memory in MB."""

    target: str
    workload: str
    across: float
    rate: float
    p50: float
    p99: float
    cpu: float
    memory: float
    disk: float
    wire: float
    refused: int
    confirmed: int


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def drive(scene: Scene, options: argparse.Namespace, seconds: float) -> tuple[Load, Outcome]:
    """Connections are spread over the shards and their nodes; each has senders of its own shard."""
    target = scene.target
    scene.read_nonces(sender for row in scene.senders for sender in row)
    places, work = [], []
    parts = max(1, CONNECTIONS // target.shards)
    for index in range(parts * target.shards):
        shard, part = index % target.shards, index // target.shards
        nodes = target.endpoints[shard]
        places.append(target.endpoints[0][0] if options.one_endpoint else nodes[part % len(nodes)])
        count = int(seconds * options.most / (parts * target.shards))
        work.append(scene.work(shard, part, parts, count))
    load = Load(places, work, window=min(options.window, target.window))
    return load, load.run(seconds)


def measure(target: Target, kind: str, across: float, options: argparse.Namespace) -> Row:
    scene = Scene(target, kind, make_senders(target.shards, SENDERS), across=across)
    scene.prepare()
    drive(scene, options, 1.0)  # caches, and code that is compiled at its first use
    before_cpu = sum(map(cpu_seconds, target.pids))
    before_disk, before_wire = disk_bytes(target.folders), target.wire_bytes()
    load, outcome = drive(scene, options, options.seconds)
    cpu = sum(map(cpu_seconds, target.pids)) - before_cpu
    row = Row(
        target=target.name + (" one endpoint" if options.one_endpoint else ""),
        workload=kind,
        across=across,
        rate=outcome.rate(min(WARM_SECONDS, options.seconds / 4), load.last_sent),
        p50=statistics.median(outcome.latencies),
        p99=percentile(outcome.latencies, 0.99),
        cpu=cpu / outcome.confirmed,
        memory=sum(memory_mb(pid)[1] for pid in target.pids),
        disk=(disk_bytes(target.folders) - before_disk) / outcome.confirmed,
        wire=(target.wire_bytes() - before_wire) / outcome.confirmed,
        refused=outcome.refused,
        confirmed=outcome.confirmed,
    )
    for reason, count in outcome.refusals.items():
        print(f"    {count} refused and sent again: {reason}", flush=True)
    return row


def show(row: Row, rows: list[Row]) -> None:
    base = next((r for r in rows if (r.target, r.workload) == (BASELINE, row.workload)), None)
    ratio = "" if base is None else f"{row.rate / base.rate:.2f} x"
    cpu = "" if base is None else f"{row.cpu / base.cpu:.2f} x"
    print(
        f"{row.target:<20} {row.workload:<9} {100 * row.across:3.0f} % {ratio:>7} {cpu:>7}"
        f" {row.rate:7,.0f} {1000 * row.p50:6.0f} / {1000 * row.p99:<6.0f} {1000 * row.cpu:6.3f}"
        f" {row.memory:5.0f} {row.disk:8.0f} {row.wire:8.0f} {row.confirmed:9,}",
        flush=True,
    )


def chosen(options: argparse.Namespace) -> list[tuple[bool, Callable[[], Any]]]:
    """(ours, how to start it)."""
    tools = targets.tools_folder(options.tools)
    peers: dict[str, Callable[[], Any]] = {
        "anvil-0.2": lambda: targets.anvil(tools, block_time="0.2"),
        "anvil": lambda: targets.anvil(tools, block_time=None),
        "hardhat": lambda: targets.hardhat(tools),
        "ganache": lambda: targets.ganache(tools),
        "eth-tester": lambda: targets.eth_tester(tools),
    }
    out: list[tuple[bool, Callable[[], Any]]] = [(False, peers[name]) for name in options.peers]
    for shape in options.shapes:
        shards, validators = map(int, shape.split("x"))
        out.append((True, partial(targets.ours, shards, validators)))
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", nargs="*", default=["1x1", "2x1", "2x4", "4x1"])
    parser.add_argument(
        "--peers", nargs="*", default=["anvil-0.2", "anvil", "hardhat", "ganache", "eth-tester"]
    )
    parser.add_argument("--workloads", nargs="+", default=["transfers", "ERC-20", "swaps"])
    parser.add_argument("--across", nargs="+", type=float, default=[0, 10, 50], metavar="PERCENT")
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--window", type=int, default=2000)
    parser.add_argument(
        "--most", type=int, default=MOST_PER_SECOND, help="transactions signed per second"
    )
    parser.add_argument(
        "--one-endpoint", action="store_true", help="all connections go to one node"
    )
    parser.add_argument("--tools", help="where the peers are installed")
    options = parser.parse_args()
    print(
        f"{'':<20} {'':<9} across  tx/s    CPU       tx/s  p50 / p99 ms  CPU ms    MB  disk/tx  wire/tx"
        f"  receipts\n{'':<36}  ratio   ratio"
    )
    rows: list[Row] = []
    for is_ours, start in chosen(options):
        for kind in options.workloads:
            for across in [a / 100 for a in options.across] if is_ours else [0.0]:
                try:
                    with start() as target:
                        if across and target.shards == 1:
                            continue
                        rows.append(measure(target, kind, across, options))
                # It does not start, or fails in its own way.
                except (RuntimeError, SystemExit) as error:
                    print(f"left out: {error}", flush=True)
                    continue
                show(rows[-1], rows)


if __name__ == "__main__":
    main()
