"""The cost of a decision of four validators next to the bare exchange of its messages.

    .venv/bin/python benchmarks/decision.py [--heights 200] [--value 1024] [--directory DIR]

Four processes, connected over loopback by p2p.PeerNetwork. In turns, on the same connections, they run

- bare: a proposal, votes from all to all, votes from all to all, of the sizes of the real ones;
- signed: the same, every message signed by its sender and checked by its three receivers;
- safe: the same, and every message on disk (one fdatasync) before it is sent;
- real: the node's own hosts with engine, journal and last-signed record, signatures and their checks.

The exchanges have no engine, no replay, no rounds that fail, no limits for hostile peers; they say what
the transport (bare), and what signatures and disk (safe), make inevitable. The aim is real / bare below 2.

A height is proposed a fixed pause after the one before. Its latency is the time from the moment at
which its proposer begins to build until the third of the four nodes has it (a quorum). Prints the
medians, and their ratios. All of it competes for the same cores: on a machine that is busy, ratios of
CPU time say more. Ends by itself; files go to a temporary directory, under DIR if given (its disk is
the one that is synced).
"""

import argparse
import hashlib
import multiprocessing
import os
import statistics
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
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
    SAFE,
    SIGNED,
    Checker,
    Exchange,
    N,
    ToyChain,
)

from consensus.params import TimeoutParams
from consensus.types import Address
from node import wire
from node.engine.host import ConsensusHost
from node.engine.journal import Journal
from node.engine.pacing import Pacing
from node.engine.participant import Participant
from node.engine.signer import Signer
from node.engine.sync import Syncer, decode_request, serve_blocks
from node.storage.last_signed import LastSigned
from node.storage.wal import WriteAheadLog
from p2p.identity import Identity
from p2p.peer_network import PeerNetwork
from p2p.types import PeerId, PeerSpec

EXCHANGES = {"bare": BARE, "signed": SIGNED, "safe": SAFE}
PATIENCE = 300.0
REPEATS = 3
WARM_UP = 5
IDENTITIES = [Identity(hashlib.sha256(b"node %d" % i).digest()) for i in range(N)]


@dataclass(frozen=True, slots=True)
class Task:
    """The task of one process."""

    index: int
    ports: tuple[int, ...]
    directory: Path
    heights: int
    value: int


Times = tuple[dict[int, float], dict[int, float]]
"""Times when a process began to propose a height, and when it had the decision."""


@dataclass(frozen=True, slots=True)
class Found:
    """The measurements of one process, by the name of the chain it ran."""

    times: dict[str, Times]
    cpu: dict[str, float]
    """Seconds of CPU per height."""


def _without(times: dict[int, float], heights: range) -> dict[int, float]:
    return {height: at for height, at in times.items() if height not in heights}


def latencies(found: list[Times]) -> list[float]:
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
        self._network = PeerNetwork(
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
        log = stack.enter_context((task.directory / f"{self._me}.log").open("wb", buffering=0))
        self._exchanges = {
            chain: Exchange(
                self._me,
                partial(self._send, chain),
                task.value,
                signed=chain != BARE,
                log=log if chain == SAFE else None,
            )
            for chain in EXCHANGES.values()
        }
        self._app = ToyChain(task.value)
        self._limit = 0
        checker = Checker()
        record = stack.enter_context(closing(LastSigned(task.directory / f"{self._me}.signed")))
        self._wal = stack.enter_context(
            closing(WriteAheadLog(task.directory / f"{self._me}.wal", tails=record.tails))
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
        elif chain != READY:
            self._exchanges[chain].received(self._index_of[peer], body)
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
        """Run all chains; the times at which this process began and finished each height."""
        count = self._task.heights
        cpu: dict[str, list[float]] = defaultdict(list)
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                await nursery.start(self._network.run)
                await nursery.start(self._host.run)
                nursery.start_soon(self._syncer.run)
                await self._until(lambda: len(self._network.connected) == N - 1)
                await self._barrier()
                await self._decide(WARM_UP)
                for repeat in range(REPEATS):
                    for name in (*EXCHANGES, "real"):
                        await self._barrier()
                        started = time.process_time()
                        if name == "real":
                            await self._decide(count)
                        else:
                            exchange = self._exchanges[EXCHANGES[name]]
                            await exchange.run(repeat * count, count)
                        cpu[name].append(time.process_time() - started)
                await self._barrier(or_gone=True)
                nursery.cancel_scope.cancel()
        warm = range(1, WARM_UP + 1)
        ran = {name: self._exchanges[chain] for name, chain in EXCHANGES.items()}
        times = {name: (exchange.begun, exchange.done) for name, exchange in ran.items()}
        times["real"] = (_without(self._app.begun, warm), _without(self._app.done, warm))
        return Found(
            times=times,
            cpu={name: statistics.mean(values) / count for name, values in cpu.items()},
        )


def work(task: Task, results: Any) -> None:
    """The main function of a process."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    with ExitStack() as stack:
        results.put(trio.run(Process(task, stack).run))


def free_ports() -> tuple[int, ...]:
    """Ports that are free now."""
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
    middle, cpu = {}, {}
    for name in (*EXCHANGES, "real"):
        values = latencies([found.times[name] for found in collected])
        low, middle[name], high = statistics.quantiles(values, n=4)
        cpu[name] = 1000 * statistics.mean(found.cpu[name] for found in collected)
        print(
            f"{name:7} {middle[name]:6.2f} ms  (quartiles {low:.2f} to {high:.2f}, {len(values)} "
            f"decisions; {cpu[name]:.2f} ms of CPU each at every node)"
        )
    for name in EXCHANGES:
        ratio, of_cpu = middle["real"] / middle[name], cpu["real"] / cpu[name]
        print(f"real / {name:7} {ratio:5.2f}  of CPU {of_cpu:5.2f}")
    print(f"{N} processes, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
