"""`/metrics`: a scrape reads what the node's parts have counted. Nothing is collected between two scrapes,
but for the lag of the event loop."""

import time
from collections.abc import Callable

import trio

from node.metrics.catalogue import FAMILIES
from node.metrics.exposition import CONTENT_TYPE, Histogram, Sheet
from node.runtime.parts import CurrentEra, Fixed
from node.runtime.report import chain_samples, node_samples
from node.runtime.report.audit_watch import AuditWatch
from node.runtime.report.chain_samples import ShardTotals
from node.runtime.report.health import Health
from rpc.http import HttpRequest, HttpResponse

LAG_INTERVAL = 1.0


class Metrics:
    """The metrics of a node. `rpc` adds those of its JSON-RPC."""

    def __init__(
        self,
        fixed: Fixed,
        era: CurrentEra,
        *,
        healthy: Health,
        audit: AuditWatch,
        rpc: Callable[[Sheet], None],
    ) -> None:
        self._fixed = fixed
        self._era = era
        self._healthy = healthy
        self._audit = audit
        self._rpc = rpc
        self._totals = ShardTotals(fixed.genesis.shard_ids())
        self._lag = Histogram()
        self._seconds: float | None = None
        self.follow()

    def follow(self) -> None:
        """Count the committed blocks of the current era."""
        self._totals.follow(self._era())

    async def audit(self) -> None:
        """Audit whenever a scrape asks for it."""
        await self._audit.run()

    async def watch_lag(self) -> None:
        """Look how late we wake."""
        while True:
            due = trio.current_time() + LAG_INTERVAL
            await trio.sleep_until(due)
            self._lag.observe(max(0.0, trio.current_time() - due))

    def collect(self) -> Sheet:
        started = time.perf_counter()
        sheet, fixed, era = Sheet(FAMILIES), self._fixed, self._era()
        node_samples.identity(fixed, self._healthy, sheet)
        chain_samples.consensus(fixed, era, sheet)
        node_samples.network(fixed, sheet)
        chain_samples.pool(fixed, era, sheet)
        chain_samples.blocks(fixed, era, self._totals, sheet)
        chain_samples.lanes(fixed, era, sheet)
        self._audit.collect(sheet)
        self._rpc(sheet)
        node_samples.storage(fixed, sheet)
        chain_samples.beacon(fixed, era, self._totals, self._healthy, sheet)
        node_samples.process(sheet)
        sheet.histogram("atoll_event_loop_lag_seconds", self._lag)
        sheet.put("atoll_scrape_seconds", self._seconds)
        self._seconds = time.perf_counter() - started
        return sheet

    async def route(self, _request: HttpRequest) -> HttpResponse:
        """The answer to a scrape. It may ask for a new audit, and does not wait for it."""
        self._audit.wanted()
        return HttpResponse(200, self.collect().render(), CONTENT_TYPE)
