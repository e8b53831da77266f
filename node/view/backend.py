"""The JSON-RPC's backend: a node with its chains."""

from collections.abc import Callable, Mapping
from typing import Any

from node.concurrency.head_signal import HeadSignal
from node.view.chain_view import ChainView
from node.view.development import Development
from node.view.following.methods import AtollView
from node.view.following.proving import Prover
from node.view.network_view import NetworkView
from node.view.ports import BeaconReader, NodeFacts, SnapshotKeeper
from node.view.shard_view import ShardView
from node.view.shards import Shards
from node.view.wallet.wallet import Wallet
from rpc.backend import DevBackend
from rpc.errors import ResourceNotFound
from rpc.fault_port import FaultBackend
from rpc.wire import (
    BlockRef,
    MessagePage,
)

SYNC_SLACK = 8
"""Network blocks the view may be behind the beacon before clients are told that the node syncs."""
BLOCK_PATIENCE = 0.25
"""Seconds between two looks at the head of a chain that is not our own, for callers that wait for a block."""


class NodeBackend:
    """An `rpc.backend.Backend` over the views.

    `head_signal` is sent when a chain of this node grows. `highest` is the highest beacon block that a peer
    claims to have, `coinbase` the fee recipient of this node's blocks, `version` the answer of
    `web3_clientVersion`.
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
        status: NodeFacts,
        wallet: Wallet,
        head_signal: HeadSignal,
        highest: Callable[[], int],
        chain_id: int,
        version: str,
        coinbase: bytes | None = None,
        faults: FaultBackend,
        dev_methods: bool = False,
        snapshots: SnapshotKeeper | None = None,
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
        self.wallet = wallet
        self._head_signal = head_signal
        self._highest = highest
        self._coinbase = coinbase
        self._dev = Development(
            beacon,
            sources,
            network=network,
            wallet=wallet,
            head_signal=head_signal,
            allowed=dev_methods,
            snapshots=snapshots,
            version=version,
        )
        for chain in (network, *shards.values()):
            chain.on_submitted += [network.pool.note, self._dev.submitted]

    def chain(self, scope: int | None) -> ChainView:
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

    async def syncing(self) -> dict[str, Any] | None:
        """The progress of syncing, None if the node does not sync.

        It syncs if the network view is behind the beacon (our own shard is catching up then), or if one of our
        chains is behind the heights that peers claim.
        """
        current, highest = await self._network.block_number(), self._beacon.head.height
        if highest - current <= SYNC_SLACK and not self._status.syncing():
            return None
        highest = max(highest, self._highest())
        return {"startingBlock": 0, "currentBlock": current, "highestBlock": highest}

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
            await self._head_signal.wait(BLOCK_PATIENCE)
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
