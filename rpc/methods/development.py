"""The methods of anvil and hardhat that let a developer change the chain, where the genesis allows it.

Every method is refused, with the reason, on a network without `dev_methods`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any

from rpc import decode
from rpc.encoding import (
    data,
    fixed_data,
    json_type,
    parse_address,
    parse_data,
    parse_quantity,
    parse_storage_slot,
)
from rpc.errors import InvalidParams, MethodNotSupported
from rpc.methods.table import HASH, REQUEST, Context, Method, ask, tell
from rpc.origins import Trust
from rpc.params import Param
from rpc.times import EXECUTE, MINE
from rpc.wire import CallRequest

SHORTEST_INTERVAL = 100
"""Milliseconds; fewer are taken for seconds."""


def _number(bits: int) -> Callable[[object], int]:
    return partial(parse_quantity, bits=bits)


def _word(value: object) -> int:
    return int.from_bytes(fixed_data(32, "a storage word")(value), "big")


def _mining(value: object) -> tuple[int, int | None]:
    """(blocks, timestamp) of evm_mine: a timestamp, or an object with both."""
    if not isinstance(value, dict):
        return 1, parse_quantity(value, bits=64)
    unknown = set(value) - {"blocks", "timestamp"}
    if unknown:
        raise ValueError(f"unknown member {min(unknown)!r}")
    at = value.get("timestamp")
    return (
        parse_quantity(value.get("blocks", 1), bits=64),
        None if at is None else parse_quantity(at, bits=64),
    )


def _options(value: object) -> dict[str, Any]:
    """The options of hardhat_reset: an object with `forking`."""
    if not isinstance(value, dict):
        raise ValueError("an object is expected")
    return value


async def _send_unsigned(c: Context, request: CallRequest) -> str:
    if request.from_ is None:
        raise InvalidParams("invalid argument 0 (transaction): from is missing")
    return data(await c.backend.dev.send_unsigned(c.chain, request))


async def _evm_mine(c: Context, wanted: tuple[int, int | None]) -> str:
    blocks, timestamp = wanted
    await c.backend.dev.mining.mine(c.chain, blocks, at=timestamp or None)
    return "0x0"


async def _hardhat_mine(c: Context, blocks: int, interval: int) -> bool:
    await c.backend.dev.mining.mine(c.chain, blocks, interval, first=0)
    return True


async def _set_interval(c: Context, interval: int) -> bool:
    """Hardhat counts in milliseconds, anvil in seconds, and viem takes this method for both."""
    short = interval < SHORTEST_INTERVAL
    await c.backend.dev.mining.set_interval(1000 * interval if short else interval)
    return True


async def _set_interval_instead(c: Context, seconds: int) -> None:
    await c.backend.dev.mining.set_interval(1000 * seconds, instead=True)


async def _get_interval(c: Context) -> int | None:
    return await c.backend.dev.mining.interval() // 1000 or None


async def _set_automine(c: Context, on: bool) -> bool:
    await c.backend.dev.mining.set_automine(on)
    return True


def _word_of(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected a string, got {json_type(value)}")
    return value


_ADDRESS = Param("address", parse_address)
_WEI = Param("wei", _number(256))
_ON = Param("on", decode.boolean)
_SECONDS = Param("seconds", _number(64))
_TIMESTAMP = Param("timestamp", _number(64))
_BLOCKS = Param("blocks", _number(64), 1)
_EVERY = Param("seconds between blocks", _number(64), 0)

_BALANCE = Method((_ADDRESS, _WEI), tell(lambda c: c.backend.dev.set_balance), EXECUTE)
_MORE = Method((_ADDRESS, _WEI), tell(lambda c: c.backend.dev.add_balance), EXECUTE)
_NONCE = Method(
    (_ADDRESS, Param("nonce", _number(64))), tell(lambda c: c.backend.dev.set_nonce), EXECUTE
)
_CODE = Method(
    (_ADDRESS, Param("code", parse_data)), tell(lambda c: c.backend.dev.set_code), EXECUTE
)
_STORAGE = Method(
    (_ADDRESS, Param("slot", parse_storage_slot), Param("value", _word)),
    tell(lambda c: c.backend.dev.set_storage),
    EXECUTE,
)
_AS = Method((_ADDRESS,), tell(lambda c: partial(c.backend.dev.impersonate, on=True)))
_NO_LONGER_AS = Method((_ADDRESS,), tell(lambda c: partial(c.backend.dev.impersonate, on=False)))
_MINE = Method((_BLOCKS, _EVERY), tell(lambda c: partial(c.backend.dev.mining.mine, c.chain)), MINE)
_HARDHAT_MINE = Method((_BLOCKS, replace(_EVERY, default=1)), _hardhat_mine, MINE)
_AHEAD = Method((_SECONDS,), ask(lambda c: c.backend.dev.mining.increase_time), EXECUTE)
_TIME = Method((_TIMESTAMP,), tell(lambda c: c.backend.dev.mining.set_time), EXECUTE)
_NEXT_TIME = Method((_TIMESTAMP,), tell(lambda c: c.backend.dev.mining.set_next_time), EXECUTE)
_AUTOMINE = Method((), ask(lambda c: c.backend.dev.mining.automines))
_SET_AUTOMINE = Method((_ON,), _set_automine, EXECUTE)

_SNAPSHOT = Method((), ask(lambda c: c.backend.dev.snapshot, hex))
_REVERT = Method(
    (Param("snapshot id", _number(256)),),
    ask(lambda c: c.backend.dev.revert),
    EXECUTE,
    outlives=True,
)

_RESET = Method(
    (Param("options", _options, None),),
    tell(lambda c: c.backend.dev.reset),
    EXECUTE,
    outlives=True,
)


async def _anvil_drop(c: Context, tx_hash: bytes) -> str | None:
    """The hash of what was dropped; null if no pool has it."""
    return data(tx_hash) if await c.backend.dev.drop_transaction(tx_hash) else None


async def _drop_all(c: Context) -> bool:
    await c.backend.dev.drop_transactions(None)
    return True


async def _leave_logging(_: Context, on: bool) -> bool:
    return True


_SILENT = Method((_ON,), _leave_logging)
"""Taken and ignored: calls are not printed, the log of a node has what `console.log` says."""

_METHODS: dict[str, Method] = {
    **{
        f"{tool}_{name}": method
        for tool in ("anvil", "hardhat")
        for name, method in (
            ("setBalance", _BALANCE),
            ("setNonce", _NONCE),
            ("setCode", _CODE),
            ("setStorageAt", _STORAGE),
            ("impersonateAccount", _AS),
            ("stopImpersonatingAccount", _NO_LONGER_AS),
            ("getAutomine", _AUTOMINE),
        )
    },
    "anvil_mine": _MINE,
    "hardhat_mine": _HARDHAT_MINE,
    "anvil_addBalance": _MORE,
    "anvil_deal": _BALANCE,
    "evm_setAccountBalance": _BALANCE,
    "evm_setAccountNonce": _NONCE,
    "evm_setAccountCode": _CODE,
    "evm_setAccountStorageAt": _STORAGE,
    "anvil_autoImpersonateAccount": Method((_ON,), tell(lambda c: c.backend.dev.impersonate_all)),
    "eth_sendUnsignedTransaction": Method((REQUEST,), _send_unsigned, EXECUTE, sends=True),
    "evm_mine": Method((Param("timestamp or options", _mining, (1, None)),), _evm_mine, MINE),
    "evm_increaseTime": _AHEAD,
    "anvil_increaseTime": _AHEAD,
    "evm_setNextBlockTimestamp": _NEXT_TIME,
    "anvil_setNextBlockTimestamp": _NEXT_TIME,
    "evm_setTime": _TIME,
    "anvil_setTime": _TIME,
    "evm_setAutomine": _SET_AUTOMINE,
    "anvil_setAutoMine": _SET_AUTOMINE,
    "evm_setIntervalMining": Method(
        (Param("milliseconds, or seconds if below 100", _number(64)),), _set_interval, EXECUTE
    ),
    "anvil_setIntervalMining": Method((_SECONDS,), _set_interval_instead, EXECUTE),
    "anvil_getIntervalMining": Method((), _get_interval),
    "evm_snapshot": _SNAPSHOT,
    "anvil_snapshot": _SNAPSHOT,
    "evm_revert": _REVERT,
    "anvil_revert": _REVERT,
    "hardhat_dropTransaction": Method(
        (HASH,), ask(lambda c: c.backend.dev.drop_transaction), EXECUTE
    ),
    "anvil_dropTransaction": Method((HASH,), _anvil_drop, EXECUTE),
    "anvil_dropAllTransactions": Method((), _drop_all, EXECUTE),
    "anvil_removePoolTransactions": Method(
        (_ADDRESS,), tell(lambda c: c.backend.dev.drop_transactions), EXECUTE
    ),
    "anvil_reset": _RESET,
    "hardhat_reset": _RESET,
    "anvil_setLoggingEnabled": _SILENT,
    "hardhat_setLoggingEnabled": _SILENT,
    "anvil_nodeInfo": Method((), ask(lambda c: partial(c.backend.dev.node_info, c.chain))),
    "hardhat_metadata": Method((), ask(lambda c: partial(c.backend.dev.metadata, c.chain))),
    "atoll_setLogLevel": Method(
        (Param("level", _word_of),), ask(lambda c: c.backend.dev.set_log_level)
    ),
}


def _where_allowed(name: str, method: Method) -> Method:
    inner: Callable[..., Awaitable[Any]] = method.handler

    async def handler(c: Context, *arguments: Any) -> Any:
        reason = c.backend.dev.off
        if reason is not None:
            raise MethodNotSupported(name, reason)
        return await inner(c, *arguments)

    return replace(method, handler=handler, trust=Trust.NAMED)


METHODS: dict[str, Method] = {
    name: _where_allowed(name, method) for name, method in _METHODS.items()
}
