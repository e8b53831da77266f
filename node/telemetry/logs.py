"""The log of a node: structlog to standard error, at a level that can be changed while it runs.

Every line names the `node`; lines about a block have `chain` and `height`, with `round` and `hash` where these
are known, lines about a transaction `tx`, about a message between shards `message`. Hashes are whole and in hex
with 0x, as JSON-RPC has them.
"""

import logging
import signal
import sys
from collections import Counter
from collections.abc import MutableMapping
from typing import Any, get_args

import structlog
import trio
from structlog.contextvars import bind_contextvars, merge_contextvars

from node.config.node_config import LogConfig, LogLevel
from node.primitives.errors import UserError
from node.terminal import plain

LEVELS: tuple[LogLevel, ...] = get_args(LogLevel)


class LogControl:
    """The level of this process. There is one, as there is one log."""

    def __init__(self) -> None:
        self.configured: LogLevel = "info"
        self.level: LogLevel = "info"
        self.threshold = logging.INFO
        self.lines: Counter[str] = Counter()
        "Lines written, by level."

    def set(self, level: str) -> None:
        """Write lines of at least this severity from now on. Raises UserError for an unknown level."""
        found = next((known for known in LEVELS if known == level.lower()), None)
        if found is None:
            raise UserError(f"{level!r} is no log level; they are {', '.join(LEVELS)}")
        self.level = found
        self.threshold = logging.getLevelNamesMapping()[found.upper()]

    def toggle(self) -> None:
        """Switch between debug and the configured level."""
        self.set(self.configured if self.level == "debug" else "debug")


control = LogControl()


class Logger(structlog.BoundLoggerBase):
    """A bound logger that obeys the present level."""

    def debug(self, event: str, **fields: Any) -> None:
        if control.threshold <= logging.DEBUG:
            self._proxy_to_logger("debug", event, **fields)

    def info(self, event: str, **fields: Any) -> None:
        if control.threshold <= logging.INFO:
            self._proxy_to_logger("info", event, **fields)

    def warning(self, event: str, **fields: Any) -> None:
        if control.threshold <= logging.WARNING:
            self._proxy_to_logger("warning", event, **fields)

    def error(self, event: str, **fields: Any) -> None:
        self._proxy_to_logger("error", event, **fields)

    def exception(self, event: str, **fields: Any) -> None:
        self._proxy_to_logger("error", event, **{"exc_info": True, **fields})

    def critical(self, event: str, **fields: Any) -> None:
        self._proxy_to_logger("critical", event, **fields)


def configure_logging(config: LogConfig, *, node: str, colours: bool = False) -> None:
    """Text for people or JSON for machines, one line an event."""
    renderers: list[Any] = (
        [structlog.processors.JSONRenderer()]
        if config.format == "json"
        else [_plain, structlog.dev.ConsoleRenderer(colors=colours, pad_event_to=0)]
    )
    control.configured = config.level
    control.set(config.level)
    structlog.configure(
        processors=[
            merge_contextvars,
            structlog.processors.add_log_level,
            _count,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            *renderers,
        ],
        wrapper_class=Logger,
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    bind_contextvars(node=node)


def _count(_: Any, __: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    control.lines[fields["level"]] += 1
    return fields


TRACES = ("exception", "stack")  # of several lines


def _plain(_: Any, __: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Make texts of foreign origin harmless: no terminal codes, no line breaks."""
    for name, value in fields.items():
        if isinstance(value, str):
            fields[name] = plain(value, one_line=name not in TRACES)
    return fields


async def watch_signals() -> None:
    """SIGUSR1 turns debug lines on, and off again."""
    with trio.open_signal_receiver(signal.SIGUSR1) as signals:
        async for _ in signals:
            control.toggle()
            structlog.get_logger().warning("log level changed", level=control.level, by="signal")
