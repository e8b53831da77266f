"""The JSON-RPC's backend: each question to the view that its endpoint serves."""

from collections.abc import Mapping
from typing import Any

from node.runtime.view.atoll import AtollView
from node.runtime.view.chain import ChainView
from node.runtime.view.network import NetworkView
from node.runtime.view.ports import BeaconReader, NodeStatus
from node.runtime.view.shard import ShardView
from rpc.errors import ResourceNotFound
from rpc.wire import (
    BlockHash,
    BlockRef,
    BlockView,
    CallRequest,
    FeeHistory,
    LogFilter,
    LogView,
    ReceiptView,
    TransactionView,
)

SYNC_SLACK = 8
"""Network blocks the view may be behind the beacon before clients are told that the node syncs."""


class NodeBackend:
    """An `rpc.backend.Backend` over the views. `version` is what `web3_clientVersion` says."""

    def __init__(
        self,
        *,
        network: NetworkView,
        shards: Mapping[int, ShardView],
        atoll: AtollView,
        beacon: BeaconReader,
        status: NodeStatus,
        chain_id: int,
        version: str,
        accounts: tuple[bytes, ...] = (),
    ) -> None:
        self._network = network
        self._shards = shards
        self._atoll = atoll
        self._beacon = beacon
        self._status = status
        self._chain_id = chain_id
        self._version = version
        self._accounts = accounts

    def _view(self, scope: int | None) -> ChainView:
        if scope is None:
            return self._network
        view = self._shards.get(scope)
        if view is None:
            raise ResourceNotFound(
                f"there is no shard {scope}: this network has shards 0 to {len(self._shards) - 1}"
            )
        return view

    # ------------------------------------------------------------------ the node

    async def client_version(self) -> str:
        return self._version

    async def chain_id(self) -> int:
        return self._chain_id

    async def network_id(self) -> int:
        return self._chain_id

    async def peer_count(self) -> int:
        return self._status.peer_count()

    async def listening(self) -> bool:
        return True

    async def accounts(self) -> tuple[bytes, ...]:
        """The development accounts of the configuration; their keys are with the user."""
        return self._accounts

    async def status(self) -> dict[str, Any]:
        return self._status.status()

    async def health(self) -> tuple[bool, dict[str, Any]]:
        return self._status.health()

    async def syncing(self, scope: int | None) -> dict[str, Any] | None:
        """Whether the network view is behind the beacon: our own shard is being caught up then."""
        self._view(scope)
        current, highest = await self._network.block_number(), self._beacon.head.height
        if highest - current <= SYNC_SLACK:
            return None
        return {"startingBlock": 0, "currentBlock": current, "highestBlock": highest}

    # ------------------------------------------------------------------ blocks

    async def block_number(self, scope: int | None) -> int:
        return await self._view(scope).block_number()

    async def block_by_number(
        self, scope: int | None, ref: BlockRef, full: bool
    ) -> BlockView | None:
        return await self._view(scope).block(ref, full)

    async def block_by_hash(self, scope: int | None, hash: bytes, full: bool) -> BlockView | None:
        return await self._view(scope).block(BlockHash(hash), full)

    async def block_transaction_count(self, scope: int | None, ref: BlockRef) -> int | None:
        return await self._view(scope).block_transaction_count(ref)

    async def transaction_by_block_and_index(
        self, scope: int | None, ref: BlockRef, index: int
    ) -> TransactionView | None:
        return await self._view(scope).transaction_by_block_and_index(ref, index)

    async def block_receipts(
        self, scope: int | None, ref: BlockRef
    ) -> tuple[ReceiptView, ...] | None:
        return await self._view(scope).block_receipts(ref)

    # ------------------------------------------------------------------ state and calls

    async def balance(self, scope: int | None, address: bytes, ref: BlockRef) -> int:
        return await self._view(scope).balance(address, ref)

    async def code(self, scope: int | None, address: bytes, ref: BlockRef) -> bytes:
        return await self._view(scope).code(address, ref)

    async def storage_at(
        self, scope: int | None, address: bytes, slot: int, ref: BlockRef
    ) -> bytes:
        return await self._view(scope).storage_at(address, slot, ref)

    async def transaction_count(self, scope: int | None, address: bytes, ref: BlockRef) -> int:
        return await self._view(scope).transaction_count(address, ref)

    async def call(self, scope: int | None, request: CallRequest, ref: BlockRef) -> bytes:
        return await self._view(scope).call(request, ref)

    async def estimate_gas(self, scope: int | None, request: CallRequest, ref: BlockRef) -> int:
        return await self._view(scope).estimate_gas(request, ref)

    # ------------------------------------------------------------------ fees

    async def gas_price(self, scope: int | None) -> int:
        return await self._view(scope).gas_price()

    async def max_priority_fee(self, scope: int | None) -> int:
        return await self._view(scope).max_priority_fee()

    async def fee_history(
        self, scope: int | None, count: int, newest: BlockRef, percentiles: tuple[float, ...]
    ) -> FeeHistory:
        return await self._view(scope).fee_history(count, newest, percentiles)

    # ------------------------------------------------------------------ transactions

    async def send_raw_transaction(self, scope: int | None, raw: bytes) -> bytes:
        return await self._view(scope).send_raw_transaction(raw)

    async def transaction_by_hash(self, scope: int | None, hash: bytes) -> TransactionView | None:
        return await self._view(scope).transaction_by_hash(hash)

    async def transaction_receipt(self, scope: int | None, hash: bytes) -> ReceiptView | None:
        return await self._view(scope).transaction_receipt(hash)

    async def logs(self, scope: int | None, filter: LogFilter) -> tuple[LogView, ...]:
        return await self._view(scope).logs(filter)

    # ------------------------------------------------------------------ atoll

    async def home(self, address: bytes) -> int:
        return await self._atoll.home(address)

    async def shards(self) -> list[dict[str, Any]]:
        return await self._atoll.shards()

    async def message(self, id: bytes) -> dict[str, Any] | None:
        return await self._atoll.message(id)

    async def audit(self, ref: BlockRef) -> dict[str, Any]:
        return await self._atoll.audit(await self._network.state_number(ref))
