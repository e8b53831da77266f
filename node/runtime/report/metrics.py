"""`/metrics`: a scrape reads what the node's parts have counted. Nothing is collected between two scrapes,
but for the lag of the event loop."""

import time
from functools import partial
from typing import TYPE_CHECKING

import trio

from node.metrics.catalogue import FAMILIES
from node.metrics.exposition import CONTENT_TYPE, Histogram, Sheet
from node.runtime.report import chain_samples, node_samples
from node.runtime.report.audit_watch import AuditWatch
from node.runtime.report.chain_samples import ShardTotals
from rpc.http import HttpRequest, HttpResponse

if TYPE_CHECKING:
    from node.runtime.node import Node

LAG_INTERVAL = 1.0


class Metrics:
    """All that a node says about itself in numbers."""

    def __init__(self, node: "Node", audit: AuditWatch) -> None:
        self._totals = totals = ShardTotals(node)
        self._audit = audit
        self._lag = Histogram()
        self._seconds: float | None = None
        self._collectors = (
            partial(node_samples.identity, node),
            partial(chain_samples.consensus, node),
            partial(node_samples.network, node),
            partial(chain_samples.pool, node),
            partial(chain_samples.blocks, node, totals),
            partial(chain_samples.lanes, node),
            audit.collect,
            partial(node_samples.rpc, node),
            partial(node_samples.storage, node),
            partial(chain_samples.beacon, node, totals),
            partial(node_samples.process, node),
            self._own,
        )

    def renew(self) -> None:
        """The node has other services now."""
        self._totals.follow()

    async def audit(self) -> None:
        """Audit, while somebody scrapes."""
        await self._audit.run()

    async def watch_lag(self) -> None:
        """Look how late we wake."""
        while True:
            due = trio.current_time() + LAG_INTERVAL
            await trio.sleep_until(due)
            self._lag.observe(max(0.0, trio.current_time() - due))

    def collect(self) -> Sheet:
        started = time.perf_counter()
        sheet = Sheet(FAMILIES)
        for collector in self._collectors:
            collector(sheet)
        self._seconds = time.perf_counter() - started
        return sheet

    async def route(self, _request: HttpRequest) -> HttpResponse:
        """The answer to a scrape. It may ask for a new audit, and does not wait for it."""
        self._audit.wanted()
        return HttpResponse(200, self.collect().render(), CONTENT_TYPE)

    def _own(self, sheet: Sheet) -> None:
        sheet.histogram("atoll_event_loop_lag_seconds", self._lag)
        sheet.put("atoll_scrape_seconds", self._seconds)
