"""The JSON-RPC's backend: each question to the view that its endpoint serves."""

from collections.abc import Callable, Mapping
from typing import Any

import trio

from node.concurrency.bell import Bell
from node.primitives.transaction import IMPERSONATED_TYPE
from node.view import present
from node.view.chain import BREATH, ChainView
from node.view.development import Development
from node.view.following.methods import AtollView
from node.view.following.proving import Prover
from node.view.forks import fork_config
from node.view.network import NetworkView
from node.view.pools import PendingFeed, Pools
from node.view.ports import BeaconReader, NodeStatus, Snapshots
from node.view.shard import ShardView
from node.view.shards import Shards
from node.view.simulated import simulate
from node.view.traces import Traces
from node.view.wallet.wallet import Wallet
from rpc.development import DevBackend
from rpc.errors import ResourceNotFound, ServerError, TransactionRejected
from rpc.faults import FaultBackend
from rpc.wire import (
    AccessListResult,
    AccountProof,
    BlockHash,
    BlockRef,
    BlockView,
    CallRequest,
    FeeHistory,
    LogFilter,
    LogView,
    MessagePage,
    Overrides,
    PendingPage,
    PoolView,
    PreparedTransaction,
    ReceiptView,
    SimulatedBlock,
    SimulateRequest,
    TraceOptions,
    TransactionView,
)

SYNC_SLACK = 8
"""Network blocks the view may be behind the beacon before clients are told that the node syncs."""
BLOCK_PATIENCE = 0.25
"""Seconds between two looks at the head of a chain that is not our own, for those who wait for a block."""


class NodeBackend:
    """An `rpc.backend.Backend` over the views.

    `bell` rings when this node's chains grow. `highest` is the highest beacon block that a peer claims to
    have, `coinbase` the fee recipient of this node's blocks, `version` what `web3_clientVersion` says.
    """

    def __init__(
        self,
        *,
        network: NetworkView,
        shards: Mapping[int, ShardView],
        atoll: AtollView,
        prover: Prover,
        beacon: BeaconReader,
        sources: Shards,
        status: NodeStatus,
        wallet: Wallet,
        bell: Bell,
        highest: Callable[[], int],
        chain_id: int,
        version: str,
        coinbase: bytes | None = None,
        faults: FaultBackend,
        dev_methods: bool = False,
        snapshots: Snapshots | None = None,
    ) -> None:
        self.faults = faults
        self._network = network
        self._shards = shards
        self._atoll = atoll
        self._prover = prover
        self._beacon = beacon
        self._status = status
        self._chain_id = chain_id
        self._version = version
        self._wallet = wallet
        self._bell = bell
        self._highest = highest
        self._coinbase = coinbase
        self._sources = sources
        self._pools = Pools(sources)
        self._traces = Traces(sources)
        self._dev = Development(
            self._view,
            beacon,
            sources,
            network=network,
            wallet=wallet,
            bell=bell,
            allowed=dev_methods,
            snapshots=snapshots,
            version=version,
        )
        self._feeds: dict[int | None, PendingFeed] = {
            None: PendingFeed(sources, network.pool_shards),
            **{s: PendingFeed(sources, view.pool_shards) for s, view in shards.items()},
        }

    def _view(self, scope: int | None) -> ChainView:
        if scope is None:
            return self._network
        view = self._shards.get(scope)
        if view is None:
            raise ResourceNotFound(
                f"there is no shard {scope}: this network has shards 0 to {len(self._shards) - 1}"
            )
        return view

    @property
    def dev(self) -> DevBackend:
        return self._dev

    # ------------------------------------------------------------------ the node

    async def client_version(self) -> str:
        return self._version

    async def chain_id(self) -> int:
        return self._chain_id

    async def network_id(self) -> int:
        return self._chain_id

    async def config(self, scope: int | None) -> dict[str, Any]:
        genesis = await self._view(scope).block("earliest", False)
        if genesis is None:
            raise ServerError("header not found")
        return fork_config(genesis, self._chain_id)

    async def peer_count(self) -> int:
        return self._status.peer_count()

    async def node_info(self) -> dict[str, Any]:
        return self._status.node_info()

    async def peers(self) -> list[dict[str, Any]]:
        return self._status.peers()

    async def listening(self) -> bool:
        return True

    async def status(self) -> dict[str, Any]:
        return self._status.status()

    async def health(self) -> tuple[bool, dict[str, Any]]:
        return self._status.health()

    async def coinbase(self) -> bytes | None:
        return self._coinbase

    async def syncing(self, scope: int | None) -> dict[str, Any] | None:
        """Whether the network view is behind the beacon (our own shard is being caught up then), or one of
        our chains is behind what peers claim to have."""
        self._view(scope)
        current, highest = await self._network.block_number(), self._beacon.head.height
        if highest - current <= SYNC_SLACK and not self._status.syncing():
            return None
        highest = max(highest, self._highest())
        return {"startingBlock": 0, "currentBlock": current, "highestBlock": highest}

    # ------------------------------------------------------------------ blocks

    async def block_number(self, scope: int | None) -> int:
        return await self._view(scope).block_number()

    async def block_by_number(
        self, scope: int | None, ref: BlockRef, full: bool
    ) -> BlockView | None:
        if ref == "pending":
            return await self._pending_block(scope, full)
        return await self._view(scope).block(ref, full)

    async def _pending_block(self, scope: int | None, full: bool) -> BlockView | None:
        """What the pools hold, in the shape of the block after the head."""
        view = self._view(scope)
        head = await view.block("latest", False)
        fees = await view.fee_history(1, "latest", ())
        pool = await self.pool(scope, None)
        return head and present.pending_block(head, fees.base_fee_per_gas[-1], pool.pending, full)

    async def block_by_hash(self, scope: int | None, hash: bytes, full: bool) -> BlockView | None:
        return await self._view(scope).block(BlockHash(hash), full)

    async def block_transaction_count(self, scope: int | None, ref: BlockRef) -> int | None:
        if ref == "pending":
            return (await self.pool_counts(scope))[0]
        return await self._view(scope).block_transaction_count(ref)

    async def transaction_by_block_and_index(
        self, scope: int | None, ref: BlockRef, index: int
    ) -> TransactionView | None:
        if ref == "pending":
            pending = (await self.pool(scope, None)).pending
            return pending[index] if index < len(pending) else None
        return await self._view(scope).transaction_by_block_and_index(ref, index)

    async def block_receipts(
        self, scope: int | None, ref: BlockRef
    ) -> tuple[ReceiptView, ...] | None:
        if ref == "pending":
            return None  # what is pending has not run
        return await self._view(scope).block_receipts(ref)

    async def block_hashes(self, scope: int | None, first: int, last: int) -> tuple[bytes, ...]:
        view = self._view(scope)
        hashes = []
        for number in range(first, last + 1):
            hashes.append(await view.block_hash(number))
            if number % BREATH == 0:
                await trio.lowlevel.checkpoint()
        return tuple(hashes)

    async def wait_for_block(self, scope: int | None, beyond: int) -> int:
        view = self._view(scope)
        while (head := await view.block_number()) <= beyond:
            await self._bell.listen(BLOCK_PATIENCE)
        return head

    async def raw_block(self, scope: int | None, ref: BlockRef) -> bytes | None:
        return await self._view(scope).raw_block(ref)

    async def raw_header(self, scope: int | None, ref: BlockRef) -> bytes | None:
        return await self._view(scope).raw_header(ref)

    async def raw_receipts(self, scope: int | None, ref: BlockRef) -> tuple[bytes, ...] | None:
        return await self._view(scope).raw_receipts(ref)

    async def raw_transaction_by_block_and_index(
        self, scope: int | None, ref: BlockRef, index: int
    ) -> bytes | None:
        return await self._view(scope).raw_transaction_at(ref, index)

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

    async def proof(
        self, scope: int | None, address: bytes, slots: tuple[int, ...], ref: BlockRef
    ) -> AccountProof:
        return await self._view(scope).proof(address, slots, ref)

    async def call(
        self, scope: int | None, request: CallRequest, ref: BlockRef, overrides: Overrides
    ) -> bytes:
        return await self._view(scope).call(request, ref, overrides)

    async def estimate_gas(
        self, scope: int | None, request: CallRequest, ref: BlockRef, overrides: Overrides
    ) -> int:
        return await self._view(scope).estimate_gas(request, ref, overrides)

    async def create_access_list(
        self, scope: int | None, request: CallRequest, ref: BlockRef, overrides: Overrides
    ) -> AccessListResult:
        return await self._view(scope).create_access_list(request, ref, overrides)

    async def simulate(
        self, scope: int | None, request: SimulateRequest, ref: BlockRef
    ) -> tuple[SimulatedBlock, ...]:
        return await simulate(self._sources, self._view(scope), request, ref)

    async def trace_transaction(self, scope: int | None, hash: bytes, options: TraceOptions) -> Any:
        return await self._traces.transaction(self._view(scope), hash, options)

    async def trace_block(self, scope: int | None, ref: BlockRef, options: TraceOptions) -> Any:
        return await self._traces.block(self._view(scope), ref, options)

    async def trace_call(
        self,
        scope: int | None,
        request: CallRequest,
        ref: BlockRef,
        overrides: Overrides,
        options: TraceOptions,
    ) -> Any:
        return await self._traces.call(self._view(scope), request, ref, overrides, options)

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
        if raw[:1] == bytes([IMPERSONATED_TYPE]):  # any page that is let in may call this
            raise TransactionRejected("nobody has signed it: see eth_sendUnsignedTransaction")
        return self._submitted(scope, await self._view(scope).send_raw_transaction(raw))

    def _submitted(self, scope: int | None, tx_hash: bytes) -> bytes:
        for key in {None, scope}:
            self._feeds[key].note(tx_hash)
        self._dev.submitted(tx_hash)
        return tx_hash

    async def transaction_by_hash(self, scope: int | None, hash: bytes) -> TransactionView | None:
        return await self._view(scope).transaction_by_hash(hash)

    async def transaction_receipt(self, scope: int | None, hash: bytes) -> ReceiptView | None:
        return await self._view(scope).transaction_receipt(hash)

    async def logs(self, scope: int | None, filter: LogFilter) -> tuple[LogView, ...]:
        return await self._view(scope).logs(filter)

    async def block_logs(self, scope: int | None, number: int) -> tuple[LogView, ...]:
        return await self._view(scope).block_logs(number)

    async def raw_transaction(self, scope: int | None, hash: bytes) -> bytes | None:
        return await self._view(scope).raw_transaction(hash)

    # ------------------------------------------------------------------ pools

    async def pool_counts(self, scope: int | None) -> tuple[int, int]:
        return await self._pools.counts(self._view(scope).pool_shards)

    async def pool(self, scope: int | None, sender: bytes | None) -> PoolView:
        return await self._pools.content(self._view(scope).pool_shards, sender)

    async def pending_since(self, scope: int | None, cursor: int | None) -> PendingPage:
        self._view(scope)
        return await self._feeds[scope].since(cursor)

    # ------------------------------------------------------------------ keys

    async def accounts(self) -> tuple[bytes, ...]:
        return self._wallet.addresses

    async def sign_message(self, address: bytes, message: bytes) -> bytes:
        return self._wallet.sign_message(address, message)

    async def sign_typed_data(self, address: bytes, data: dict[str, Any]) -> bytes:
        return await self._wallet.sign_typed_data(address, data)

    async def fill_transaction(
        self, scope: int | None, request: CallRequest
    ) -> PreparedTransaction:
        return await self._wallet.fill(self._view(scope), request)

    async def sign_transaction(
        self, scope: int | None, request: CallRequest
    ) -> PreparedTransaction:
        return await self._wallet.sign(self._view(scope), request)

    async def send_transaction(self, scope: int | None, request: CallRequest) -> bytes:
        return self._submitted(scope, await self._wallet.send(self._view(scope), request))

    # ------------------------------------------------------------------ atoll

    async def home(self, address: bytes) -> int:
        return await self._atoll.home(address)

    async def shards(self) -> list[dict[str, Any]]:
        return await self._atoll.shards()

    async def committees(self, ref: BlockRef) -> dict[str, Any]:
        return self._atoll.committees(await self._network.state_number(ref))

    async def lanes(self, ref: BlockRef) -> list[dict[str, Any]]:
        return await self._atoll.lanes(await self._network.state_number(ref))

    async def network_block(self, ref: BlockRef) -> dict[str, Any] | None:
        number = await self._network.number_of(ref)
        return None if number is None else self._atoll.network_block(number)

    async def shard_block(self, shard: int, height: int | None) -> dict[str, Any]:
        return await self._atoll.shard_block(shard, height)

    async def votes(self, ref: BlockRef, count: int) -> list[dict[str, Any]]:
        return await self._atoll.votes(await self._network.state_number(ref), count)

    async def trace(self, hash: bytes) -> dict[str, Any] | None:
        return await self._atoll.trace(hash)

    async def message(self, id: bytes) -> dict[str, Any] | None:
        return await self._atoll.message(id)

    async def message_events(self, cursor: int | None) -> MessagePage:
        page = await self._atoll.feed.since(cursor)
        while cursor is not None and not page.events and not page.missed:
            await self._bell.listen(BLOCK_PATIENCE)
            page = await self._atoll.feed.since(cursor)
        return page

    async def prove_message(self, id: bytes) -> dict[str, Any] | None:
        return await self._prover.prove(id)

    async def audit(self, ref: BlockRef) -> dict[str, Any]:
        return await self._atoll.audit(await self._network.state_number(ref))

    async def validators(self) -> list[dict[str, Any]]:
        return self._status.validators_report()

    async def evidence(self) -> dict[str, Any]:
        return self._status.evidence_report()
