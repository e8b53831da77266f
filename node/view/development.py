"""Development methods: each change is an operation that the validators of a shard put into a block.

What returns without an error has happened: a block of the network's chain contains it, as this node shows
that chain.
"""

from collections import deque
from collections.abc import Mapping
from typing import Any

import structlog
import trio

from node.concurrency.head_signal import HeadSignal
from node.primitives.basics import Address
from node.primitives.dev_operation import MAX_WEI, DevKind
from node.primitives.errors import UserError
from node.telemetry.logs import control
from node.view.dropping import Dropping
from node.view.mining import Mining
from node.view.network_view import NetworkView
from node.view.operations import POLL, Operations, deadline, operation
from node.view.ports import BeaconReader, CannotRevert, SnapshotKeeper
from node.view.shard_view import ShardView
from node.view.shards import Shards
from node.view.wallet.wallet import Wallet
from rpc.backend import ChainBackend
from rpc.encoding import data
from rpc.errors import InvalidParams, ServerError
from rpc.wire import CallRequest

_log = structlog.get_logger()

OFF = (
    "the genesis of this network has params.dev_methods = false: its accounts change by transactions only. "
    "`atoll up` makes networks that allow it, `atoll init` where the manifest has dev_methods = true in "
    "[params]"
)
SETTLING = 2.0
"""Seconds for which a snapshot waits for transactions that were sent before it."""
MAX_OPEN = 256
"""Of those that are remembered for it."""


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
        self._wallet = wallet
        self._head_signal = head_signal
        self._allowed = allowed
        self._snapshots = snapshots
        self._version = version
        self._operations = Operations(beacon, shards, network, chains, head_signal)
        self.mining = Mining(shards, network, self._operations)
        self._dropping = Dropping(shards, self._drop, self._is_included)
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
        wanted = operation(kind, to=Address(address), **arguments)
        await self._network.look_again()  # it may be a contract that was just born
        home = self._beacon.state_at(await self._network.block_number()).home(wanted.to)
        with deadline(f"{kind.name} on shard {home}"):
            await self._operations.perform(home, wanted)

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
        if not await self.mining.automines():
            return self._all_snapshots().take()
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

    async def drop_transaction(self, tx_hash: bytes) -> bool:
        with deadline("the transaction is not dropped"):
            return await self._dropping.drop(tx_hash)

    async def drop_transactions(self, sender: bytes | None) -> None:
        with deadline("some transactions are not dropped"):
            await self._dropping.drop_all(sender)

    async def _drop(self, shard: int, tx_hash: bytes) -> None:
        number = int.from_bytes(tx_hash, "big")
        await self._operations.perform(shard, operation(DevKind.DROP, number=number))

    async def _is_included(self, tx_hash: bytes) -> bool:
        return await self._network.transaction_receipt(tx_hash) is not None

    async def revert(self, snapshot: int) -> bool:
        try:
            with deadline("the network has not gone back", "it may still do so, once the beacon"):
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
