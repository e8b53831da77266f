"""What a decision of four validators costs next to the bare exchange of its messages.

    .venv/bin/python benchmarks/decision.py [--heights 200] [--value 1024] [--directory DIR]

Four processes, connected over loopback by p2p.Network. In turns, on the same connections, they run

- bare: a proposal, votes from all to all, votes from all to all; no signatures, no disk, no engine;
- real: the node's own hosts with engine, journal and last-signed record, signatures and their checks.

A height is proposed a fixed pause after the one before. Its latency is the time from the moment at
which its proposer begins to build until the third of the four nodes has it (a quorum). Prints the
medians of both, their ratio (the aim is below 2), and for comparison what the real one cannot do
without: the signatures, checks and syncs that follow one another in a decision, measured alone, in
the same four processes at the same time. Ends by itself; files go to a temporary directory, under DIR
if given (its disk is the one that is synced).
"""

import argparse
import hashlib
import multiprocessing
import os
import statistics
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from queue import Empty
from typing import Any

import msgspec
import structlog
import trio
from decision_chains import (
    BARE,
    CONTEXT,
    KEYS,
    PAUSE,
    QUORUM,
    READY,
    REAL,
    Bare,
    Checker,
    N,
    ToyChain,
)

from consensus import (
    Address,
    TimeoutParams,
)
from node.primitives.basics import keccak_fast
from node.primitives.keys import KeccakSecp256k1
from node.runtime import wire
from node.runtime.host import ConsensusHost, Pacing
from node.runtime.journal import Journal
from node.runtime.participant import Participant
from node.runtime.signer import Signer
from node.runtime.sync import Syncer, decode_request, serve_blocks
from node.storage.last_signed import LastSigned
from node.storage.wal import WriteAheadLog
from p2p.identity import Identity
from p2p.network import Network
from p2p.types import PeerId, PeerSpec

PATIENCE = 120.0
REPEATS = 3
WARM_UP = 5
IDENTITIES = [Identity.from_seed(hashlib.sha256(b"node %d" % i).digest()) for i in range(N)]


@dataclass(frozen=True, slots=True)
class Task:
    """What one process is to do."""

    index: int
    ports: tuple[int, ...]
    directory: Path
    heights: int
    value: int


@dataclass(frozen=True, slots=True)
class Found:
    """Times of one process: when it began to propose, and when it had each decision."""

    bare: tuple[dict[int, float], dict[int, float]]
    real: tuple[dict[int, float], dict[int, float]]
    parts: float
    cpu: tuple[float, float]
    """Seconds of CPU per height, bare and real."""


def _without(times: dict[int, float], heights: range) -> dict[int, float]:
    return {height: at for height, at in times.items() if height not in heights}


def latencies(found: list[tuple[dict[int, float], dict[int, float]]]) -> list[float]:
    """Milliseconds from the (last) beginning of each height until a quorum of nodes has it."""
    out = []
    for height in sorted(set().union(*(begun for begun, _ in found))):
        begun = [times[height] for times, _ in found if height in times]
        done = sorted(times[height] for _, times in found if height in times)
        if len(begun) == 1 and len(done) >= QUORUM:  # else a round failed
            out.append(1000 * (done[QUORUM - 1] - begun[0]))
    return out


class Process:
    """One of the four."""

    def __init__(self, task: Task, stack: ExitStack) -> None:
        self._task = task
        self._me = task.index
        self._index_of = {identity.peer_id: i for i, identity in enumerate(IDENTITIES)}
        self._ready: dict[int, set[int]] = defaultdict(set)
        self._phase = 0
        self._event = trio.Event()
        self._network = Network(
            identity=IDENTITIES[self._me],
            listen=f"127.0.0.1:{task.ports[self._me]}",
            network_id=b"decision",
            channels=wire.CHANNELS,
            methods={wire.BLOCKS: self._serve},
            peers=[
                PeerSpec(peer_id=other.peer_id, address=f"127.0.0.1:{port}", name=f"node{i}")
                for i, (other, port) in enumerate(zip(IDENTITIES, task.ports, strict=True))
                if i != self._me
            ],
            on_frame=self._on_frame,
            on_peer=lambda peer, up: self._event.set(),
        )
        self._bare = Bare(self._me, self._send, task.value)
        self._app = ToyChain(task.value)
        self._limit = 0
        checker = Checker()
        record = stack.enter_context(LastSigned(task.directory / f"{self._me}.signed"))
        self._wal = stack.enter_context(
            WriteAheadLog(task.directory / f"{self._me}.wal", tails=record.tails)
        )
        participant = Participant(
            app=self._app,
            signer=Signer(key=KEYS[self._me], context=CONTEXT, record=record),
            journal=Journal(self._wal),
            checker=checker,
            timeouts=TimeoutParams(),
            broadcast=self._broadcast,
        )
        self._host = ConsensusHost(
            app=self._app,
            participant=participant,
            checker=checker,
            pacing=Pacing(min_interval=PAUSE, heartbeat=PAUSE),
            tell=lambda peer, message: self._broadcast(message, PeerId(peer)),
            on_ahead=lambda peer, height: self._syncer.heard(peer, height),
            validator_of=lambda peer: Address(KEYS[self._index_of[PeerId(peer)]].address),
            halted=lambda: self._app.head_height() >= self._limit,
        )
        self._syncer = Syncer(
            host=self._host,
            ask=lambda peer, payload, timeout: self._network.request(
                PeerId(peer), wire.BLOCKS, payload, timeout=timeout
            ),
            announce=lambda height: self._broadcast(wire.StatusMessage(height=height)),
            connected=lambda: self._network.connected,
        )

    def _send(self, chain: int, body: bytes) -> None:
        self._network.broadcast(wire.CONSENSUS.id, chain.to_bytes(4, "big") + body)

    def _broadcast(self, message: Any, peer: PeerId | None = None) -> None:
        frame = wire.encode_frame(REAL, message)
        to = None if peer is None else (peer,)
        self._network.broadcast(wire.CONSENSUS.id, frame, to)

    async def _serve(self, peer: PeerId, payload: bytes) -> bytes:
        return msgspec.msgpack.encode(await serve_blocks(self._app, decode_request(payload)))

    async def _on_frame(self, peer: PeerId, channel: int, payload: bytes) -> None:
        chain, body = wire.decode_frame(payload)
        if chain == REAL:
            await self._host.deliver(peer, body)
        elif chain == BARE:
            self._bare.received(self._index_of[peer], body)
        else:
            self._ready[int.from_bytes(body, "big")].add(self._index_of[peer])
            self._event.set()

    async def _until(self, condition: Any) -> None:
        while not condition():
            self._event = trio.Event()
            with trio.move_on_after(0.05):
                await self._event.wait()

    async def _barrier(self, *, or_gone: bool = False) -> None:
        self._phase += 1
        phase = self._phase
        self._send(READY, phase.to_bytes(4, "big"))
        await self._until(
            lambda: (
                len(self._ready[phase]) == N - 1
                or (or_gone and len(self._network.connected) < N - 1)
            )
        )

    async def _decide(self, heights: int) -> None:
        self._limit = self._app.head_height() + heights
        self._host.open()
        self._host.peer_up()  # an event, on which it sees that it may go on
        while self._app.head_height() < self._limit:
            await self._app.changed.wait()

    async def run(self) -> Found:
        """When this process began and finished what."""
        count = self._task.heights
        parts, cpu = [], []
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                await nursery.start(self._network.run)
                await nursery.start(self._host.run)
                nursery.start_soon(self._syncer.run)
                await self._until(lambda: len(self._network.connected) == N - 1)
                await self._barrier()
                await self._decide(WARM_UP)
                for repeat in range(REPEATS):
                    await self._barrier()
                    started = time.process_time()
                    await self._bare.run(repeat * count, count)
                    await self._barrier()
                    between = time.process_time()
                    await self._decide(count)
                    await self._barrier()
                    cpu.append((between - started, time.process_time() - between))
                    begin = time.perf_counter()
                    await self._parts(count)
                    parts.append((time.perf_counter() - begin) / count)
                await self._barrier(or_gone=True)
                nursery.cancel_scope.cancel()
        warm = range(1, WARM_UP + 1)
        return Found(
            bare=(self._bare.begun, self._bare.done),
            real=(_without(self._app.begun, warm), _without(self._app.done, warm)),
            parts=statistics.mean(parts),
            cpu=(
                statistics.mean(bare for bare, _ in cpu) / count,
                statistics.mean(real for _, real in cpu) / count,
            ),
        )

    async def _parts(self, count: int) -> None:
        """What safety makes follow one another in a decision: a proposal and two votes, each signed,
        logged and recorded, and the checks of a proposal and of two times three votes."""
        checker = KeccakSecp256k1()
        record = self._task.directory / f"{self._me}.parts"
        with record.open("ab") as file:
            digest = keccak_fast(b"vote")
            signature = KEYS[self._me].sign_digest(digest)
            for _ in range(count):
                for _ in range(3):
                    KEYS[self._me].sign_digest(digest)
                    for _ in range(2):
                        file.write(bytes(200))
                        file.flush()
                        os.fdatasync(file.fileno())
                for _ in range(7):
                    checker.recover(b"vote", signature)
                await trio.lowlevel.checkpoint()


def work(task: Task, results: Any) -> None:
    """The main function of a process."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    with ExitStack() as stack:
        results.put(trio.run(Process(task, stack).run))


def free_ports() -> tuple[int, ...]:
    """Ports that nobody uses now."""
    import socket

    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(N)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return tuple(probe.getsockname()[1] for probe in probes)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--heights", type=int, default=200, help="decisions per measurement")
    parser.add_argument("--value", type=int, default=1024, help="bytes of a block")
    parser.add_argument("--directory", type=Path, help="where the logs are written")
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        ports = free_ports()
        processes = [
            context.Process(
                target=work,
                args=(Task(i, ports, Path(directory), options.heights, options.value), results),
            )
            for i in range(N)
        ]
        for process in processes:
            process.start()
        collected: list[Found] = []
        try:
            while len(collected) < N:
                try:
                    collected.append(results.get(timeout=1.0))
                except Empty:
                    if any(process.exitcode for process in processes):
                        print("a process failed")
                        return 1
        finally:
            for process in processes:
                process.join(5)
                if process.is_alive():
                    process.terminate()
    bare = latencies([found.bare for found in collected])
    real = latencies([found.real for found in collected])
    parts = 1000 * statistics.mean(found.parts for found in collected)
    for which, (name, values) in enumerate((("bare", bare), ("real", real))):
        low, middle, high = statistics.quantiles(values, n=4)
        cpu = 1000 * statistics.mean(found.cpu[which] for found in collected)
        print(
            f"{name}  {middle:6.2f} ms  (quartiles {low:.2f} to {high:.2f}, {len(values)} decisions;"
            f" {cpu:.2f} ms of CPU each at every node)"
        )
    print(f"parts {parts:6.2f} ms  (signatures, checks and syncs of one decision)")
    ratio = statistics.median(real) / statistics.median(bare)
    print(f"real / bare           {ratio:.2f}   (aim: below 2)")
    print(
        f"real / (bare + parts) {statistics.median(real) / (statistics.median(bare) + parts):.2f}"
    )
    print(f"{N} processes, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
