"""Filters, which are polled, and subscriptions, which are pushed."""

from typing import Any

from rpc import decode
from rpc.errors import InvalidParams, NotificationsUnsupported
from rpc.methods.table import Context, Method
from rpc.params import Param
from rpc.subscriptions import KINDS
from rpc.times import EXECUTE
from rpc.wire import LogFilter


async def _new_filter(c: Context, wanted: LogFilter) -> str:
    return hex(await c.filters.add_logs(c.backend, c.scope, wanted))


async def _new_block_filter(c: Context) -> str:
    return hex(await c.filters.add_blocks(c.backend, c.scope))


async def _new_pending_filter(c: Context, _full: bool) -> str:
    return hex(await c.filters.add_pending(c.backend, c.scope))


async def _filter_changes(c: Context, filter_id: int) -> list[Any]:
    return await c.filters.changes(c.backend, c.scope, filter_id)


async def _filter_logs(c: Context, filter_id: int) -> list[Any]:
    return await c.filters.all_logs(c.backend, c.scope, filter_id)


async def _uninstall(c: Context, filter_id: int) -> bool:
    return c.filters.remove(c.scope, filter_id)


async def _subscribe(c: Context, kind: str, detail: object) -> str:
    if c.subscriber is None:
        raise NotificationsUnsupported
    try:
        if kind == "logs":
            return hex(await c.subscriber.logs(decode.log_filter(detail or {})))
        if kind == "newPendingTransactions":
            full = False if detail is None else decode.boolean(detail)
            return hex(await c.subscriber.pending(full))
        if kind == "atoll_messages":
            wanted = decode.message_filter({} if detail is None else detail)
            return hex(await c.subscriber.messages(wanted))
    except ValueError as error:
        raise InvalidParams(f"invalid argument 1 ({kind}): {error}") from None
    if detail is not None:
        raise InvalidParams(f"too many arguments: {kind} takes none")
    plain = {
        "newHeads": c.subscriber.heads,
        "syncing": c.subscriber.syncing,
        "atoll_blocks": c.subscriber.network_blocks,
        "atoll_shardBlocks": c.subscriber.shard_blocks,
    }
    return hex(await plain[kind]())


async def _unsubscribe(c: Context, subscription: int) -> bool:
    if c.subscriber is None:
        raise NotificationsUnsupported
    return c.subscriber.remove(subscription)


def _kind(value: object) -> str:
    if isinstance(value, str) and value in KINDS:
        return value
    raise ValueError(f"no such subscription; there are {', '.join(KINDS)}")


_ID = Param("filter id", decode.filter_id)

METHODS: dict[str, Method] = {
    "eth_newFilter": Method((Param("filter", decode.log_filter),), _new_filter),
    "eth_newBlockFilter": Method((), _new_block_filter),
    "eth_newPendingTransactionFilter": Method(
        (Param("full transactions", decode.boolean, False),), _new_pending_filter
    ),
    "eth_getFilterChanges": Method((_ID,), _filter_changes, EXECUTE),
    "eth_getFilterLogs": Method((_ID,), _filter_logs, EXECUTE),
    "eth_uninstallFilter": Method((_ID,), _uninstall),
    "eth_subscribe": Method(
        (Param("kind", _kind), Param("options", lambda value: value, None)), _subscribe
    ),
    "eth_unsubscribe": Method((Param("subscription id", decode.filter_id),), _unsubscribe),
}
