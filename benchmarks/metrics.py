"""The cost of counting where it happens, and of a scrape.

    .venv/bin/python benchmarks/metrics.py [--endpoint http://127.0.0.1:8545] [--rounds 5]

For each hot path: nanoseconds for what is counted there, those of the work beside which it is counted, and the
share. With an endpoint also the time of a scrape as the node measures it. Prints the least of several rounds.
"""

import argparse
import statistics
import time
import urllib.request
from collections.abc import Callable

import trio

from node.execution.trie.trie_cache import NodeCache
from node.metrics.counts import ConsensusCounts
from node.runtime.report.node_samples import RpcCounts
from p2p.outbox import Outbox
from p2p.types import ChannelSpec, ChannelStats, Overflow
from rpc.dispatch import Dispatcher
from rpc.limits import Limits

LOOPS = 100_000
CHANNEL = ChannelSpec(
    id=1, priority=0, max_frame=1 << 20, queue_frames=1 << 20, queue_bytes=1 << 30,
    overflow=Overflow.DROP_OLDEST,
)  # fmt: skip
BODY = b'{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]}'


class Backend:
    async def block_number(self, scope: int | None) -> int:
        return 26


def frame_in(stats: dict[int, ChannelStats], payload: bytes) -> None:
    channel = stats[1]
    channel.frames_in += 1
    channel.bytes_in += len(payload)


def frames() -> tuple[Callable[[], object], Callable[[], object]]:
    stats, payload = {1: ChannelStats()}, bytes(200)
    outbox = Outbox([CHANNEL], stats)

    def work() -> None:
        outbox.put(1, payload)
        outbox.take(65_507)

    return (lambda: frame_in(stats, payload)), work


def votes() -> Callable[[], object]:
    counts = ConsensusCounts()

    def count() -> None:
        counts.votes["prevote", "received"] += 1

    return count


def trie_nodes() -> tuple[Callable[[], object], Callable[[], object]]:
    cache = NodeCache()
    leaf = bytes.fromhex("c482203080")  # a leaf with an empty value

    def count() -> None:
        cache.misses += 1

    def work() -> None:
        cache.young.clear()
        cache.load(b"key", lambda _: leaf)

    return count, work


def nanoseconds(job: Callable[[], object], rounds: int) -> float:
    best = float("inf")
    for _ in range(rounds):
        started = time.perf_counter_ns()
        for _ in range(LOOPS):
            job()
        best = min(best, (time.perf_counter_ns() - started) / LOOPS)
    return best


async def calls(dispatcher: Dispatcher, rounds: int) -> float:
    best = float("inf")
    for _ in range(rounds):
        started = time.perf_counter_ns()
        for _ in range(LOOPS // 10):
            await dispatcher.handle(BODY, None)
        best = min(best, (time.perf_counter_ns() - started) / (LOOPS // 10))
    return best


def scrape(endpoint: str, rounds: int) -> list[float]:
    found = []
    for _ in range(rounds + 1):
        with urllib.request.urlopen(endpoint + "/metrics", timeout=10) as answer:
            text = answer.read().decode()
        found += [
            float(line.split()[1])
            for line in text.splitlines()
            if line.startswith("atoll_scrape_seconds ")
        ]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endpoint")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    nothing = nanoseconds(lambda: None, options.rounds)

    def row(what: str, count: float, work: float, of: str) -> None:
        print(f"{what:<28}{count:8.0f} ns of {work:10.0f} ns ({of}): {100 * count / work:6.2f} %")

    counted, queued = frames()
    per_frame = nanoseconds(counted, options.rounds) - nothing
    row("a frame, in or out", per_frame, nanoseconds(queued, options.rounds), "queue and encode it")
    row("a vote", nanoseconds(votes(), options.rounds) - nothing, 60_000, "check its signature")
    missed, load = trie_nodes()
    row("a trie node not in memory", nanoseconds(missed, options.rounds) - nothing,
        nanoseconds(load, options.rounds), "decode it, without the read")  # fmt: skip
    seen, backend = RpcCounts(), Backend()
    observed = nanoseconds(lambda: seen.observe("eth_chainId", "ok", 0.001), options.rounds)
    whole = trio.run(calls, Dispatcher(backend, Limits(), observe=seen.observe), options.rounds)  # type: ignore[arg-type]
    row("a JSON-RPC call", observed - nothing, whole, "the least one, without HTTP")
    if options.endpoint:
        times = scrape(options.endpoint, options.rounds)
        print(f"a scrape: {1000 * statistics.median(times):.2f} ms (median of {len(times)})")


if __name__ == "__main__":
    main()
