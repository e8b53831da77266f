"""Development methods: each change is an operation that the validators of a shard put into a block.

What returns without an error has happened: a block of the network's chain contains it, as this node shows
that chain.
"""

import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import structlog
import trio

from node.concurrency.gather import gather
from node.concurrency.head_signal import HeadSignal
from node.primitives.basics import Address, ShardId
from node.primitives.dev_operation import (
    MAX_CLOCK,
    MAX_WEI,
    SALT_BYTES,
    DevKind,
    DevOperation,
)
from node.primitives.errors import UserError
from node.primitives.messenger import CLOCK_SLOT, MESSENGER
from node.query.questions import HeadQuestion, LegQuestion, StorageQuestion, SubmitQuestion
from node.telemetry.logs import control
from node.view.network_view import NetworkView
from node.view.ports import BeaconReader, CannotRevert, SnapshotKeeper
from node.view.shard_view import ShardView
from node.view.shards import Shards
from node.view.wallet.wallet import Wallet
from rpc.backend import ChainBackend
from rpc.encoding import data
from rpc.errors import InvalidParams, LimitExceeded, ResourceUnavailable, ServerError
from rpc.times import DEVELOPMENT as PATIENCE
from rpc.wire import CallRequest

T = TypeVar("T")

_log = structlog.get_logger()

OFF = (
    "the genesis of this network has params.dev_methods = false: its accounts change by transactions only. "
    "`atoll up` makes networks that allow it, `atoll init` where the manifest has dev_methods = true in "
    "[params]"
)
POLL = 0.25
SETTLING = 2.0
"""Seconds for which a snapshot waits for transactions that were sent before it."""
MAX_OPEN = 256
"""Of those that are remembered for it."""
MAX_MINED = 64
"""Blocks that one call may ask for: each is decided by every shard, and taken in by the beacon."""


class Development:
    """An `rpc.backend.DevBackend` over the shards."""

    def __init__(
        self,
        beacon: BeaconReader,
        shards: Shards,
        *,
        network: NetworkView,
        chains: Mapping[int, ShardView],
        wallet: Wallet,
        head_signal: HeadSignal,
        allowed: bool,
        snapshots: SnapshotKeeper | None,
        version: str,
    ) -> None:
        self._beacon = beacon
        self._shards = shards
        self._network = network
        self._chains = chains
        self._wallet = wallet
        self._head_signal = head_signal
        self._allowed = allowed
        self._snapshots = snapshots
        self._version = version
        self._time = trio.Lock()
        self._submitted: deque[bytes] = deque(maxlen=MAX_OPEN)

    @property
    def off(self) -> str | None:
        return None if self._allowed else OFF

    # ------------------------------------------------------------------ accounts

    async def set_balance(self, address: bytes, wei: int) -> None:
        if wei > MAX_WEI:
            raise InvalidParams(
                f"invalid argument 1 (wei): {wei:#x} is above {MAX_WEI:#x} (2^128 - 1), the most that an "
                "account may be given: sums of balances must not overflow"
            )
        await self._change(address, DevKind.SET_BALANCE, number=wei)

    async def add_balance(self, address: bytes, wei: int) -> None:
        await self._change(address, DevKind.ADD_BALANCE, number=wei)

    async def set_nonce(self, address: bytes, nonce: int) -> None:
        await self._change(address, DevKind.SET_NONCE, number=nonce)

    async def set_code(self, address: bytes, code: bytes) -> None:
        await self._change(address, DevKind.SET_CODE, data=code)

    async def set_storage(self, address: bytes, slot: int, value: int) -> None:
        await self._change(address, DevKind.SET_STORAGE, slot=slot, number=value)

    async def _change(self, address: bytes, kind: DevKind, **arguments: Any) -> None:
        operation = _operation(kind, to=Address(address), **arguments)
        await self._network.look_again()  # it may be a contract that was just born
        home = self._beacon.state_at(await self._network.block_number()).home(operation.to)
        with _deadline(f"{kind.name} on shard {home}"):
            await self._perform(home, operation)

    async def _perform(self, shard: int, operation: DevOperation) -> None:
        """Returns when the network's chain, as this node shows it, contains the operation."""
        await self._shards.ask(shard, SubmitQuestion(raw=operation.encoded))
        while not await self._is_shown(shard, operation):
            await self._head_signal.wait(POLL)
        receipt = await self._chains[shard].transaction_receipt(operation.hash)
        if receipt is not None and receipt.status != 1:
            raise ServerError(
                f"{operation.kind.name} had no effect in block {receipt.block_number} of shard {shard}: what "
                "it is about changed before its turn came; call again for the reason"
            )

    async def _is_shown(self, shard: int, operation: DevOperation) -> bool:
        leg = await self._shards.ask(shard, LegQuestion(tx_hash=operation.hash))
        if leg is None:
            return False
        number = self._beacon.crosslinked_in(ShardId(shard), leg.height)
        return number is not None and number <= await self._network.block_number()

    # ------------------------------------------------------------------ blocks and time

    async def mine(self, chain: ChainBackend, blocks: int, interval: int) -> None:
        if blocks > MAX_MINED:
            raise LimitExceeded(
                f"{blocks} blocks are asked for, at most {MAX_MINED} can be: every block is agreed on by all "
                "validators of every shard; evm_increaseTime moves time without blocks"
            )
        made = 0
        with _deadline(lambda: f"{made} of {blocks} blocks were made, the next one"):
            async with self._time:
                while made < blocks:
                    operation = partial(_operation, DevKind.MINE)
                    if interval:
                        ahead = max(await self._clocks()) + interval
                        operation = partial(_operation, DevKind.SET_CLOCK, number=ahead)
                    await self._everywhere(chain.pool_shards, operation)
                    made += 1

    async def increase_time(self, seconds: int) -> int:
        with _deadline("the clock of some shard"):
            async with self._time:
                ahead = max(await self._clocks()) + seconds
                await self._set_clock(ahead)
        return ahead

    async def set_time(self, timestamp: int) -> None:
        with _deadline("the clock of some shard"):
            async with self._time:
                ahead, now = max(await self._clocks()), int(time.time())
                if timestamp < now + ahead:
                    raise ServerError(
                        f"time cannot go back: {timestamp} lies before {now + ahead}, where the clock of the "
                        "network is now"
                    )
                await self._set_clock(timestamp - now)

    async def _set_clock(self, ahead: int) -> None:
        if ahead > MAX_CLOCK:
            raise InvalidParams(f"the clock can be put {MAX_CLOCK} s ahead at most, not {ahead} s")
        await self._everywhere(
            self._shards.ids, partial(_operation, DevKind.SET_CLOCK, number=ahead)
        )

    async def _everywhere(
        self, shards: Sequence[int], operation: Callable[[], DevOperation]
    ) -> None:
        await gather([partial(self._perform, shard, operation()) for shard in shards])

    async def _clocks(self) -> list[int]:
        return await gather([partial(self._clock, shard) for shard in self._shards.ids])

    async def _clock(self, shard: int) -> int:
        height = await self._shards.ask(shard, HeadQuestion())
        slot = CLOCK_SLOT.to_bytes(32, "big")
        word = await self._shards.ask(
            shard, StorageQuestion(height=height, address=MESSENGER, slot=slot)
        )
        return int.from_bytes(word, "big")

    # ------------------------------------------------------------------ snapshots

    def submitted(self, tx_hash: bytes) -> None:
        """A user has sent a transaction through this node."""
        if self._allowed:
            self._submitted.append(tx_hash)

    async def snapshot(self) -> int:
        """Take a snapshot with the transactions that were sent through this node before, if their blocks come
        soon. So it is like a node that mines every transaction before it answers.
        """
        sent = list(self._submitted)
        self._submitted.clear()
        with trio.move_on_after(SETTLING):
            for tx_hash in sent:
                while await self._is_open(tx_hash):
                    await self._head_signal.wait(POLL)
        return self._all_snapshots().take()

    async def _is_open(self, tx_hash: bytes) -> bool:
        """True if a transaction waits for a block."""
        if await self._network.transaction_receipt(tx_hash) is not None:
            return False
        return await self._network.transaction_by_hash(tx_hash) is not None

    async def reset(self, options: dict[str, Any] | None) -> None:
        """Take the whole network back to its first block."""
        forking = (options or {}).get("forking") or {}  # viem names it, with nothing in it
        if not isinstance(forking, dict) or any(value is not None for value in forking.values()):
            raise InvalidParams(
                "invalid argument 0 (options): forking is not offered, as no other chain is the state that "
                "validators agree on; without it the network goes back to its genesis"
            )
        await self.revert(self._all_snapshots().genesis())

    async def revert(self, snapshot: int) -> bool:
        try:
            with _deadline("the network has not gone back", "it may still do so, once the beacon"):
                return await self._all_snapshots().revert(snapshot)
        except CannotRevert as error:
            raise ServerError(f"cannot revert: {error}") from None

    def _all_snapshots(self) -> SnapshotKeeper:
        if self._snapshots is None:
            raise ServerError("there are no snapshots here")
        return self._snapshots

    # ------------------------------------------------------------------ impersonation

    async def impersonate(self, address: bytes, on: bool) -> None:
        if on:
            self._wallet.impersonation.start(address)
        else:
            self._wallet.impersonation.stop(address)

    async def impersonate_all(self, on: bool) -> None:
        self._wallet.impersonation.every_account = on

    async def send_unsigned(self, chain: ChainBackend, request: CallRequest) -> bytes:
        return await self._wallet.send_unsigned(chain, request)

    # ------------------------------------------------------------------ this node

    async def set_log_level(self, level: str) -> str:
        before = control.level
        try:
            control.set(level)
        except UserError as error:
            raise InvalidParams(f"invalid argument 0 (level): {error}") from None
        _log.warning("log level changed", level=control.level, by="JSON-RPC")
        return before

    # ------------------------------------------------------------------ what tools ask first

    async def node_info(self, chain: ChainBackend) -> dict[str, Any]:
        head = await chain.block("latest", False)
        if head is None or head.hash is None:
            raise ServerError("header not found")
        return {
            "currentBlockNumber": hex(head.number),
            "currentBlockTimestamp": head.timestamp,
            "currentBlockHash": data(head.hash),
            "hardFork": "prague",
            "transactionOrder": "fees",
            "environment": {
                "baseFee": hex(head.base_fee_per_gas or 0),
                "chainId": self._network.chain_id,
                "gasLimit": hex(head.gas_limit),
                "gasPrice": hex(await chain.gas_price()),
            },
            "forkConfig": {"forkUrl": None, "forkBlockNumber": None, "forkRetryBackoff": None},
        }

    async def metadata(self, chain: ChainBackend) -> dict[str, Any]:
        head, first = await chain.block("latest", False), await chain.block("earliest", False)
        if head is None or head.hash is None or first is None or first.hash is None:
            raise ServerError("header not found")
        return {
            "clientVersion": self._version,
            "chainId": self._network.chain_id,
            "instanceId": data(first.hash),
            "latestBlockNumber": head.number,
            "latestBlockHash": data(head.hash),
        }


def _operation(kind: DevKind, **arguments: Any) -> DevOperation:
    """A new operation. Raises InvalidParams for arguments out of range."""
    try:
        return DevOperation(kind=kind, salt=secrets.token_bytes(SALT_BYTES), **arguments)
    except ValueError as error:
        raise InvalidParams(f"invalid argument: {error}") from None


@contextmanager
def _deadline(
    what: str | Callable[[], str], hope: str = "it may still come, once the shard"
) -> Iterator[None]:
    """PATIENCE for everything within, and then a word about `what` is not in a block."""
    with trio.move_on_after(PATIENCE) as scope:
        yield
    if scope.cancelled_caught:
        raise ResourceUnavailable(
            f"not done within {PATIENCE:g} s: {what if isinstance(what, str) else what()}; {hope} makes blocks"
        )
