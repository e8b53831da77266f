"""The source of a node's spans. A node whose configuration has no `[tracing]` has none."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import trio

from consensus.types import BlockId, Certificate, ChainContext, ValidatorSet
from node.chains.beacon_app import BeaconService
from node.chains.shard_app import ShardService
from node.concurrency.conveniences import Conveniences
from node.config.node_config import NodeConfig, TracingConfig
from node.engine.application import Application
from node.primitives.errors import UserError
from node.telemetry.spans import HeightStep, HeightTimes, Spans
from node.version import version

T = TypeVar("T")


class NodeSpans:
    """The spans of one node, and the thread that sends them. `me` is the address that it proposes with.

    Raises UserError where OpenTelemetry is not installed, or the environment does not name the collector.
    """

    def __init__(self, config: TracingConfig, *, node: str, me: bytes | None) -> None:
        url = config.url()
        try:
            from node.telemetry.spans_export import open_exporter
        except ModuleNotFoundError as error:
            if not (error.name or "").startswith("opentelemetry"):
                raise
            raise UserError(
                "section 'tracing': OpenTelemetry is not installed here; install it "
                "(pip install 'atoll[otel]') or take the section out"
            ) from None
        self._exporter = open_exporter(url, node=node, version=version(), ratio=config.sample_ratio)
        self._spans = Spans(node=node, me=me, export=self._exporter.export)

    @classmethod
    def of(cls, config: NodeConfig, me: bytes | None) -> "NodeSpans | None":
        """The spans of the configured collector; None if tracing is not configured."""
        if config.tracing is None:
            return None
        return cls(config.tracing, node=config.name, me=me)

    @property
    def admitted(self) -> Callable[[bytes], None]:
        """A callback for every transaction that is taken from a user."""
        return self._spans.admitted

    def timed(self, app: Application, began: Callable[[], float | None]) -> Application:
        """`app` for its consensus host. `began` is when the next height did, in trio's time."""
        now = self._spans.now

        def began_at() -> int | None:
            at = began()
            return None if at is None else now() - int((trio.current_time() - at) * 1e9)

        return TimedApplication(app, self._spans.chain(_name(app), began_at), now)

    def listen(self, shard: ShardService, beacon: BeaconService, beside: Conveniences) -> None:
        """Listen to the blocks of both chains."""
        name = _name(shard)
        beacon.on_commit.append(beside.listener("spans", self._spans.beacon_block))
        shard.on_commit.append(beside.listener("spans", partial(self._spans.shard_block, name)))

    def close(self) -> None:
        """Send the waiting spans, if that does not take long."""
        self._exporter.close()


def _name(app: Application) -> str:
    return app.context.tag.decode()


class TimedApplication:
    """`app`, with the times of its steps in `times`; it is around it only where a node is traced."""

    def __init__(self, app: Application, times: HeightTimes, now: Callable[[], int]) -> None:
        self._app = app
        self._times = times
        self._now = now
        self.chain = app.chain

    @property
    def context(self) -> ChainContext:
        return self._app.context

    def head_height(self) -> int:
        return self._app.head_height()

    def validators(self) -> ValidatorSet:
        return self._app.validators()

    def has_work(self) -> bool:
        return self._app.has_work()

    async def build(self) -> tuple[BlockId, bytes]:
        return await self._timed("build", self._app.build())

    def identify(self, value: bytes) -> BlockId:
        return self._app.identify(value)

    def body_matches(self, value: bytes) -> bool:
        return self._app.body_matches(value)

    async def judge(self, value: bytes, *, decided: bool) -> BlockId:
        return await self._timed("judge", self._app.judge(value, decided=decided))

    def objection(self, block_id: BlockId) -> str | None:
        return self._app.objection(block_id)

    async def commit(self, block_id: BlockId, value: bytes, certificate: Certificate) -> None:
        self._times.committing = self._now()  # it ends when the listeners are called
        await self._app.commit(block_id, value, certificate)

    def decided(self, height: int) -> tuple[bytes, Certificate]:
        return self._app.decided(height)

    async def _timed(self, name: str, work: Awaitable[T]) -> T:
        start, error = self._now(), None
        try:
            return await work
        except Exception as failure:
            error = str(failure)
            raise
        finally:
            self._times.add(HeightStep(name=name, start=start, end=self._now(), error=error))
