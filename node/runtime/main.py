"""The process of one node: signals, exit codes."""

import gc
import os
import signal
import sys
from typing import Any

import structlog
import trio

from node.config.node_config import NodeConfig
from node.primitives.errors import AtollError, UserError
from node.runtime.node import Node
from node.telemetry.logs import configure_logging, watch_signals
from node.terminal import say
from p2p.errors import P2PError
from rpc.errors import ListenError

EXIT_USER_ERROR = 2
GC_THRESHOLD = 10_000
"""Objects made and not let go between two looks for cycles. What a block makes lives for thousands of them:
looking every 700, as Python does, takes some 3 % of the time of a busy node and finds nothing."""
SHUTDOWN_SECONDS = 3.0  # for an execution that runs when the signal comes


def run_node(config: NodeConfig) -> int:
    """Run a node until SIGTERM or SIGINT. Returns the exit code; a user's mistake is one line."""
    configure_logging(config.log, node=config.name)
    gc.set_threshold(GC_THRESHOLD)
    log = structlog.get_logger()
    try:
        node = Node(config)
    except (AtollError, P2PError) as error:
        return _fail(error)
    except OSError as error:
        return _fail(UserError(f"{error.filename or config.data_dir}: {error.strerror}"))
    failure: BaseException | None = None
    closed = False
    try:
        trio.run(_run_until_signal, node)
    except* (AtollError, P2PError, ListenError) as group:
        failure = _first(group)
    else:
        node.keep_pool()
    finally:
        closed = node.close(patience=SHUTDOWN_SECONDS)
    code = 0 if failure is None else _fail(failure)
    if failure is None:
        log.info("stopped")
    if not closed:
        # A thread still executes and reads the database. All that counts is on disk, as after a crash.
        sys.stderr.flush()
        os._exit(code)
    return code


async def _run_until_signal(node: Node) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_watch, signals, nursery.cancel_scope)
            nursery.start_soon(watch_signals)
            await nursery.start(node.run)
            era = node.era()
            structlog.get_logger().info(
                "node is up",
                shard=int(node.fixed.shard),
                height=era.shard_chain.head.number,
                beacon=era.beacon_chain.head.header.height,
            )


async def _watch(signals: Any, scope: trio.CancelScope) -> None:
    async for number in signals:
        structlog.get_logger().info("stopping", signal=signal.Signals(number).name)
        scope.cancel()
        return


def _fail(error: BaseException) -> int:
    say(f"atoll: error: {error}", file=sys.stderr)
    return EXIT_USER_ERROR


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
