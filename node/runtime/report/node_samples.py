"""Samples about the node itself: network, JSON-RPC, disk, process."""

import gc
import os
import resource
import sys
import time
from collections import Counter
from pathlib import Path

from node import wire
from node.metrics.exposition import Histogram, Sheet
from node.runtime.parts import Fixed
from node.runtime.report.health import Health, free_bytes
from node.telemetry.logs import LEVELS, control
from node.version import version
from rpc.dispatch import Dispatcher
from rpc.server import Server

CHANNELS = {
    wire.CONSENSUS.id: "consensus",
    wire.CROSSLINKS.id: "crosslinks",
    wire.TRANSACTIONS.id: "transactions",
    wire.EVIDENCE.id: "evidence",
    wire.ERAS.id: "eras",
}
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
TICK = os.sysconf("SC_CLK_TCK")


class RpcCounts:
    """Calls of the JSON-RPC server, by method; `observe` is its dispatcher's observer."""

    def __init__(self) -> None:
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.seconds: dict[str, Histogram] = {}

    def observe(self, method: str, outcome: str, seconds: float) -> None:
        self.outcomes[method, outcome] += 1
        known = self.seconds.get(method)
        if known is None:
            known = self.seconds[method] = Histogram()
        known.observe(seconds)


def identity(fixed: Fixed, healthy: Health, sheet: Sheet) -> None:
    python = ".".join(map(str, sys.version_info[:3]))
    sheet.put("atoll_build_info", 1, version(), python)
    role = "follower" if fixed.keys.signing is None else "validator"
    sheet.put(
        "atoll_node_info",
        1,
        fixed.config.name,
        fixed.shard,
        role,
        "true" if fixed.is_beacon else "false",
        fixed.genesis.hash[:8].hex(),
    )
    checks = healthy.checks()
    sheet.put("atoll_ready", all(check.problem is None for check in checks if check.vital))
    for check in checks:
        sheet.put("atoll_ready_check", check.problem is None, check.name)
    for name, count in fixed.beside.failures.items():
        sheet.put("atoll_convenience_failures_total", count, name)
    for level in (*LEVELS, "critical"):
        sheet.put("atoll_log_events_total", control.lines[level], level)


def network(fixed: Fixed, sheet: Sheet) -> None:
    stats = {fixed.topology.name_of(peer): of for peer, of in fixed.network.links.stats().items()}
    connected = sum(of.connected for of in stats.values())
    sheet.put("atoll_p2p_peers", connected, "connected")
    sheet.put("atoll_p2p_peers", len(stats) - connected, "missing")
    for peer, of in stats.items():
        sheet.put("atoll_p2p_peer_connected", of.connected, peer)
        sheet.put("atoll_p2p_peer_connects_total", of.connects, peer)
        sheet.put("atoll_p2p_peer_rtt_seconds", of.rtt, peer)
        sheet.put("atoll_p2p_peer_penalties_total", of.penalties, peer)
    strangers = fixed.network.links.strangers
    sheet.put("atoll_p2p_strangers", len(strangers))
    sheet.put("atoll_p2p_stranger_connections_total", strangers.connections)
    for channel, counts in fixed.network.links.channel_stats.items():
        name = CHANNELS.get(channel, str(channel))
        sheet.put("atoll_p2p_dropped_frames_total", counts.drops, name)
        sheet.put("atoll_p2p_frames_total", counts.frames_in, name, "in")
        sheet.put("atoll_p2p_frames_total", counts.frames_out, name, "out")
        sheet.put("atoll_p2p_frame_bytes_total", counts.bytes_in, name, "in")
        sheet.put("atoll_p2p_frame_bytes_total", counts.bytes_out, name, "out")
    for method, asked in sorted(fixed.network.links.method_stats.items()):
        sheet.put("atoll_p2p_requests_total", asked.requests_in, method, "in")
        sheet.put("atoll_p2p_requests_total", asked.requests_out, method, "out")
    sheet.put("atoll_p2p_bytes_total", sum(of.bytes_in for of in stats.values()), "in")
    sheet.put("atoll_p2p_bytes_total", sum(of.bytes_out for of in stats.values()), "out")
    sheet.put("atoll_p2p_queued_bytes", sum(of.queued_bytes for of in stats.values()))


def rpc(counts: RpcCounts, server: Server, dispatcher: Dispatcher, sheet: Sheet) -> None:
    for (method, outcome), number in sorted(counts.outcomes.items()):
        sheet.put("atoll_rpc_requests_total", number, method, outcome)
    for method, seconds in sorted(counts.seconds.items()):
        sheet.histogram("atoll_rpc_request_seconds", seconds, method)
    http, websocket, subscriptions = server.connections()
    sheet.put("atoll_rpc_connections", http, "http")
    sheet.put("atoll_rpc_connections", websocket, "websocket")
    sheet.put("atoll_rpc_refused_connections_total", server.refused)
    sheet.put("atoll_rpc_subscriptions", subscriptions)
    sheet.put("atoll_rpc_filters", dispatcher.filters)


def storage(fixed: Fixed, sheet: Sheet) -> None:
    folder = fixed.config.data_dir
    sheet.put("atoll_storage_bytes", _size_of(folder / "chain"), "database")
    sheet.put("atoll_storage_bytes", _size_of(folder / "consensus"), "consensus")
    sheet.put("atoll_storage_free_bytes", free_bytes(folder))
    sheet.put("atoll_storage_batches_total", fixed.store.batches)
    sheet.put("atoll_storage_batch_bytes_total", fixed.store.batch_bytes)
    sheet.put("atoll_storage_batch_seconds_total", fixed.store.batch_seconds)


def _size_of(folder: Path) -> int:
    """Bytes of the files in it; LevelDB deletes some at any time."""
    total = 0
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    total += entry.stat().st_size
                except FileNotFoundError:
                    pass
    except FileNotFoundError:
        pass
    return total


def process(sheet: Sheet) -> None:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    sheet.put("process_cpu_seconds_total", round(usage.ru_utime + usage.ru_stime, 6))
    sheet.put("process_max_fds", resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    try:
        stat = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
        sheet.put("process_start_time_seconds", round(booted + int(stat[19]) / TICK, 2))
        sheet.put("process_threads", int(stat[17]))
        sheet.put("process_virtual_memory_bytes", int(stat[20]))
        sheet.put("process_resident_memory_bytes", int(stat[21]) * PAGE_BYTES)
        sheet.put("process_open_fds", len(os.listdir("/proc/self/fd")) - 1)
    except (OSError, AttributeError):
        pass  # not Linux
    for generation, counts in enumerate(gc.get_stats()):
        sheet.put("python_gc_collections_total", counts["collections"], generation)
        sheet.put("python_gc_objects_collected_total", counts["collected"], generation)
