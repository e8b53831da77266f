"""The audit as a metric: made beside the scrapes, while there are any, and not too often."""

import time
from collections import Counter
from collections.abc import Awaitable, Callable

import structlog
import trio

from node.metrics.exposition import Sheet
from node.view.following.audit import AuditReport
from rpc.errors import RpcError

INTERVAL = 10.0
"""Seconds between two audits at least."""
SHARE = 0.05
"""Of the time, at most, that is spent on audits: a state of many accounts takes long to add up."""
DEADLINE = 60.0


class AuditWatch:
    """`report` audits a network block, `head` gives the latest."""

    def __init__(
        self, report: Callable[[int], Awaitable[AuditReport]], head: Callable[[], int]
    ) -> None:
        self._report = report
        self._head = head
        self._wanted = trio.Event()
        self._latest: AuditReport | None = None
        self._made_at = self._took = 0.0
        self._runs: Counter[str] = Counter()
        self._log = structlog.get_logger()

    def wanted(self) -> None:
        """Audit soon, unless that was done lately: a report was asked for."""
        self._wanted.set()

    async def run(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted = trio.Event()
            started = trio.current_time()
            await self._once()
            took = trio.current_time() - started
            await trio.sleep(max(INTERVAL, took / SHARE))

    async def _once(self) -> None:
        number = self._head()
        if self._latest is not None and self._latest.number == number:
            return
        started = time.perf_counter()
        try:
            with trio.fail_after(DEADLINE):
                report = await self._report(number)
        except (RpcError, trio.TooSlowError) as error:
            self._runs["failed"] += 1
            self._log.info("not audited", height=number, reason=str(error) or "it took too long")
            return
        except Exception:
            self._runs["failed"] += 1
            raise
        self._latest, self._took, self._made_at = report, time.perf_counter() - started, time.time()
        if not report.is_balanced:
            where = {f"shard {s.shard}": s.difference for s in report.shards if s.difference}
            where |= {f"lane {o.src}->{o.dst}": o.difference for o in report.lanes if o.difference}
            self._log.critical(
                "value is not conserved", height=number, wei=report.difference, where=where
            )
        self._runs["balanced" if report.is_balanced else "unbalanced"] += 1

    def collect(self, sheet: Sheet) -> None:
        for outcome in ("balanced", "unbalanced", "failed"):
            sheet.put("atoll_audit_runs_total", self._runs[outcome], outcome)
        report = self._latest
        if report is None:
            return
        sheet.put("atoll_audit_difference_wei", report.difference)
        for term in ("genesis", "balances", "in_flight", "stake", "burned", "issued"):
            sheet.put("atoll_audit_wei", getattr(report, term), term)
        sheet.put("atoll_audit_block", report.number)
        sheet.put("atoll_audit_timestamp_seconds", self._made_at)
        sheet.put("atoll_audit_duration_seconds", self._took)
        for shard in report.shards:
            sheet.put("atoll_audit_shard_difference_wei", shard.difference, shard.shard)
        for lane in report.lanes:
            sheet.put("atoll_lane_in_flight_wei", lane.wei, lane.src, lane.dst)
