"""The behaviour of a network at three times the load that it can bear.

    .venv/bin/python benchmarks/overload.py [--shape 2x1] [--seconds 60] [--times 3] [--connections 64]

First a closed loop of 8 connections finds the most transfers per second that the network takes. Then
`connections` connections offer `times` as many for `seconds`, without waiting for receipts. Prints the
throughput of both, their ratio (the aim is 0.9), latency from the first byte of a transaction to its receipt,
how many were refused and with which words, and the memory before and after. Loopback only, bounded.
"""

import argparse
import statistics

import targets
from load import Load, Outcome
from network import percentile
from processes import memory_mb
from targets import Target
from workloads import Scene, make_senders

SENDERS = 256  # of each shard
CLOSED = 8
WINDOW = 2000


def drive(
    scene: Scene, connections: int, seconds: float, *, most: float, rate: float | None
) -> tuple[Load, Outcome]:
    target = scene.target
    scene.read_nonces(sender for row in scene.senders for sender in row)
    parts = connections // target.shards
    places, work = [], []
    for index in range(parts * target.shards):
        shard, part = index % target.shards, index // target.shards
        places.append(target.endpoints[shard][part % len(target.endpoints[shard])])
        work.append(
            scene.work(shard, part, parts, int(seconds * most / (parts * target.shards)) + 1)
        )
    load = Load(places, work, window=WINDOW if rate is None else 10**9, rate=rate)
    return load, load.run(seconds)


def measure(target: Target, options: argparse.Namespace) -> float:
    scene = Scene(target, "transfers", make_senders(target.shards, SENDERS))
    scene.prepare()
    drive(scene, CLOSED, 2.0, most=3000, rate=None)
    load, closed = drive(scene, CLOSED, 15.0, most=5000, rate=None)
    most = closed.rate(3.0, load.last_sent)
    before = sum(memory_mb(pid)[1] for pid in target.pids)
    offered = most * options.times
    load, flood = drive(scene, options.connections, options.seconds, most=offered, rate=offered)
    inside = flood.rate(5.0, load.last_sent)
    after = sum(memory_mb(pid)[1] for pid in target.pids)
    print(f"ratio of throughput      {inside / most:6.2f}   (aim 0.9)")
    print(f"closed loop              {most:6,.0f} tx/s   {latency(closed)}")
    print(
        f"{options.times:g} x offered for {options.seconds:g} s   {inside:6,.0f} tx/s   {latency(flood)}"
    )
    print(
        f"offered                  {offered:6,.0f} tx/s, refused {flood.refused:,}: {flood.refusals}"
    )
    print(f"memory                   {before:6.0f} MB before, {after:.0f} MB after")
    return inside / most


def latency(outcome: Outcome) -> str:
    p50, p99 = statistics.median(outcome.latencies), percentile(outcome.latencies, 0.99)
    return f"{1000 * p50:.0f} / {1000 * p99:.0f} ms p50 / p99"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", default="2x1")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--times", type=float, default=3.0)
    parser.add_argument("--connections", type=int, default=64)
    options = parser.parse_args()
    shards, validators = map(int, options.shape.split("x"))
    with targets.ours(shards, validators) as target:
        measure(target, options)


if __name__ == "__main__":
    main()
